-- Shows the pictures of public moodboards to everybody: docs/supabase.md, "Boards that others see".
-- It names tables of the application. So it is no migration yet: adapt the names, then put it into one.
--
-- A picture is shown on a board if the board is public and belongs to whoever made the picture:
-- anyone can name any board as the target of a task. The board is found by its primary key.
--
-- b.owner_user_id must be Supabase's user id. Where it references a profile, compare instead:
--   (select p.user_id from public.users_profile p where p.id = b.owner_user_id) = ai_images.owner
grant select on public.ai_images to anon;

drop policy if exists "boards that are shown" on public.ai_images;
create policy "boards that are shown" on public.ai_images for select to anon, authenticated
  using (n > 0 and not hidden and target_kind = 'moodboard' and exists (
    select from public.moodboards b
    where b.id = case when target_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then target_id::uuid end -- not every target's id is a UUID
      and b.owner_user_id = ai_images.owner and b.is_public));
