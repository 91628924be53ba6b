// Requests of the package that fail: repetitions, aborts, and sentences for people.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ImagesClient, ImagesError, newKey } from "../client/dist/index.js";
import { startLocal } from "./local.js";
import { gateway, listen, proxy } from "./proxy.js";

let local, token;

before(async () => {
  local = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s", DAILY_QUOTA: "3" });
  token = await local.tokenOf("ada");
});

after(() => local.stop());

const client = (url, options = {}) => new ImagesClient({ url, token, ...options });
const busy = { status: 503, headers: { "Retry-After": "0" }, body: { message: "Service Unavailable" } };
const models = { body: [{ id: "nano-banana" }] };
const id = "4s8gqk1v0n7e2m5c9d3hb6t1ra";

/** The milliseconds between requests. */
const gaps = ({ requests }) => requests.slice(1).map(({ at }, i) => Math.round(at - requests[i].at));

test("an order whose answer is lost is repeated with the same key: one task, charged once", async (t) => {
  const request = { prompt: "A picture over a bad line" };
  const between = await proxy(t, local.base, async (response, { method }, send) => {
    const answer = await send();
    if (method === "POST") request.prompt += ", while its text is still being written"; // does not change the order
    const n = between.requests.filter((r) => r.method === "POST").length;
    if (method === "POST" && n === 1) return response.destroy(), undefined;
    if (method === "POST" && n === 2) return response.writeHead(202, { "Content-Length": answer.body.length }), response.write(answer.body.subarray(0, 40)), setTimeout(() => response.destroy(), 50), undefined;
    return answer;
  });
  const c = client(between.url);
  const before = (await c.credits()).quota.used;
  const task = await c.create(request);
  assert.equal(task.prompt, "A picture over a bad line");
  assert.equal(new Set(between.requests.filter((r) => r.method === "POST").map((r) => r.headers["idempotency-key"])).size, 1);
  assert.equal(between.requests.filter((r) => r.method === "POST").length, 3);
  assert.deepEqual((await c.list()).tasks.map((t) => t.id), [task.id]);
  assert.equal((await c.credits()).quota.used, before + 1);
  assert.notEqual((await c.create({ prompt: "A picture over a bad line" })).id, task.id, "another click has another key");
});

test("an order that is given again after no clear answer is the same order, without a key too", async (t) => {
  const request = { prompt: "A picture that is clicked again" };
  let answers = "lost";
  const between = await proxy(t, local.base, async (response, { method }, send) => {
    if (method === "POST" && answers === "refused") return { status: 422, body: '{"code":"invalid_request","detail":"No."}' };
    const answer = await send();
    if (method === "POST" && answers === "lost") return response.destroy(), undefined;
    return answer;
  });
  const c = client(between.url, { token: await local.tokenOf("clicker"), tries: 1 });
  const keys = () => between.requests.filter((r) => r.method === "POST").map((r) => r.headers["idempotency-key"]);
  await assert.rejects(c.create(request), { code: "no_connection", hint: /Nothing is charged twice/ });
  await assert.rejects(c.create({ prompt: "Another picture" }), { code: "no_connection" });
  answers = "refused";
  for (const _ of [1, 2]) await assert.rejects(c.create({ prompt: "Refused" }), { code: "invalid_request" });
  answers = "whole";
  const { id } = await c.create(request);
  assert.equal((await c.list()).tasks.length, 2);
  assert.notEqual((await c.create(request)).id, id, "then it is a new order");
  const [first, ...others] = keys();
  assert.deepEqual(others.map((key) => key === first), [false, false, false, true, false]);
  assert.equal(new Set(others).size, 5);
});

test("keys are random, and need no secure page", (t) => {
  const { randomUUID } = crypto;
  t.after(() => { crypto.randomUUID = randomUUID; });
  crypto.randomUUID = undefined;
  const keys = Array.from({ length: 1000 }, newKey);
  assert.equal(new Set(keys).size, 1000);
  assert.ok(keys.every((key) => /^[0-9a-f]{32}$/.test(key)));
});

test("Retry-After is respected, as seconds and as a date", async (t) => {
  const seconds = await gateway(t, { ...busy, headers: { "Retry-After": "1" } }, models);
  await client(seconds.url).models();
  assert.ok(gaps(seconds)[0] >= 990 && gaps(seconds)[0] < 1900, `${gaps(seconds)}`);

  // The server's clock is an hour ahead of ours: what counts is the distance between its two dates.
  const clock = Date.now() + 3_600_000;
  const date = await gateway(t, { ...busy, headers: { Date: new Date(clock).toUTCString(), "Retry-After": new Date(clock + 2000).toUTCString() } }, models);
  await client(date.url).models();
  assert.ok(gaps(date)[0] >= 1990 && gaps(date)[0] < 2900, `${gaps(date)}`);

  const hour = await gateway(t, { ...busy, headers: { "Retry-After": "3600" } });
  await assert.rejects(client(hour.url).models(), { status: 503, retryAfter: 3600, temporary: true });
  assert.equal(hour.requests.length, 1, "nobody is kept waiting for an hour");
});

test("without Retry-After the pauses grow", async (t) => {
  const down = await gateway(t, { status: 502, body: "<html><h1>Bad Gateway</h1></html>" });
  await assert.rejects(client(down.url, { tries: 4 }).models(), { status: 502, code: "gateway" });
  const [a, b, c] = gaps(down);
  assert.ok(down.requests.length === 4 && a >= 370 && b >= 740 && c >= 1490 && c < 2700, `${gaps(down)}`);
});

test("only what may succeed is repeated", async (t) => {
  for (const [status, code, sent] of [[400, "invalid_request", 1], [402, "insufficient_credits", 1], [403, "forbidden", 1], [404, "not_found", 1], [409, "conflict", 1], [422, "prompt_rejected", 1],
    [429, "quota_exceeded", 1], [429, "rate_limited", 3], [500, "internal", 3], [503, "paused", 3], [503, "unavailable", 3]]) {
    const api = await gateway(t, { status, headers: { "Retry-After": "0" }, body: { status, code, detail: "A sentence.", hint: "A hint.", requestId: "r1" } });
    await assert.rejects(client(api.url, { tries: 3 }).create({ prompt: "x" }), { status, code, message: "A sentence.", hint: "A hint.", requestId: "r1", temporary: sent > 1 });
    assert.equal(api.requests.length, sent, code);
    assert.equal(new Set(api.requests.map(({ headers }) => headers["idempotency-key"])).size, 1);
  }
});

test("the day's quota is an error that says when it ends", async () => {
  const c = client(local.base, { token: await local.tokenOf("grace") });
  await assert.rejects(c.create({ prompt: "Too many", numImages: 4 }), (error) => {
    assert.deepEqual([error.status, error.code, error.temporary], [429, "quota_exceeded", false]);
    return error.retryAfter > 0 && error.retryAfter <= 86_400;
  });
});

/** A sentence for people: no code, no markup, nothing of the transport. */
function checkSentences(error) {
  assert.ok(error instanceof ImagesError && error.name === "ImagesError");
  for (const text of [error.message, error.hint]) assert.match(text, /^[A-Z][^<>{}_]*[.!?]$/);
  assert.doesNotMatch(error.message + error.hint, /fetch|HTTP|JSON|ECONN|undefined|Too Many Requests|Forbidden|Gateway|Endpoint/);
  return true;
}

test("every message is a sentence for people", async (t) => {
  const { url: closed, server } = await listen(t, () => {});
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(client(closed, { tries: 1 }).models(), (e) => e.code === "no_connection" && e.status === 0 && e.temporary && checkSentences(e));

  for (const status of [401, 403, 404, 405, 408, 413, 418, 429, 500, 502, 503, 504]) {
    for (const body of [{ message: "Endpoint request timed out" }, "<html><body>403 Forbidden</body></html>", "", "null", '{"code":7,"detail":"x"}']) {
      const api = await gateway(t, { status, body });
      await assert.rejects(client(api.url, { tries: 1 }).get(id), (e) => e.status === status && e.code === "gateway" && checkSentences(e));
    }
  }
  for (const body of ["<html>Welcome to our hotel</html>", '{"tasks": [', "", "null", '"x"']) {
    const api = await gateway(t, { status: 200, body });
    await assert.rejects(client(api.url, { tries: 1 }).list(), (e) => e.status === 200 && e.code === "unreadable" && e.temporary && checkSentences(e));
  }
  const lost = client("http://127.0.0.1:1", { tries: 1, token: () => Promise.reject(new Error("supabase: no network")) });
  await assert.rejects(lost.credits(), (e) => e.code === "no_token" && e.cause.message === "supabase: no network" && checkSentences(e));
});

test("a request that never gets an answer ends with a sentence", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const never = (_, { signal }) => new Promise((_, reject) => { signal.addEventListener("abort", () => reject(signal.reason)); });
  const asked = client("http://127.0.0.1:1", { tries: 1, fetch: never }).models();
  const failed = assert.rejects(asked, (e) => e.code === "timeout" && e.temporary && checkSentences(e));
  await null;
  t.mock.timers.tick(39_000);
  assert.equal(await Promise.race([asked.catch(() => "failed"), new Promise((resolve) => setImmediate(resolve, "waits"))]), "waits");
  t.mock.timers.tick(1001);
  await failed;
});

test("an unreadable answer is repeated", async (t) => {
  const cut = (_request, response) => { response.writeHead(200, { "Content-Length": 100 }); response.write("[{"); setTimeout(() => response.destroy(), 20); };
  const api = await gateway(t, { body: "<html>" }, cut, models);
  assert.deepEqual(await client(api.url).models(), models.body);
  assert.equal(api.requests.length, 3);
});

const target = { kind: "moodboard", id: "x" };
const calls = {
  create: (c, signal) => c.create({ prompt: "x" }, { signal }),
  quote: (c, signal) => c.quote({ prompt: "x" }, { signal }),
  get: (c, signal) => c.get(id, { signal }),
  wait: (c, signal) => c.wait(id, { signal }),
  "wait for several": (c, signal) => c.wait([id, id], { signal }),
  list: (c, signal) => c.list({ signal }),
  all: async (c, signal) => { for await (const _ of c.all({ signal })); },
  upload: (c, signal) => c.upload(new Blob(["x"], { type: "image/png" }), { signal }),
  credits: (c, signal) => c.credits({ signal }),
  models: (c, signal) => c.models({ signal }),
  move: (c, signal) => c.move(id, target, { signal }),
  delete: (c, signal) => c.delete(id, { signal }),
  cancel: (c, signal) => c.cancel(id, { signal }),
};

test("every method can be aborted: before, during a request, in a pause, and while the token is fetched", async (t) => {
  const covered = new Set(Object.keys(calls).map((name) => name.split(" ")[0]));
  assert.deepEqual([...covered].sort(), Object.getOwnPropertyNames(ImagesClient.prototype).filter((name) => name !== "constructor").sort());
  const reason = new Error("the page was left");
  for (const [name, call] of Object.entries(calls)) {
    const silent = await gateway(t, () => {});
    await assert.rejects(call(client(silent.url), AbortSignal.abort(reason)), reason, name);
    assert.equal(silent.requests.length, 0, `${name} sends nothing`);

    const during = new AbortController();
    const asked = call(client(silent.url), during.signal);
    while (silent.requests.length === 0) await new Promise(setImmediate);
    during.abort(reason);
    await assert.rejects(asked, reason, name);

    let sent = 0;
    const busy = async () => { sent++; return new Response("{}", { status: 503, headers: { "Retry-After": "50" } }); };
    const pausing = new AbortController();
    const repeated = call(client(silent.url, { fetch: busy }), pausing.signal);
    while (sent === 0) await new Promise(setImmediate);
    await new Promise(setImmediate); // the answer has been read
    pausing.abort(reason);
    await assert.rejects(repeated, reason, name);
    assert.equal(sent, 1);

    if (name === "models") continue; // it needs no token
    const signing = new AbortController();
    const waits = call(client(silent.url, { token: () => new Promise(() => {}) }), signing.signal);
    await new Promise(setImmediate);
    signing.abort(reason);
    await assert.rejects(waits, reason, name);
  }
});

test("a server acts for a user with a service token, and nobody needs one for the models", async (t) => {
  const api = await gateway(t, models);
  const c = client(api.url + "//", { token: "nbs_secret", onBehalfOf: "user-1" });
  await c.credits();
  await c.models();
  const [credits, open] = api.requests;
  assert.deepEqual([credits.url, credits.headers.authorization, credits.headers["on-behalf-of"]], ["/v1/credits", "Bearer nbs_secret", "user-1"]);
  assert.deepEqual([open.headers.authorization, open.headers["on-behalf-of"]], [undefined, undefined]);
  assert.throws(() => new ImagesClient({ token }), { name: "TypeError", message: /needs url/ });
});

test("an id is part of the path, whatever it holds", async (t) => {
  const api = await gateway(t, { status: 204, body: "" });
  await client(api.url).delete("../credits?x=1#y");
  assert.equal(api.requests[0].url, "/v1/tasks/..%2Fcredits%3Fx%3D1%23y");
});
