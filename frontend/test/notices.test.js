// The function and the migration of frontend/supabase, copied as they stand, against notices of a
// running bin/local: the function in Deno, the SQL in PostgreSQL.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { createClient } from "@supabase/supabase-js";
import { Webhook } from "standardwebhooks";

import { checkEdgeFunction } from "./edge-function.js";
import { startLocal } from "./local.js";
import { startSupabase } from "./supabase.js";

const ada = "7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c", bob = "11111111-2222-4333-8444-555555555555";
const key = whsec("n"), next = "Q0".repeat(24); // as in the first secret of a stack: 48 letters and digits
const board = { kind: "moodboard", id: "a" }, showcase = { kind: "showcase", id: "b's" };
let supabase, hook, receiver, local, token;
const got = []; // notices that the function has answered 2xx, oldest first

before(async () => {
  supabase = await startSupabase();
  await deploy();
  receiver = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const notice = { headers: request.headers, body: Buffer.concat(chunks).toString() };
    const status = await deliver(notice);
    if (status < 300) got.push({ ...notice, ...JSON.parse(notice.body) });
    response.writeHead(status).end();
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  local = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s", NOTIFY_URL: `http://127.0.0.1:${receiver.address().port}/hook`, NOTIFY_KEY: key, LOW_CREDITS: "1000000", AUTH_ISSUER: supabase.issuer });
  token = supabase.token({ sub: ada });
});

after(async () => {
  await local?.stop();
  receiver?.close();
  await supabase?.stop();
});

/** Returns a key of the form that Standard Webhooks specifies. */
function whsec(letter) {
  return "whsec_" + Buffer.from(letter.repeat(36)).toString("base64");
}

/** Deploys the function with these settings besides its usual ones. */
async function deploy(env = {}) {
  hook = await supabase.deploy("ai-images", { NOTIFY_KEY: key, SUPABASE_SECRET_KEYS: JSON.stringify({ default: supabase.secretKey }), ...env });
}

/** Calls the function as the service does. Returns the status. */
async function deliver({ headers: { host, connection, "content-length": length, ...headers }, body }) {
  const answer = await fetch(`${supabase.url}/functions/v1/ai-images`, { method: "POST", headers, body });
  assert.equal(await answer.text(), "");
  return answer.status;
}

/** Signs a notice of our own making. */
function signed(type, data, signer = key) {
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data }), now = new Date(), id = `made-${type}`;
  return { headers: { "webhook-id": id, "webhook-timestamp": String(Math.floor(now / 1000)), "webhook-signature": new Webhook(signer).sign(id, now, body) }, body };
}

/** Returns the lines that the function logs while run runs. A line of our own after them shows that all are here. */
async function logged(run) {
  const before = hook.log.length;
  await run();
  const last = `last.${before}`;
  await deliver(signed(last, {}));
  const lines = await eventually(() => hook.log.at(-1).includes(last) && hook.log.slice(before, -1), () => "the log does not end");
  return lines.map((line) => JSON.parse(line));
}

/** Calls the API as ada and returns the answer's body, if it has one. */
async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) };
  const answer = await fetch(`${local.base}/v1/tasks${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
}

/** Waits until look returns something. */
async function eventually(look, what) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const found = await look();
    if (found) return found;
  }
  assert.fail(`${what()} in 30 s`);
}

/** Waits for the notice of a task with this type. */
const notice = (type, task) => eventually(() => got.find((n) => n.type === type && n.data.id === task), () => `no ${type} came of ${task}: ${got.map((n) => n.type)}`);

/** Returns a notice of a picture. */
const picture = () => got.find(({ type }) => type === "task.succeeded");

/** Returns the rows of a task, and the version that was taken. */
async function rows(task) {
  const [{ state }] = await supabase.sql(`select json_build_object('version', (select version from ai_tasks where id = $1),
    'pictures', coalesce((select json_agg(json_build_array(n, target_kind, target_id, url is not null, error is not null, hidden) order by n) from ai_images where task = $1), '[]')) as state`, [task]);
  return state;
}

const forget = () => supabase.sql("delete from ai_images; delete from ai_tasks");

/** All orders in which notices may arrive: each comes once, or one of them twice. */
function orders(notices) {
  const all = [];
  (function extend(order) {
    if (notices.every((n) => order.includes(n))) all.push(order);
    if (order.length <= notices.length) for (const n of notices) extend([...order, n]);
  })([]);
  return all;
}

/** Makes a task, moves it and deletes it. Returns its three notices. */
async function life(request, ended) {
  const task = await call("POST", "", { ...request, target: board });
  const first = await notice(ended, task.id);
  await call("PUT", `/${task.id}/target`, showcase);
  const moved = await notice("task.moved", task.id);
  assert.deepEqual([moved.data.target, moved.data.previousTarget], [showcase, board]);
  const kept = await rows(task.id);
  await call("DELETE", `/${task.id}`);
  const begun = Date.now();
  const deleted = await notice("task.deleted", task.id);
  assert.ok(Date.now() - begun < 5_000, "within seconds");
  assert.deepEqual([deleted.data.target, deleted.data.deleted], [showcase, true]);
  assert.deepEqual([first, moved, deleted].map((n) => n.data.version), [1, 2, 3]);
  assert.deepEqual(await rows(task.id), { version: 3, pictures: [] });
  return { id: task.id, notices: [first, moved, deleted], kept };
}

for (const [name, request, ended, pictures] of [
  ["a picture", { prompt: "A lighthouse at dusk", numImages: 2 }, "task.succeeded", [[1, "showcase", "b's", true, false, false], [2, "showcase", "b's", true, false, false]]],
  ["a failure", { prompt: "A lighthouse at dusk" }, "task.failed", [[0, "showcase", "b's", false, true, false]]],
]) {
  test(`${name}: all orders and repeats of its notices end alike`, { timeout: 180_000 }, async () => {
    if (ended === "task.failed") await local.simulate({ refuse: "policy" });
    const { id, notices: [first, moved, deleted], kept } = await life(request, ended);
    await local.simulate();
    assert.deepEqual(kept, { version: 2, pictures });
    const ends = [
      [[first, moved], { version: 2, pictures }],
      [[first, deleted], { version: 3, pictures: [] }],
      [[first, moved, deleted], { version: 3, pictures: [] }],
    ];
    for (const [notices, want] of ends) {
      for (const order of orders(notices)) {
        await forget();
        for (const n of order) assert.equal(await deliver(n), 204);
        assert.deepEqual(await rows(id), want, `after ${order.map((n) => n.type)}`);
      }
    }
  });
}

test("two notices of one task at once end as one after the other", async () => {
  const task = await call("POST", "", { prompt: "A harbour", target: board });
  const first = await notice("task.succeeded", task.id);
  await call("DELETE", `/${task.id}`);
  const deleted = await notice("task.deleted", task.id);
  for (let n = 0; n < 10; n++) {
    await forget();
    await Promise.all([first, deleted, first].map(async (x) => assert.equal(await deliver(x), 204)));
    assert.deepEqual(await rows(task.id), { version: 2, pictures: [] });
  }
});

test("one of four pictures is hidden by its owner, and no notice shows it again", async () => {
  const task = await call("POST", "", { prompt: "A garden, four ways", numImages: 4, target: board });
  const first = await notice("task.succeeded", task.id);
  await supabase.as("authenticated", { sub: ada }, "update ai_images set hidden = true where task = $1 and n = 3", [task.id]);
  const shown = async () => (await rows(task.id)).pictures.map(([n, kind, , , , hidden]) => [n, kind, hidden]);
  const want = (kind) => [[1, kind, false], [2, kind, false], [3, kind, true], [4, kind, false]];
  assert.deepEqual(await shown(), want("moodboard"));
  assert.equal(await deliver(first), 204); // a repeat
  assert.deepEqual(await shown(), want("moodboard"));
  await call("PUT", `/${task.id}/target`, showcase);
  await notice("task.moved", task.id);
  assert.deepEqual(await shown(), want("showcase"));
});

test("a page reads and hides pictures as docs/supabase.md shows", async () => {
  const page = await readFile(new URL("../../docs/supabase.md", import.meta.url), "utf8");
  const [read, hide] = [...page.matchAll(/```ts\n([^]*?)```/g)].map(([, code]) => code);
  const shown = (names, code, result) => new (async () => {}).constructor(...names, `${code}; return ${result};`);
  const options = { realtime: { transport: class {} }, auth: { persistSession: false, autoRefreshToken: false } }; // Node 20 has no WebSocket
  const client = createClient(supabase.url, supabase.publishableKey, options);
  supabase.addUser("ada@preset.example", "lovelace", ada);
  const { data: { session } } = await client.auth.signInWithPassword({ email: "ada@preset.example", password: "lovelace" });
  token = session.access_token; // the same session orders and reads
  const task = await call("POST", "", { prompt: "A market, twice", numImages: 2, target: { kind: "moodboard", id: "market" } });
  const { data: { images } } = await notice("task.succeeded", task.id);
  await local.simulate({ refuse: "policy" });
  const failed = await call("POST", "", { prompt: "A market at night", target: { kind: "moodboard", id: "market" } });
  await notice("task.failed", failed.id);
  await local.simulate();

  const { error } = await shown(["supabase", "task", "n"], hide, "hiding")(client, task.id, 2);
  assert.equal(error, null);
  const { pictures } = await shown(["supabase", "board"], read, "{ pictures, error }")(client, "market");
  const want = images.map(({ n, url, thumbnailUrl, width, height }) => ({ task: task.id, n, url, thumbnail_url: thumbnailUrl, width, height, hidden: n === 2 }));
  assert.deepEqual(pictures.toSorted((a, b) => a.n - b.n), want);
  const others = createClient(supabase.url, supabase.publishableKey, { realtime: options.realtime, accessToken: async () => supabase.token({ sub: bob }) });
  assert.deepEqual((await shown(["supabase", "board"], read, "{ pictures, error }")(others, "market")).pictures, []);
  const visitor = createClient(supabase.url, supabase.publishableKey, options);
  assert.equal((await shown(["supabase", "board"], read, "{ pictures, error }")(visitor, "market")).error.code, "42501");
});

test("a row has what the picture's task says", async () => {
  const task = await call("POST", "", { prompt: "A row of houses", target: board });
  const { data } = await notice("task.succeeded", task.id);
  const [row] = await supabase.sql("select * from ai_images where task = $1", [task.id]);
  const [{ url, thumbnailUrl, width, height }] = data.images;
  assert.deepEqual(row, { task: task.id, n: 1, owner: ada, target_kind: "moodboard", target_id: "a", ended_at: new Date(data.completedAt), url, thumbnail_url: thumbnailUrl, width, height, error: null, hidden: false });
});

test("news about the credits is kept in one row, of the latest moment, and logged where somebody must act", async () => {
  const low = await eventually(() => got.find((n) => n.type === "credits.low"), () => "no credits.low");
  const credits = () => supabase.sql("select state, balance, low_below, as_of from ai_credits");
  const row = ({ type, data }) => [{ state: type.slice("credits.".length), balance: data.balance, low_below: data.lowBelow, as_of: new Date(data.asOf) }];
  assert.deepEqual(await credits(), row(low));
  const at = (type, later, balance) => ({ type, data: { balance, lowBelow: 100, asOf: new Date(Date.parse(low.data.asOf) + later).toISOString() } });
  const empty = at("credits.empty", 60_000, 0.5), restored = at("credits.restored", 120_000, 900);
  const lines = await logged(async () => {
    for (const { type, data } of [empty, empty, restored, empty]) assert.equal(await deliver(signed(type, data)), 204);
    assert.equal(await deliver(low), 204);
  });
  assert.deepEqual(lines, [{ message: "the image service needs credits: top them up", type: "credits.empty", data: empty.data }]);
  assert.deepEqual(await credits(), row(restored));
});

test("a notice that nobody signed is refused and changes nothing", async () => {
  const n = picture();
  await forget();
  const old = new Date(Date.now() - 3_600_000);
  const replayed = { body: n.body, headers: { ...n.headers, "webhook-timestamp": String(Math.floor(old / 1000)), "webhook-signature": new Webhook(key).sign(n.headers["webhook-id"], old, n.body) } };
  const { "webhook-signature": signature, ...unsigned } = n.headers;
  const lines = await logged(async () => {
    for (const forged of [{ ...n, body: n.body.replace(ada, bob) }, signed(n.type, n.data, next), replayed, { headers: unsigned, body: n.body }]) assert.equal(await deliver(forged), 401);
  });
  assert.deepEqual(await supabase.sql("select from ai_images"), []);
  assert.deepEqual(lines, Array(4).fill({ message: "no key in NOTIFY_KEY made this signature; the request was refused" }));
});

test("only a POST of a notice's size is read", async () => {
  const get = await fetch(`${supabase.url}/functions/v1/ai-images`);
  assert.equal(get.status, 405);
  const { headers } = signed("task.succeeded", {});
  assert.equal(await deliver({ headers, body: "x".repeat(1 << 20) }), 401);
  assert.equal(await deliver({ headers, body: "x".repeat((1 << 20) + 1) }), 413);
});

test("a test of the operator's is accepted without a word, and with a wrong signature it is not", async () => {
  const notice = signed("test", {});
  assert.deepEqual(await logged(async () => assert.equal(await deliver(notice), 204)), []);
  assert.equal(await deliver({ ...notice, body: notice.body.replace("test", "tests") }), 401);
});

test("what can never be stored is accepted once and said aloud, without its words", async () => {
  const n = picture();
  const { owner, version, images, ...rest } = n.data;
  const broken = {
    "22P02": { ...n.data, owner: "the-page" },
    "23502": rest,
    "22000": { ...n.data, images: [] },
    "22023": { ...n.data, images: { n: 1 } },
    "22P05": { ...n.data, target: { kind: "moodboard", id: "\0" } },
    "22003": { ...n.data, version: 1e12 },
  };
  await forget();
  for (const [code, data] of Object.entries(broken)) {
    const [line, ...more] = await logged(async () => assert.equal(await deliver(signed(n.type, data)), 204));
    assert.deepEqual([line.message, line.code, line.type, line.id, more], ["a notice that cannot be stored was dropped", code, n.type, `made-${n.type}`, []]);
    assert.ok(!JSON.stringify(line).includes(n.data.prompt) && !JSON.stringify(line).includes(images[0].url));
  }
  for (const [type, data] of [["task.succeeded", undefined], ["task.succeeded", null], ["task.succeeded", 7], ["task.praised", n.data.target], ["moodboard.made", n.data], ["credits.low", {}], ["credits.lost", got.find((x) => x.type === "credits.low").data]]) {
    const lines = await logged(async () => assert.equal(await deliver(signed(type, data)), 204, type));
    assert.deepEqual(lines.map((line) => [line.message, line.type]), [["a notice that cannot be stored was dropped", type]]);
  }
  const lines = await logged(async () => {
    for (const body of ["null", "[]", "7"]) {
      const now = new Date();
      assert.equal(await deliver({ headers: { "webhook-id": "odd", "webhook-timestamp": String(Math.floor(now / 1000)), "webhook-signature": new Webhook(key).sign("odd", now, body) }, body }), 204);
    }
  });
  assert.equal(lines.length, 3);
  assert.deepEqual(await supabase.sql("select from ai_images"), []);
  assert.deepEqual(await supabase.sql("select from ai_tasks"), []);
});

test("what the database cannot take now comes again until it can", async () => {
  await supabase.sql("revoke insert on ai_images from service_role");
  const task = await call("POST", "", { prompt: "A bridge in fog", target: board });
  const refused = await eventually(() => hook.log.find((line) => line.includes(task.id)), () => "nothing was logged");
  assert.deepEqual(JSON.parse(refused), { message: "a notice was not stored; it will come again", id: `${task.id}-succeeded-1`, type: "task.succeeded", code: "42501", error: "permission denied for table ai_images" });
  assert.deepEqual(await rows(task.id), { version: null, pictures: [] });
  await supabase.sql("grant insert on ai_images to service_role");
  await notice("task.succeeded", task.id);
  assert.equal((await rows(task.id)).pictures.length, 1);

  await supabase.sql("alter function take_ai_notice(jsonb) rename to gone");
  const lines = await logged(async () => assert.equal(await deliver(picture()), 500));
  await supabase.sql("alter function gone(jsonb) rename to take_ai_notice");
  assert.equal(lines[0].code, "PGRST202");
});

test("a database that does not answer is not waited for longer than the service waits", async () => {
  const task = { ...picture().data, id: "slow" };
  const held = supabase.sql("insert into ai_tasks values ('slow', 1); select pg_sleep(60)").catch((error) => error.code);
  await eventually(async () => (await supabase.sql("select from pg_stat_activity where query like 'insert into ai_tasks%' and wait_event = 'PgSleep'")).length, () => "the row is not held");
  const begun = Date.now();
  const lines = await logged(async () => assert.equal(await deliver(signed("task.succeeded", task)), 500));
  assert.ok(Date.now() - begun < 10_000);
  assert.deepEqual(lines.map(({ message }) => message), ["a notice was not stored; it will come again"]);
  await supabase.sql("select pg_cancel_backend(pid) from pg_stat_activity where query like 'insert into ai_tasks%' and wait_event = 'PgSleep'");
  assert.equal(await held, "57014");
  assert.equal(await deliver(signed("task.succeeded", task)), 204);
  assert.equal((await rows("slow")).pictures.length, task.images.length);
});

test("the function works with each kind of key, and while notifyKeys are replaced", async () => {
  const n = picture();
  await deploy({ SUPABASE_SECRET_KEYS: "", SUPABASE_SERVICE_ROLE_KEY: supabase.serviceRoleKey, NOTIFY_KEY: `${next}, ${key}` });
  for (const signer of [key, next]) {
    await forget();
    assert.equal(await deliver(signed(n.type, n.data, signer)), 204);
    assert.equal((await rows(n.data.id)).version, n.data.version);
  }
  await deploy({ SUPABASE_SECRET_KEYS: JSON.stringify({ images: supabase.secretKey }), SUPABASE_SERVICE_ROLE_KEY: "a key that was switched off", NOTIFY_KEY: next });
  assert.equal(await deliver(signed(n.type, n.data, key)), 401);
  await forget();
  assert.equal(await deliver(signed(n.type, n.data, next)), 204);
  assert.equal((await rows(n.data.id)).version, n.data.version);
  await deploy({ SUPABASE_SECRET_KEYS: JSON.stringify({ default: supabase.publishableKey }) }); // not a secret one
  const lines = await logged(async () => assert.equal(await deliver(n), 500));
  assert.equal(lines[0].code, "42501");
});

test("the function's types are right", () => checkEdgeFunction("ai-images"));

test("a function without its settings does not start, and says which", async () => {
  await assert.rejects(deploy({ NOTIFY_KEY: " " }), /NOTIFY_KEY is missing/);
  await assert.rejects(deploy({ NOTIFY_KEY: `${key} whsec_§` }), /NOTIFY_KEY holds something that is no key/);
  await assert.rejects(deploy({ SUPABASE_SECRET_KEYS: "{}" }), /SUPABASE_SERVICE_ROLE_KEY is missing/);
  await assert.rejects(deploy({ SUPABASE_SECRET_KEYS: supabase.secretKey }), (error) => /SUPABASE_SECRET_KEYS is not JSON/.test(error.message) && !error.message.includes("sb_secret"));
});
