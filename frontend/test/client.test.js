// The example client against a running bin/local; `make test-web` builds both.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { Client } from "./build/client/src/client.js";
import { faults, moodboardItems, presetStatus, price, share } from "./build/client/src/moodboard.js";
import { startLocal } from "./local.js";

const contract = new URL("../../openapi.yaml", import.meta.url).pathname;
const target = { kind: "moodboard", id: "web" };
let local, base, token;
let tokens = 0; // how often the token was requested
const client = (options = {}) => new Client({ base, token: async () => { tokens++; return token; }, ...options });

before(async () => {
  local = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s" });
  base = local.base;
  token = await local.tokenOf("ada");
});

after(() => local.stop());

test("the contract is served unchanged", async () => {
  const answer = await fetch(base + "/openapi.yaml");
  assert.equal(answer.headers.get("Content-Type"), "application/yaml");
  assert.equal(await answer.text(), await readFile(contract, "utf8"));
});

test("the statuses map to Preset's as in the contract", async () => {
  const [, block] = /x-preset-status:\n((?: {8}\w+: \w+\n)+)/.exec(await readFile(contract, "utf8"));
  const map = Object.fromEntries(block.trim().split("\n").map((line) => line.trim().split(": ")));
  assert.deepEqual(map, presetStatus);
});

test("a request is carried out once, followed, listed, edited and mapped", async () => {
  const c = client(), key = crypto.randomUUID(), request = { prompt: "A lighthouse at dusk", aspectRatio: "4:3", numImages: 2, target };
  const first = await c.submit(request, key);
  assert.equal(first.replayed, false);
  const again = await c.submit(request, key);
  assert.deepEqual([again.replayed, again.task.id], [true, first.task.id]);

  const seen = [], shares = [];
  const before = tokens;
  const done = await c.wait(first.task.id, (t) => { seen.push(t.status); shares.push(share(t)); });
  assert.equal(done.status, "succeeded");
  assert.equal(done.progress, undefined);
  assert.ok(new Set(seen).size === seen.length, `each change is reported once: ${seen}`);
  assert.ok(shares.slice(0, -1).every((s) => s >= 0 && s < 1) && shares.at(-1) === 1, `${shares}`);
  assert.ok(tokens - before >= seen.length, "the token is requested before each call");

  const edit = await c.submit({ prompt: "The same, in snow", imageUrls: [`task:${done.id}/2`], target }, crypto.randomUUID());
  assert.equal((await c.wait(edit.task.id)).parent, done.id);

  const items = moodboardItems(await all(c.list(target)));
  assert.equal(items.length, 3);
  const loose = await c.submit({ prompt: "A harbour" }, crypto.randomUUID()); // without a target
  const ids = async (...what) => (await all(c.list(...what))).map(({ id }) => id);
  assert.deepEqual((await ids()).slice(0, 3), [loose.task.id, edit.task.id, done.id]);
  assert.deepEqual(await ids(undefined, { since: new Date(edit.task.createdAt) }), [loose.task.id, edit.task.id]);
  assert.deepEqual(await ids(target, { since: new Date(edit.task.createdAt) }), [edit.task.id]);
  for (const item of items) {
    assert.deepEqual(Object.keys(item).sort(), ["enhanced_url", "enhancement_status", "enhancement_task_id", "height", "original_url", "source", "thumbnail_url", "width"]);
    assert.deepEqual([item.source, item.enhancement_status], ["ai-enhanced", "completed"]);
    for (const link of [item.enhanced_url, item.thumbnail_url]) {
      const picture = await fetch(link);
      assert.equal(picture.status, 200);
      assert.match(picture.headers.get("Content-Type"), /^image\//);
    }
    assert.ok(item.width > 0 && item.height > 0);
  }
  assert.equal(items[0].original_url, done.images[1].url);
  assert.equal(items[1].original_url, null);
});

test("an item without a thumbnail has only its picture", () => {
  const image = { n: 1, url: "https://a.example/1.webp", width: 3, height: 4, bytes: 5, contentType: "image/webp", sha256: "", damaged: true };
  const [item] = moodboardItems([{ id: "x", status: "succeeded", images: [image] }]);
  assert.deepEqual([item.enhanced_url, item.thumbnail_url, item.enhancement_status], [image.url, null, "completed"]);
});

test("an edit of an upload has the kept copy as its original", () => {
  const task = { id: "x", status: "succeeded", images: [{ n: 1, url: "https://a.example/1.png" }], imageUrls: ["upload:u", "upload:v"] };
  const copy = (n) => ({ n, url: `https://a.example/${n}-input.jpg`, width: 3, height: 4 });
  assert.equal(moodboardItems([{ ...task, inputs: [copy(1), copy(2)] }])[0].original_url, copy(1).url);
  assert.equal(moodboardItems([{ ...task, inputs: [copy(2)] }])[0].original_url, null);
  assert.equal(moodboardItems([task])[0].original_url, null);
});

async function all(generator) {
  const found = [];
  for await (const x of generator) found.push(x);
  return found;
}

test("a refused prompt has an explanation, and its item has failed", async () => {
  await local.simulate({ refuse: "policy" });
  try {
    const { task } = await client().submit({ prompt: "What nobody may see" }, crypto.randomUUID());
    const done = await client().wait(task.id);
    assert.deepEqual([done.status, done.error.code, done.error.retryable], ["failed", "content_policy", false]);
    assert.ok(done.error.message && done.error.hint);
    assert.deepEqual(moodboardItems([done]).map((i) => [i.enhancement_status, i.enhanced_url]), [["failed", null]]);
  } finally {
    await local.simulate();
  }
});

test("an invalid request is a problem that names its fields", async () => {
  await assert.rejects(client().submit({ prompt: "x", resolution: "4K", numImages: 9 }, crypto.randomUUID()), (e) => {
    assert.deepEqual([e.name, e.status, e.code], ["ApiError", 422, "invalid_request"]);
    assert.deepEqual(e.fields.map((f) => f.pointer).sort(), ["/numImages", "/resolution"]);
    assert.equal(e.message, e.fields.map((f) => f.message).join(" ")); // the sentences for people, not "a mistake"
    return e.hint !== "" && e.requestId !== "";
  });
  await assert.rejects(client({ token: async () => "" }).wait("x"), { status: 401, code: "unauthorized" });
  await assert.rejects(client().wait("0".repeat(26)), { status: 404, code: "not_found" });
});

test("a quote has the price and every problem, and names the task of its key", async () => {
  const request = { prompt: "A quoted boat", numImages: 2 }, key = crypto.randomUUID();
  assert.deepEqual([(await client().quote(request, key)).estimate, (await client().quote(request, key)).problems], [8, []]);
  const faulty = await client().quote({ prompt: "a nude woman", resolution: "4K", imageUrls: [`upload:${"0".repeat(25)}p`] });
  assert.deepEqual(faulty.problems.map((p) => [p.status, p.code]), [[422, "invalid_request"], [422, "prompt_rejected"]]);
  assert.deepEqual(faulty.problems[0].errors.map((e) => e.pointer), ["/resolution", "/imageUrls/0"]);
  const { task } = await client().submit(request, key);
  const quoted = await client().quote(request, key);
  assert.deepEqual([quoted.task.id, quoted.problems], [task.id, []]);
});

test("faults finds what the server refuses", async () => {
  const models = await client().models();
  for (const model of models) {
    for (const resolution of [undefined, "1K", "8K"]) {
      for (const aspectRatio of [undefined, "21:9", "8:1"]) {
        for (const numImages of [undefined, 4, 5]) {
          const request = { prompt: "A boat", model: model.id, resolution, aspectRatio, numImages };
          const refused = await client().submit(request, crypto.randomUUID()).then(() => [], (e) => { assert.equal(e.status, 422); return e.fields; });
          assert.equal(faults(request, models).length, refused.length, JSON.stringify(request));
        }
      }
    }
  }
  assert.deepEqual(faults({ prompt: "🍌".repeat(5000) }, models), []);
  assert.equal(faults({ prompt: " " }, models).length, 1);
  assert.equal(price({ prompt: "x", numImages: 3 }, models), 12);
  assert.equal(price({ prompt: "x", model: "nano-banana-2", resolution: "2K" }, models), 12);
});

/** A gateway that sends these answers one after the other, and repeats the last. */
async function gateway(t, ...answers) {
  const keys = [];
  const stand = createServer((request, response) => {
    keys.push(request.headers["idempotency-key"]);
    const { status, body, headers } = answers.length > 1 ? answers.shift() : answers[0];
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(body);
  });
  await new Promise((resolve) => stand.listen(0, "127.0.0.1", resolve));
  t.after(() => stand.close());
  return { base: `http://127.0.0.1:${stand.address().port}`, keys };
}

test("the gateway's own errors are understood, and temporary ones repeated", async (t) => {
  const busy = { status: 429, body: '{"message":"Too Many Requests"}', headers: { "Retry-After": "0" } };
  const lost = { status: 504, body: '{"message":"Endpoint request timed out"}' };
  const made = { status: 202, body: '{"id":"made"}', headers: { "Idempotency-Replayed": "true" } };
  const passing = await gateway(t, busy, lost, { status: 503, body: "<html>" }, made);
  const { task, replayed } = await client({ base: passing.base }).submit({ prompt: "x" }, "one");
  assert.deepEqual([task.id, replayed, passing.keys], ["made", true, ["one", "one", "one", "one"]]);

  const lasting = await gateway(t, busy);
  await assert.rejects(client({ base: lasting.base, tries: 2 }).models(), { status: 429, code: "gateway", message: "Too Many Requests" });
  const none = await gateway(t, { status: 404, body: '{"message":"Not Found"}' });
  await assert.rejects(client({ base: none.base }).models(), { status: 404, code: "gateway", message: "Not Found" });
  assert.equal(none.keys.length, 1, "a permanent error is not repeated");
});

test("waiting can be aborted", async () => {
  const { task } = await client().submit({ prompt: "A long wait" }, crypto.randomUUID());
  const stop = new AbortController();
  await assert.rejects(client().wait(task.id, () => stop.abort(new Error("gone elsewhere")), stop.signal), /gone elsewhere|abort/i);
});
