-- The pictures of the AI image service, as its notices report them: docs/supabase.md.
-- It can run again, and it brings the tables of earlier releases up to date.

-- One row for each picture, and one with n = 0 for a task that failed.
create table if not exists public.ai_images (
  task text not null,
  n int not null, -- from 1
  owner uuid not null,
  target_kind text, -- moodboard, showcase, ...
  target_id text,
  ended_at timestamptz not null,
  url text, -- good for ever
  thumbnail_url text,
  width int,
  height int,
  error jsonb, -- code, message, hint, retryable
  primary key (task, n)
);
-- The owner hides what is not to be shown. No notice changes it.
alter table public.ai_images add column if not exists hidden boolean not null default false;
create index if not exists ai_images_owner_ended_at_idx on public.ai_images (owner, ended_at desc);
create index if not exists ai_images_target_kind_target_id_idx on public.ai_images (target_kind, target_id);

-- The version that was last taken of each task, also of deleted ones: an older notice that
-- arrives late changes nothing. Never delete rows from it.
create table if not exists public.ai_tasks (
  id text primary key,
  version int not null
);

-- What the service last said about its credits, which all users share.
create table if not exists public.ai_credits (
  one boolean primary key default true check (one), -- a single row
  state text not null check (state in ('low', 'empty', 'restored')),
  balance double precision not null,
  low_below int not null,
  as_of timestamptz not null
);

-- Projects differ in what a new table and function lets whom do: so first nothing, then this.
alter table public.ai_images enable row level security;
alter table public.ai_tasks enable row level security;
alter table public.ai_credits enable row level security;
revoke all on public.ai_images, public.ai_tasks, public.ai_credits from public, anon, authenticated, service_role;
grant select, update (hidden) on public.ai_images to authenticated;
grant select, insert, update, delete on public.ai_images to service_role;
grant select, insert, update on public.ai_tasks, public.ai_credits to service_role;

drop policy if exists "one's own" on public.ai_images;
create policy "one's own" on public.ai_images for select to authenticated
  using (owner = (select auth.uid()));

drop policy if exists "hide one's own" on public.ai_images;
create policy "hide one's own" on public.ai_images for update to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));

-- Programs that a user has let in by Supabase's OAuth server, such as Claude, use the service's
-- own API. Restrictive: it takes rows away from the other policies, and gives none.
drop policy if exists "no OAuth clients" on public.ai_images;
create policy "no OAuth clients" on public.ai_images as restrictive for all to authenticated
  using ((select auth.jwt() ->> 'client_id') is null);

-- Takes the task of a notice, unless it is a repeat or older than one that was taken.
create or replace function public.take_ai_notice(t jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  insert into public.ai_tasks (id, version) values (t ->> 'id', (t ->> 'version')::int)
    on conflict (id) do update set version = excluded.version where ai_tasks.version < excluded.version;
  if not found then
    return;
  end if;
  if (t ->> 'deleted')::boolean then
    delete from public.ai_images where task = t ->> 'id';
    return;
  end if;
  insert into public.ai_images (task, n, owner, target_kind, target_id, ended_at, url, thumbnail_url, width, height, error)
    select t ->> 'id', (i ->> 'n')::int, (t ->> 'owner')::uuid, t -> 'target' ->> 'kind', t -> 'target' ->> 'id', (t ->> 'completedAt')::timestamptz,
      i ->> 'url', i ->> 'thumbnailUrl', (i ->> 'width')::int, (i ->> 'height')::int, t -> 'error'
    from jsonb_array_elements(case when t ? 'error' then '[{"n": 0}]' else t -> 'images' end) i
    on conflict (task, n) do update set -- everything but hidden
      owner = excluded.owner, target_kind = excluded.target_kind, target_id = excluded.target_id, ended_at = excluded.ended_at,
      url = excluded.url, thumbnail_url = excluded.thumbnail_url, width = excluded.width, height = excluded.height, error = excluded.error;
  if not found then
    raise exception 'the task has neither pictures nor an error' using errcode = 'data_exception';
  end if;
end $$;

-- Takes news about the credits and reports whether it was newer than the last.
create or replace function public.take_ai_credits(type text, data jsonb) returns boolean
language plpgsql set search_path = '' as $$
begin
  insert into public.ai_credits (state, balance, low_below, as_of)
    values (split_part(type, '.', 2), (data ->> 'balance')::double precision, (data ->> 'lowBelow')::int, (data ->> 'asOf')::timestamptz)
    on conflict (one) do update
      set state = excluded.state, balance = excluded.balance, low_below = excluded.low_below, as_of = excluded.as_of
      where ai_credits.as_of < excluded.as_of;
  return found;
end $$;

revoke all on function public.take_ai_notice(jsonb), public.take_ai_credits(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.take_ai_notice(jsonb), public.take_ai_credits(text, jsonb) to service_role;

-- Realtime shows the rows as they come and change.
do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    raise notice 'there is no publication supabase_realtime: Realtime will not show ai_images';
  elsif not exists (select from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'ai_images') then
    alter publication supabase_realtime add table public.ai_images;
  end if;
end $$;
