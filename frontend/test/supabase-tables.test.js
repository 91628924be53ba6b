// The SQL of frontend/supabase in PostgreSQL: who may do what, as each of Supabase's roles.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { startPostgres } from "./postgres.js";
import { migrate } from "./supabase.js";

const ada = "7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c", bob = "11111111-2222-4333-8444-555555555555";
const boards = { ada: "aaaaaaaa-0000-4000-8000-000000000001", hers: "aaaaaaaa-0000-4000-8000-000000000002", bob: "bbbbbbbb-0000-4000-8000-000000000001" };
const denied = { code: "42501" };
let postgres, databases = 0;

before(async () => { postgres = await startPostgres(); });
after(() => postgres?.stop());

/** Makes an empty project. */
const project = (privileges) => postgres.project(`project_${++databases}`, privileges);

/** Applies a file of SQL as a migration. */
const apply = async (database, file) => database.sql(await readFile(new URL(file, import.meta.url), "utf8"));

/** The data of a notice: a task with that many pictures, or a failed one. */
const task = (id, owner, { version = 1, target, pictures = 1, ...rest } = {}) => ({
  id, owner, version, target, completedAt: "2026-11-29T08:00:00Z", ...rest,
  ...(pictures ? { images: Array.from({ length: pictures }, (_, i) => ({ n: i + 1, url: `https://x.example/${id}/${i + 1}.png`, width: 64, height: 64 })) } : { images: [], error: { code: "content_policy" } }),
});

/** Takes a notice as the function does. */
const take = (database, data) => database.as("service_role", {}, "select take_ai_notice($1)", [JSON.stringify(data)]);

/** Returns the pictures that a role sees, as TASK/N. */
const seen = async (database, role, claims = {}) => (await database.as(role, claims, "select task || '/' || n as picture from ai_images order by 1")).map(({ picture }) => picture);

/** What each of Supabase's roles may do with what the migration makes. */
async function privileges(database) {
  const rows = await database.sql(`
    select r || ' ' || t || ': ' || string_agg(p, ' ' order by p) as may
      from unnest('{anon,authenticated,service_role}'::text[]) r, unnest('{ai_images,ai_tasks,ai_credits}'::text[]) t, unnest('{select,insert,update,delete,truncate,references,trigger}'::text[]) p
      where has_table_privilege(r, t, p) group by r, t
    union all
    select r || ' ai_images.' || attname || ': update' from unnest('{anon,authenticated}'::text[]) r, pg_attribute
      where attrelid = 'ai_images'::regclass and attnum > 0 and has_column_privilege(r, attrelid, attnum, 'update')
    union all
    select r || ' ' || proname || ': execute' from unnest('{anon,authenticated,service_role}'::text[]) r, pg_proc
      where pronamespace = 'public'::regnamespace and has_function_privilege(r, pg_proc.oid, 'execute')
    order by 1`);
  return rows.map(({ may }) => may);
}

const least = [
  "authenticated ai_images.hidden: update",
  "authenticated ai_images: select",
  "service_role ai_credits: insert select update",
  "service_role ai_images: delete insert select update",
  "service_role ai_tasks: insert select update",
  "service_role take_ai_credits: execute",
  "service_role take_ai_notice: execute",
];

for (const kind of ["old", "new"]) {
  describe(`with the ${kind} default privileges`, () => {
    let database;
    before(async () => {
      database = await project(kind);
      await migrate(database);
      for (const data of [task("a", ada, { pictures: 4 }), task("failed", ada, { pictures: 0 }), task("b", bob)]) await take(database, data);
    });

    test("each role may do what it needs and no more", async () => {
      assert.deepEqual(await privileges(database), least);
    });

    test("users see their own rows", async () => {
      assert.deepEqual(await seen(database, "authenticated", { sub: ada }), ["a/1", "a/2", "a/3", "a/4", "failed/0"]);
      assert.deepEqual(await seen(database, "authenticated", { sub: bob }), ["b/1"]);
      assert.deepEqual(await seen(database, "authenticated"), []);
      await assert.rejects(seen(database, "anon"), denied);
    });

    test("users hide their own pictures, and change nothing else", async () => {
      const update = (claims, set, where = "true") => database.as("authenticated", claims, `update ai_images set ${set} where ${where} returning task, n`);
      assert.deepEqual(await update({ sub: ada }, "hidden = true", "task = 'a' and n = 3"), [{ task: "a", n: 3 }]);
      assert.deepEqual(await update({ sub: bob }, "hidden = true", "task = 'a'"), []);
      for (const set of ["url = 'https://evil.example'", `owner = '${bob}'`, "hidden = true, error = null"]) await assert.rejects(update({ sub: ada }, set), denied);
      for (const statement of ["delete from ai_images", "truncate ai_images", `insert into ai_images (task, n, owner, ended_at) values ('c', 1, '${ada}', now())`]) {
        await assert.rejects(database.as("authenticated", { sub: ada }, statement), denied);
      }
      await assert.rejects(database.as("anon", {}, "update ai_images set hidden = true"), denied);
      assert.deepEqual(await database.sql("select task, n from ai_images where hidden"), [{ task: "a", n: 3 }]);
    });

    test("programs that a user has let in see and change nothing", async () => {
      const claude = { sub: ada, client_id: "9a8b7c6d-5e4f-3a2b-1c0d-9e8f7a6b5c4d" };
      assert.deepEqual(await seen(database, "authenticated", claude), []);
      assert.deepEqual(await database.as("authenticated", claude, "update ai_images set hidden = true returning 1"), []);
    });

    test("versions and credits are for the function alone", async () => {
      for (const role of ["anon", "authenticated"]) {
        for (const statement of ["select from ai_tasks", "select from ai_credits", "delete from ai_tasks", "select take_ai_notice('{}')", "select take_ai_credits('credits.low', '{}')"]) {
          await assert.rejects(database.as(role, { sub: ada }, statement), denied, `${role}: ${statement}`);
        }
      }
      await assert.rejects(database.as("service_role", {}, "delete from ai_tasks"), denied); // a tombstone is never deleted
    });

    test("policies ask once a query who asks, not once a row, and are for one role", async () => {
      const policies = await database.sql("select policyname, roles::text, concat(qual, with_check) as condition from pg_policies where schemaname = 'public'");
      assert.equal(policies.length, 3);
      for (const { policyname, roles, condition } of policies) {
        assert.equal(roles, "{authenticated}", policyname);
        assert.doesNotMatch(condition.replaceAll(/\( SELECT \(?auth\.\w+\(\)/g, ""), /auth\.|current_setting/, policyname);
      }
    });

    test("Realtime shows the pictures and nothing else", async () => {
      assert.deepEqual(await database.sql("select schemaname || '.' || tablename as name from pg_publication_tables where pubname = 'supabase_realtime'"), [{ name: "public.ai_images" }]);
    });

    test("the migration can run again", async () => {
      const all = () => database.sql("select * from ai_images order by task, n");
      const rows = await all();
      await migrate(database);
      assert.deepEqual(await all(), rows);
      assert.deepEqual(await privileges(database), least);
    });
  });
}

test("a project without Realtime takes the migration", async () => {
  const database = await project("new");
  await database.sql("drop publication supabase_realtime");
  await migrate(database);
  assert.deepEqual(await privileges(database), least);
});

for (const [name, before, late] of [
  ["the first printed tables, without versions", (sql) => sql.slice(0, sql.indexOf("-- The version")), ["a/1", "b/1", "gone/1"]],
  ["the tables that were printed last", (sql) => sql, ["a/1", "b/1"]],
]) {
  test(`${name} are brought up to date`, async () => {
    const database = await project("old");
    await preset(database);
    const versions = name.includes("last");
    await database.sql(before(await readFile(new URL("supabase-before.sql", import.meta.url), "utf8")));
    if (versions) {
      for (const data of [task("a", ada), task("gone", ada), { id: "gone", version: 2, deleted: true }, task("b", bob)]) await take(database, data);
    } else {
      await database.sql("insert into ai_images (task, n, owner, ended_at, url) values ('a', 1, $1, now(), 'u')", [ada]);
      await database.sql("insert into ai_images (task, n, owner, ended_at, url) values ('b', 1, $1, now(), 'u')", [bob]);
    }
    await migrate(database);
    await apply(database, "../supabase/boards.sql");
    assert.deepEqual(await privileges(database), ["anon ai_images: select", ...least]);
    assert.deepEqual(await database.sql("select policyname, permissive, roles::text from pg_policies where tablename = 'ai_images' order by 1"), [
      { policyname: "boards that are shown", permissive: "PERMISSIVE", roles: "{anon,authenticated}" },
      { policyname: "hide one's own", permissive: "PERMISSIVE", roles: "{authenticated}" },
      { policyname: "no OAuth clients", permissive: "RESTRICTIVE", roles: "{authenticated}" },
      { policyname: "one's own", permissive: "PERMISSIVE", roles: "{authenticated}" },
    ]);
    assert.deepEqual(await database.sql("select indexname from pg_indexes where tablename = 'ai_images' order by 1"), ["ai_images_owner_ended_at_idx", "ai_images_pkey", "ai_images_target_kind_target_id_idx"].map((indexname) => ({ indexname })));
    // As the functions of before do, which may still run: the last one by take_ai_notice, the first one by an upsert.
    await database.as("service_role", {}, "insert into ai_images (task, n, owner, ended_at, url) values ('a', 1, $1, now(), 'v') on conflict (task, n) do update set owner = excluded.owner, ended_at = excluded.ended_at, url = excluded.url", [ada]);
    await take(database, task("gone", ada)); // arrives late: only versions know that it was deleted
    await take(database, task("a", ada, { version: 2, target: { kind: "moodboard", id: "m" } }));
    assert.deepEqual((await database.sql("select task || '/' || n as picture from ai_images order by 1")).map(({ picture }) => picture), late);
    assert.deepEqual(await database.sql("select target_id, hidden from ai_images where task = 'a'"), [{ target_id: "m", hidden: false }]);
  });
}

/** Makes the tables of boards as Preset's public code has them, reduced to what matters here. */
async function preset(database) {
  await database.sql(`
    create table moodboards (id uuid primary key default gen_random_uuid(), owner_user_id uuid not null, is_public boolean default false, items jsonb not null default '[]');
    alter table moodboards enable row level security;
    create policy "Public moodboards are viewable by everyone" on moodboards for select using (is_public = true);
    create policy "Users can view their own moodboards" on moodboards for select using (auth.uid() = owner_user_id);
    grant select on moodboards to anon, authenticated;`);
}

describe("boards that others see", () => {
  const on = (id) => ({ target: { kind: "moodboard", id } });
  let database;
  before(async () => {
    database = await project("new");
    await preset(database);
    await migrate(database);
    for (let times = 0; times < 2; times++) await apply(database, "../supabase/boards.sql");
    await database.sql("insert into moodboards (id, owner_user_id, is_public) values ($1, $4, true), ($2, $4, false), ($3, $5, true)", [boards.ada, boards.hers, boards.bob, ada, bob]);
    for (const data of [
      task("shown", ada, { ...on(boards.ada), pictures: 2 }), task("failed", ada, { ...on(boards.ada), pictures: 0 }), task("private", ada, on(boards.hers)),
      task("intruder", ada, on(boards.bob)), task("elsewhere", ada, on("the wall")), task("showcase", ada, { target: { kind: "showcase", id: boards.ada } }), task("nowhere", ada),
      task("upper", ada, on(boards.ada.toUpperCase())),
    ]) await take(database, data);
  });

  test("everybody sees the pictures that a board's owner put on a public one", async () => {
    for (const [role, claims] of [["anon", {}], ["authenticated", { sub: bob }], ["authenticated", {}]]) assert.deepEqual(await seen(database, role, claims), ["shown/1", "shown/2"]);
    assert.equal((await seen(database, "authenticated", { sub: ada })).length, 9);
  });

  test("a hidden picture is its owner's alone", async () => {
    await database.as("authenticated", { sub: ada }, "update ai_images set hidden = true where task = 'shown' and n = 2");
    assert.deepEqual(await seen(database, "anon"), ["shown/1"]);
    assert.ok((await seen(database, "authenticated", { sub: ada })).includes("shown/2"));
    assert.deepEqual(await database.as("authenticated", { sub: bob }, "update ai_images set hidden = true where task = 'shown' returning 1"), []);
  });

  test("programs that a user has let in see no boards either", async () => {
    assert.deepEqual(await seen(database, "authenticated", { sub: bob, client_id: "claude" }), []);
  });

  test("a visitor may only look", async () => {
    assert.deepEqual(await privileges(database), ["anon ai_images: select", ...least]);
  });

  test("a board that is not public is not shown, whatever its own policies allow", async () => {
    await database.sql("create policy everybody on moodboards for select using (true)");
    assert.deepEqual(await seen(database, "anon"), ["shown/1"]);
    await database.sql("drop policy everybody on moodboards");
  });

  test("a board is found by its primary key, and one's own pictures by the index on the owner", { timeout: 60_000 }, async () => {
    await database.sql(`
      insert into moodboards (owner_user_id, is_public) select gen_random_uuid(), n % 2 = 0 from generate_series(1, 50000) n;
      insert into ai_images (task, n, owner, ended_at, target_kind, target_id, url) select 'bulk' || row_number() over (), 1, owner_user_id, now() - random() * interval '1 year', 'moodboard', id, 'u' from moodboards;
      insert into ai_images (task, n, owner, ended_at, target_kind, target_id, url) select 'full' || n, 1, '${ada}', now(), 'moodboard', '${boards.ada}', 'u' from generate_series(1, 40) n;`);
    await database.sql("analyze");
    const plan = async (role, claims, query) => (await database.as(role, claims, `explain ${query}`)).map((row) => row["QUERY PLAN"]).join("\n");
    const visitor = await plan("anon", {}, `select * from ai_images where target_kind = 'moodboard' and target_id = '${boards.ada}'`);
    assert.match(visitor, /Index Scan using moodboards_pkey/);
    assert.doesNotMatch(visitor, /Seq Scan/);
    const one = await plan("authenticated", { sub: ada }, `select * from ai_images where owner = '${ada}' order by ended_at desc limit 24`);
    assert.match(one, /Index Scan (using|on) ai_images_owner_ended_at_idx/);
    assert.doesNotMatch(one, /Seq Scan/);
  });
});

test("boards that belong to profiles are shown with the comparison that boards.sql names for them", async () => {
  const file = await readFile(new URL("../supabase/boards.sql", import.meta.url), "utf8");
  const [, forProfiles] = /^-- {3}(\(select .*users_profile.*)$/m.exec(file);
  const database = await project("new");
  await database.sql(`
    create table users_profile (id uuid primary key default gen_random_uuid(), user_id uuid not null);
    create table moodboards (id uuid primary key, owner_user_id uuid not null references users_profile, is_public boolean default false);
    insert into users_profile (user_id) values ('${ada}'), ('${bob}');
    insert into moodboards select '${boards.ada}', id, true from users_profile where user_id = '${ada}';
    grant select on users_profile, moodboards to anon, authenticated;`);
  await migrate(database);
  await database.sql(file.replace("b.owner_user_id = ai_images.owner and", `${forProfiles} and`));
  const target = { kind: "moodboard", id: boards.ada };
  for (const [id, owner] of [["shown", ada], ["intruder", bob]]) await take(database, task(id, owner, { target }));
  assert.deepEqual(await seen(database, "anon"), ["shown/1"]);
});
