-- The tables as docs/supabase.md printed them before the migration of frontend/supabase.
create table ai_images (
  task text not null, n int not null, primary key (task, n),
  owner uuid not null, target_kind text, target_id text, ended_at timestamptz not null,
  url text, thumbnail_url text, width int, height int, error jsonb
);
create index on ai_images (target_kind, target_id);
alter table ai_images enable row level security;
create policy "one's own" on ai_images for select using (owner = auth.uid());
alter publication supabase_realtime add table ai_images;

-- The version that was last taken, of deleted tasks too. Never delete rows from it.
create table ai_tasks (id text primary key, version int not null);
alter table ai_tasks enable row level security;

-- Takes the data of a notice, unless it is a repeat or older than one that was taken.
create function take_ai_notice(t jsonb) returns void language plpgsql as $$
begin
  insert into ai_tasks values (t->>'id', (t->>'version')::int)
    on conflict (id) do update set version = excluded.version where ai_tasks.version < excluded.version;
  if not found then return; end if;
  if (t->>'deleted')::boolean then
    delete from ai_images where task = t->>'id';
    return;
  end if;
  insert into ai_images
    select t->>'id', (i->>'n')::int, (t->>'owner')::uuid, t->'target'->>'kind', t->'target'->>'id', (t->>'completedAt')::timestamptz,
      i->>'url', i->>'thumbnailUrl', (i->>'width')::int, (i->>'height')::int, t->'error'
    from jsonb_array_elements(case when t ? 'error' then '[{"n":0}]' else t->'images' end) i
    on conflict (task, n) do update set target_kind = excluded.target_kind, target_id = excluded.target_id;
end $$;
revoke execute on function take_ai_notice from public, anon, authenticated;
grant execute on function take_ai_notice to service_role;

-- Boards that others see, with the names of the tests.
create policy "boards that are shown" on ai_images for select using (n > 0 and target_kind = 'moodboard' and exists (
  select from moodboards b where b.id::text = target_id and b.owner_user_id = ai_images.owner and b.is_public));
