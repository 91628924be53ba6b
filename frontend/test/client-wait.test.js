// Waiting with the package: everything that a client waits for shares one connection.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, afterEach, before, test } from "node:test";

import { ImagesClient, ImagesError } from "../client/dist/index.js";
import { startLocal } from "./local.js";
import { gateway, proxy } from "./proxy.js";

const target = { kind: "moodboard", id: "waits" };
let local, token;

before(async () => {
  local = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s" });
  token = await local.tokenOf("ada");
});

after(() => local.stop());
afterEach(() => local.simulate());

/** A client through a proxy that counts, or past it. */
const client = (url = local.base, options = {}) => new ImagesClient({ url, token, ...options });

/** The ids of so many new orders. */
async function order(count) {
  const c = client();
  const tasks = await Promise.all(Array.from({ length: count }, (_, i) => c.create({ prompt: `A picture that is waited for: ${i}`, target })));
  return tasks.map(({ id }) => id);
}

/** Resolves when the condition holds. */
async function until(condition, what, seconds = 20) {
  for (const end = performance.now() + seconds * 1000; !await condition();) {
    assert.ok(performance.now() < end, `${what} does not happen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const waiting = ({ requests, open }) => open === 1 && /[?&]wait=/.test(requests.at(-1).url);

test("seven waits use one connection at a time, and each ends at once", async (t) => {
  const between = await proxy(t, local.base);
  const c = client(between.url);
  const ids = await order(7);
  const late = [];
  const tasks = await Promise.all(ids.map(async (id) => {
    const task = await c.wait(id);
    late.push(Date.now() - Date.parse(task.completedAt));
    return task;
  }));
  assert.deepEqual(tasks.map((task) => [task.id, task.status]), ids.map((id) => [id, "succeeded"]));
  assert.equal(between.most, 1);
  assert.ok(Math.max(...late) < 1500, `the pictures are shown ${late} ms after they were finished`);
  assert.equal(new Set(between.requests[0].url.match(/[0-9a-v]{26}/g)).size, 7, "waits that begin together share the first request");
});

test("120 waits use one connection at a time, at most 50 tasks in a request", async (t) => {
  const between = await proxy(t, local.base);
  const c = client(between.url);
  const late = [];
  const tasks = await Promise.all((await order(120)).map(async (id) => {
    const task = await c.wait(id);
    late.push(Date.now() - Date.parse(task.completedAt));
    return task;
  }));
  assert.ok(tasks.every((task) => task.status === "succeeded"));
  assert.ok(Math.max(...late) < 11_000, `${late}`);
  assert.equal(between.most, 1);
  const asked = between.requests.map(({ url }) => url.match(/[0-9a-v]{26}/g).length);
  assert.ok(Math.max(...asked) <= 50);
  assert.ok(between.requests.length < 120, `${between.requests.length} requests`);
});

test("a task that joins while others are waited for loses no time", async (t) => {
  const between = await proxy(t, local.base);
  const c = client(between.url);
  await local.simulate({ slow: true });
  const stop = new AbortController();
  const slow = c.wait((await order(1))[0], { signal: stop.signal });
  await local.simulate();
  await until(() => waiting(between), "a long poll");
  const [id] = await order(1);
  const changes = [];
  const joined = performance.now();
  const task = await c.wait(id, { onChange: ({ status }) => changes.push([status, performance.now() - joined]) });
  assert.ok(changes[0][1] < 1000, `it is first shown after ${changes[0][1]} ms`);
  assert.ok(Date.now() - Date.parse(task.completedAt) < 1500);
  const twice = [];
  const again = c.wait(id, { onChange: ({ status }) => twice.push(status) });
  assert.equal((await again).status, "succeeded");
  assert.deepEqual(twice, ["succeeded"]);
  stop.abort();
  await assert.rejects(slow, { name: "AbortError" });
});

test("two waits for one task see the same, and the second at once", async (t) => {
  const between = await proxy(t, local.base);
  const c = client(between.url);
  await local.simulate({ slow: true });
  const [id] = await order(1);
  const first = new AbortController();
  const one = c.wait(id, { signal: first.signal });
  await until(() => waiting(between), "a long poll");
  const before = between.requests.length;
  const shown = await new Promise((resolve) => { void c.wait(id, { onChange: resolve, signal: first.signal }).catch(() => {}); });
  assert.deepEqual([shown.id, shown.done, between.requests.length], [id, false, before]);
  first.abort();
  await assert.rejects(one);
});

test("an aborted wait does not disturb the others, and the last ends the connection", async (t) => {
  const between = await proxy(t, local.base);
  const c = client(between.url);
  await local.simulate({ slow: true });
  const [a, b] = await order(2);
  const stops = [new AbortController(), new AbortController()];
  const waits = [a, b].map((id, i) => c.wait(id, { signal: stops[i].signal }));
  await until(() => waiting(between), "a long poll");
  const before = between.requests.length;
  stops[0].abort(new Error("the page was left"));
  await assert.rejects(waits[0], { message: "the page was left" });
  assert.deepEqual([between.open, between.requests.length], [1, before], "the other still waits in the same request");
  stops[1].abort();
  await assert.rejects(waits[1], { name: "AbortError" });
  await until(() => between.open === 0, "the end of the connection", 5);
  await local.simulate();
  assert.equal((await c.wait((await order(1))[0])).status, "succeeded", "the client can wait again");
  await assert.rejects(c.wait(b, { signal: AbortSignal.abort(new Error("too late")) }), { message: "too late" });
});

test("a wait for several tasks resolves in their order, and fails with one that is gone", async (t) => {
  const ids = await order(3);
  assert.deepEqual((await client().wait([...ids, ids[0]])).map((task) => task.id), [...ids, ids[0]]);
  assert.deepEqual(await client().wait([]), []);
  const warnings = [];
  const warn = (warning) => warnings.push(warning);
  process.on("warning", warn);
  t.after(() => process.off("warning", warn));
  const all = new AbortController();
  const many = client().wait(Array.from({ length: 60 }, (_, i) => `${i}`.padStart(26, "0")), { signal: all.signal });
  all.abort();
  await assert.rejects(many, { name: "AbortError" });
  await new Promise(setImmediate);
  assert.deepEqual(warnings, [], "Node sees no leak of listeners");
  const between = await proxy(t, local.base);
  await local.simulate({ slow: true });
  const [slow] = await order(1);
  await assert.rejects(client(between.url).wait([slow, "0".repeat(26)]), { code: "not_found" });
  await until(() => between.open === 0, "the end of the connection", 5);
  assert.equal(between.requests.length, 1, "the others are not waited for any longer");
});

test("a task that is deleted elsewhere ends its wait, and no other", async (t) => {
  await local.simulate({ refuse: "rateLimit" });
  const [a] = await order(1);
  await local.simulate({ slow: true });
  const [b] = await order(1);
  const between = await proxy(t, local.base);
  const c = client(between.url);
  const stop = new AbortController();
  const gone = c.wait(a, { onChange: ({ status }) => status === "waiting" && client().delete(a) });
  const other = c.wait(b, { signal: stop.signal });
  await assert.rejects(gone, (error) => {
    assert.ok(error instanceof ImagesError);
    assert.deepEqual([error.code, error.status, error.message], ["not_found", 404, "This picture is no longer there."]);
    return error.hint !== "";
  });
  await until(() => waiting(between) && between.requests.at(-1).url.includes(`ids=${b}&`), "a long poll for the other");
  stop.abort();
  await assert.rejects(other, { name: "AbortError" });
});

test("a wait survives that the server is killed and starts again", async (t) => {
  const server = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s" });
  t.after(() => server.stop());
  const c = client(server.base, { token: await server.tokenOf("ada") });
  const { id } = await c.create({ prompt: "A picture through a power cut" });
  const seen = [];
  const done = c.wait(id, { onChange: ({ status }) => seen.push(status) });
  await until(() => seen.length > 0, "a first look");
  await server.kill();
  await new Promise((resolve) => setTimeout(resolve, 1500)); // it is away for so long
  await server.restart();
  assert.equal((await done).status, "succeeded");
});

test("onChange that throws fails its own wait alone", async () => {
  const ids = await order(2);
  const c = client();
  const [one, other] = await Promise.allSettled([c.wait(ids[0], { onChange() { throw new Error("a fault of the page"); } }), c.wait(ids[1])]);
  assert.deepEqual([one.reason?.message, other.value?.status], ["a fault of the page", "succeeded"]);
});

test("a task that has ended has its whole prompt", async () => {
  const prompt = "🍌 ".repeat(200) + "and a boat";
  const { id } = await client().create({ prompt });
  const shown = [];
  const task = await client().wait(id, { onChange: ({ prompt }) => shown.push(prompt) });
  assert.deepEqual([task.prompt, shown.at(-1)], [prompt, prompt]);
});

test("the token is requested before each poll, and a renewed one is used at once", async (t) => {
  const running = { id: "4s8gqk1v0n7e2m5c9d3hb6t1ra", status: "generating", done: false, prompt: "x", images: [], progress: { elapsedSeconds: 1, expectedSeconds: 20 } };
  const ended = { ...running, status: "succeeded", done: true };
  const page = (task) => ({ headers: { ETag: '"a"' }, body: { tasks: [task] } });
  const expired = { status: 401, headers: { "Content-Type": "application/problem+json" }, body: { code: "unauthorized", detail: "Please sign in.", hint: "Sign in again.", requestId: "r" } };
  const api = await gateway(t, page(running), expired, page(ended));
  const tokens = ["one", "two", "three", "four"];
  await client(api.url, { token: () => tokens.shift() }).wait(running.id);
  assert.deepEqual(api.requests.map(({ headers }) => headers.authorization), ["Bearer one", "Bearer two", "Bearer three"]);

  const out = await gateway(t, page(running), expired);
  await assert.rejects(client(out.url).wait(running.id), { code: "unauthorized", message: "Please sign in." });
  assert.equal(out.requests.length, 2, "the same token is not sent again");
});

test("unchanged tasks are an empty 304, asked for with the ETag", async (t) => {
  const server = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s", WAIT_MAX: "3" });
  t.after(() => server.stop());
  await server.simulate({ slow: true });
  const between = await proxy(t, server.base);
  const c = client(between.url, { token: await server.tokenOf("ada") });
  const { id } = await c.create({ prompt: "A slow picture" });
  const stop = new AbortController();
  const wait = c.wait(id, { signal: stop.signal });
  const polls = () => between.requests.filter(({ method, status }) => method === "GET" && status !== undefined);
  await until(() => polls().some(({ status }) => status === 304), "a 304");
  const [first, second] = polls();
  assert.deepEqual([first.headers["if-none-match"], first.status, /wait=/.test(first.url)], [undefined, 200, false]);
  assert.match(second.headers["if-none-match"], /^"[\w-]{22}"$/);
  stop.abort();
  await assert.rejects(wait);
});

test("a wait that the server or a proxy cuts short is no busy loop", async (t) => {
  const server = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s", WAIT_MAX: "0" });
  t.after(() => server.stop());
  await server.simulate({ slow: true });
  // A proxy that drops the ETag, and so makes every answer whole.
  const without = await proxy(t, server.base, async (_response, { method }, send) => {
    const answer = await send();
    if (method === "GET") delete answer.headers.etag;
    return answer;
  });
  const all = await proxy(t, server.base);
  await Promise.all([all, without].map(async (between) => {
    const c = client(between.url, { token: await server.tokenOf("ada") });
    const { id } = await c.create({ prompt: "A slow picture" });
    const stop = new AbortController();
    const wait = c.wait(id, { signal: stop.signal });
    const polls = () => between.requests.filter(({ method }) => method === "GET");
    await until(() => polls().length >= 5, "the fifth poll");
    stop.abort();
    await assert.rejects(wait);
    const times = polls().map(({ at }) => at);
    assert.ok(times[4] - times[1] > 2 * 2900, `polls at ${times.map(Math.round)}`);
  }));
});

test("waits fail when the service stays away, or refuses", async (t) => {
  const away = await gateway(t, { status: 503, headers: { "Retry-After": "0" }, body: { message: "Service Unavailable" } });
  const c = client(away.url, { tries: 2 });
  const both = await Promise.allSettled([c.wait("a".repeat(26)), c.wait("b".repeat(26))]);
  assert.deepEqual(both.map(({ reason }) => [reason.code, reason.temporary]), [["gateway", true], ["gateway", true]]);
  assert.equal(away.requests.length, 8);

  const refusing = await gateway(t, { status: 403, body: { message: "Forbidden" } });
  await assert.rejects(client(refusing.url).wait("a".repeat(26)), { status: 403 });
  assert.equal(refusing.requests.length, 1);

  const other = await gateway(t, { body: { hello: "from a hotel's sign-in page" } });
  await assert.rejects(client(other.url, { tries: 1 }).wait("a".repeat(26)), { code: "unreadable" });
});

test("a program ends when its waits have ended or are aborted", async () => {
  await local.simulate({ slow: true });
  const [slow] = await order(1);
  await local.simulate();
  const [quick] = await order(1);
  const program = spawn(process.execPath, ["--input-type=module", "-e", `
    import { ImagesClient } from ${JSON.stringify(new URL("../client/dist/index.js", import.meta.url).href)};
    const images = new ImagesClient({ url: process.argv[1], token: process.argv[2] });
    const stop = new AbortController();
    const slow = images.wait(process.argv[3], { signal: stop.signal }).catch((e) => e.name);
    const { status } = await images.wait(process.argv[4]);
    stop.abort();
    console.log(status, await slow);`, local.base, token, slow, quick], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "", printed;
  program.stdout.on("data", (chunk) => { output += chunk; printed = performance.now(); });
  const code = await new Promise((resolve) => program.on("exit", resolve));
  assert.deepEqual([code, output], [0, "succeeded AbortError\n"]);
  assert.ok(performance.now() - printed < 2000, "no timer or connection keeps it alive");
});
