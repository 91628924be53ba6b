// What docs/supabase.md shows, as it stands there, against notices of a running bin/local:
// the SQL in PostgreSQL, the function in Node.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import ts from "typescript";

import { startLocal } from "./local.js";
import { startPostgres } from "./postgres.js";

const ada = "7b0f6f0e-3f0a-4c57-9d0b-5d6f1f1b7a2c", bob = "11111111-2222-4333-8444-555555555555";
const key = "whsec_" + Buffer.from("n".repeat(36)).toString("base64");
const board = { kind: "moodboard", id: "a" }, showcase = { kind: "showcase", id: "b's" };
let database, receiver, local, token, take;
const got = []; // notices that the function has answered 2xx, oldest first

before(async () => {
  const page = await readFile(new URL("../../docs/supabase.md", import.meta.url), "utf8");
  const [tables] = blocks(page, "sql"), [source] = blocks(page, "ts");
  database = await startPostgres();
  await database.sql(tables);

  globalThis.Deno = {
    env: { get: (name) => ({ NOTIFY_KEY: key, SUPABASE_URL: "http://localhost", SUPABASE_SERVICE_ROLE_KEY: "service_role" })[name] },
    serve: (handler) => { take = handler; },
  };
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: "esnext", target: "es2022" }, reportDiagnostics: true });
  await mkdir(new URL("build", import.meta.url), { recursive: true });
  const file = new URL("build/ai-images.js", import.meta.url);
  await writeFile(file, outputText.replace("npm:standardwebhooks@1", "standardwebhooks").replace("npm:@supabase/supabase-js@2", "../postgres.js"));
  await import(file);

  receiver = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const notice = { headers: request.headers, body: Buffer.concat(chunks).toString() };
    const { status } = await deliver(notice);
    if (status < 300) got.push({ ...notice, ...JSON.parse(notice.body) });
    response.writeHead(status).end();
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  local = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s", NOTIFY_URL: `http://127.0.0.1:${receiver.address().port}/hook`, NOTIFY_KEY: key });
  token = await local.tokenOf(ada);
});

after(async () => {
  await local?.stop();
  receiver?.close();
  await database?.stop();
});

/** Returns the blocks of a page in a language. */
const blocks = (page, language) => [...page.matchAll(new RegExp("```" + language + "\n([^]*?)```", "g"))].map(([, text]) => text);

/** Calls the documented function as Supabase does. */
const deliver = ({ headers, body }) => take(new Request("http://localhost/ai-images", { method: "POST", headers, body }));

/** Calls the API as ada and returns the answer's body, if it has one. */
async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) };
  const answer = await fetch(`${local.base}/v1/tasks${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
}

/** Waits for the notice of a task with this type. */
async function notice(type, task) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const found = got.find((n) => n.type === type && n.data.id === task);
    if (found) return found;
  }
  assert.fail(`no ${type} came of ${task}: ${got.map((n) => n.type)}`);
}

/** Returns the rows of a task, and the version that was taken. */
const rows = async (task) => JSON.parse(await database.sql(`select json_build_object('version', (select version from ai_tasks where id = '${task}'),
  'pictures', coalesce((select json_agg(json_build_array(n, target_kind, target_id, url is not null, error is not null) order by n) from ai_images where task = '${task}'), '[]'))`));

const forget = () => database.sql("truncate ai_images, ai_tasks");

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
  ["a picture", { prompt: "A lighthouse at dusk", numImages: 2 }, "task.succeeded", [[1, "showcase", "b's", true, false], [2, "showcase", "b's", true, false]]],
  ["a failure", { prompt: "A lighthouse at dusk" }, "task.failed", [[0, "showcase", "b's", false, true]]],
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
        for (const n of order) assert.equal((await deliver(n)).status, 204);
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
    await Promise.all([first, deleted, first].map(async (x) => assert.equal((await deliver(x)).status, 204)));
    assert.deepEqual(await rows(task.id), { version: 2, pictures: [] });
  }
});

test("only the owner sees the rows, and nobody else writes them", async () => {
  const task = await call("POST", "", { prompt: "A garden", target: board });
  await notice("task.succeeded", task.id);
  const seen = (owner) => database.sql(`set role authenticated; set request.jwt.sub = '${owner}'; select count(*) from ai_images where task = '${task.id}'`);
  assert.deepEqual([await seen(ada), await seen(bob)], ["1", "0"]);
  await assert.rejects(database.sql(`set role authenticated; select take_ai_notice('{}')`), /permission denied/);
  assert.equal(await database.sql("set role authenticated; select count(*) from ai_tasks"), "0");
});

test("a forged notice changes nothing", async () => {
  const [n] = got;
  const forged = { headers: n.headers, body: n.body.replace(ada, bob) };
  assert.equal((await deliver(forged)).status, 401);
});
