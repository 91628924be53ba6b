// The package @preset/images against a running bin/local; `make test-web` builds both.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { parse } from "yaml";

import { faults, ImagesClient, moodboardItems, newKey, presetStatus, price, share } from "../client/dist/index.js";
import { startLocal } from "./local.js";
import { proxy } from "./proxy.js";

const package_ = new URL("../client/", import.meta.url);
const contract = new URL("../../openapi.yaml", import.meta.url).pathname;
const target = { kind: "moodboard", id: "web" };
let local, base, token;
let tokens = 0; // how often the token was requested
const client = (options = {}) => new ImagesClient({ url: base, token: async () => { tokens++; return token; }, ...options });

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

test("the package's types are those of the contract", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-types-"));
  t.after(() => rm(folder, { recursive: true }));
  const { scripts } = JSON.parse(await readFile(new URL("package.json", package_), "utf8"));
  const [tool, , ...flags] = scripts.types.split(" ");
  flags[flags.indexOf("-o") + 1] = join(folder, "openapi.ts");
  await promisify(execFile)(new URL(`node_modules/.bin/${tool}`, package_).pathname, [contract, ...flags]);
  assert.equal(await readFile(new URL("src/openapi.ts", package_), "utf8"), await readFile(join(folder, "openapi.ts"), "utf8"), "run npm run types in frontend/client");
});

// Which method sends each operation of the contract, or why it is not for a frontend.
const methods = {
  createTask: "create", listTasks: ["list", "all", "wait"], getTask: ["get", "cancel"], deleteTask: ["delete", "cancel"], setTarget: "move",
  createQuote: ["quote", "upload"], createUpload: "upload", getCredits: "credits", listModels: "models",
};
const others = {
  getImage: "a picture's link is drawn by <img>, as it is",
  getContract: "for programmers: the package has its types",
  getHealth: "for whoever runs the API",
  callTool: "for Claude", listenToTools: "for Claude", endSession: "for Claude",
  getResourceMetadata: "for Claude's sign-in", getResourceMetadataOfMCP: "for Claude's sign-in",
  getAuthorizationServer: "for Claude's sign-in", exchangeToken: "for Claude's sign-in", registerClient: "for Claude's sign-in",
  receiveCallback: "for the image service",
};

test("the client has a method for each operation that a frontend needs", async (t) => {
  const { paths } = parse(await readFile(contract, "utf8"));
  const operations = Object.entries(paths).flatMap(([path, item]) => Object.entries(item).map(([verb, { operationId }]) => ({ operationId, verb, path })));
  assert.deepEqual(operations.map((o) => o.operationId).sort(), [...Object.keys(methods), ...Object.keys(others)].sort());
  assert.deepEqual(Object.getOwnPropertyNames(ImagesClient.prototype).filter((name) => name !== "constructor").sort(), [...new Set(Object.values(methods).flat())].sort());

  // What the methods really send, by operation.
  const between = await proxy(t, base);
  const c = client({ url: between.url });
  const { id } = await c.create({ prompt: "Everything" });
  await c.quote({ prompt: "Everything" });
  await c.get(id);
  await c.move(id, target);
  await c.wait(id);
  await Promise.all([c.list(), c.credits(), c.models(), c.upload(new Blob([await png()]))]);
  await c.delete(id);
  const sent = new Set(between.requests.map(({ method, url }) => {
    const { pathname } = new URL(url, base);
    const operation = operations.find((o) => o.verb === method.toLowerCase() && new RegExp(`^${o.path.replace(/\{\w+\}/g, "[^/]+")}$`).test(pathname));
    return operation?.operationId ?? `${method} ${pathname}`;
  }));
  assert.deepEqual([...sent].sort(), Object.keys(methods).sort());
});

test("the statuses map to Preset's as in the contract", async () => {
  const { components } = parse(await readFile(contract, "utf8"));
  assert.deepEqual(components.schemas.TaskStatus["x-preset-status"], presetStatus);
});

test("a request is carried out once, followed, listed, edited and mapped", async () => {
  const c = client(), key = newKey(), request = { prompt: "A lighthouse at dusk", aspectRatio: "4:3", numImages: 2, target };
  const first = await c.create(request, { key });
  assert.equal((await c.create(request, { key })).id, first.id);

  const seen = [], shares = [];
  const before = tokens;
  const done = await c.wait(first.id, { onChange(t) { seen.push(t.status); shares.push(share(t)); } });
  assert.equal(done.status, "succeeded");
  assert.equal(done.progress, undefined);
  assert.ok(new Set(seen).size === seen.length && seen.at(-1) === "succeeded", `each change is reported once: ${seen}`);
  assert.ok(shares.slice(0, -1).every((s) => s >= 0 && s < 1) && shares.at(-1) === 1, `${shares}`);
  assert.ok(tokens - before >= seen.length, "the token is requested before each call");

  const edit = await c.create({ prompt: "The same, in snow", imageUrls: [`task:${done.id}/2`], target });
  assert.equal((await c.wait(edit.id)).parent, done.id);

  const items = moodboardItems(await all(c.all({ target })));
  assert.equal(items.length, 3);
  const loose = await c.create({ prompt: "A harbour" }); // without a target
  const ids = async (which) => (await all(c.all(which))).map(({ id }) => id);
  assert.deepEqual((await ids()).slice(0, 3), [loose.id, edit.id, done.id]);
  assert.deepEqual(await ids({ since: new Date(edit.createdAt) }), [loose.id, edit.id]);
  assert.deepEqual(await ids({ target, since: new Date(edit.createdAt) }), [edit.id]);
  const page = await c.list({ target, limit: 1 });
  assert.deepEqual(page.tasks.map((t) => t.id), [edit.id]);
  assert.deepEqual((await c.list({ target, limit: 1, cursor: page.cursor })).tasks.map((t) => t.id), [done.id]);
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

test("a task is moved and deleted, and every page is read", async () => {
  const c = client({ token: await local.tokenOf("grace") });
  const made = [];
  for (let i = 0; i < 120; i++) made.push(await c.create({ prompt: `Picture ${i}`, target: { kind: "moodboard", id: "many" } }));
  assert.deepEqual((await all(c.all())).map((t) => t.id), made.map((t) => t.id).reverse());
  const [one, other] = made;
  const moved = await c.move(one.id, { kind: "showcase", id: "s" });
  assert.deepEqual([moved.id, moved.target], [one.id, { kind: "showcase", id: "s" }]);
  await assert.rejects(c.delete(one.id), { code: "conflict", status: 409 });
  const ended = await c.wait([one.id, other.id]);
  assert.deepEqual(ended.map((t) => [t.id, t.status]), [[one.id, "succeeded"], [other.id, "succeeded"]]);
  await c.delete(one.id);
  await c.delete(one.id); // as a repetition after a lost answer
  await assert.rejects(c.get(one.id), { code: "not_found" });
  assert.deepEqual((await c.list({ target: { kind: "showcase", id: "s" } })).tasks, []);
});

test("an order that waits is cancelled; what is being made or finished is left alone", async (t) => {
  const c = client();
  await local.simulate({ refuse: "rateLimit" });
  const waiting = await c.create({ prompt: "A picture that nobody wants any more" });
  await local.simulate({ slow: true });
  try {
    assert.equal((await c.get(waiting.id)).status, "waiting");
    await c.cancel(waiting.id);
    await assert.rejects(c.get(waiting.id), { code: "not_found" });
    await c.cancel(waiting.id); // as a repetition after a lost answer
    await assert.rejects(c.cancel("0".repeat(26)), { code: "not_found" });
    const running = await c.create({ prompt: "A slow picture" });
    await assert.rejects(c.cancel(running.id), { code: "conflict", message: "This picture is being made already." });
  } finally {
    await local.simulate();
  }
  const { id } = await c.create({ prompt: "A finished picture" });
  const { images } = await c.wait(id);
  await assert.rejects(c.cancel(id), { code: "conflict", message: "This order has already ended." });
  // It ends between the look at it and the cancel.
  const between = await proxy(t, base, async (_response, { method }, send) => {
    const answer = await send();
    if (method === "GET") answer.body = JSON.stringify({ ...JSON.parse(answer.body), status: "waiting", done: false });
    return answer;
  });
  await assert.rejects(client({ url: between.url }).cancel(id), { code: "conflict", message: "This picture is being made already." });
  assert.deepEqual((await c.get(id)).images, images);
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

/** The bytes of a small picture. */
async function png() {
  const { id } = await client().create({ prompt: "A picture to upload" });
  const { images } = await client().wait(id);
  return (await fetch(images[0].url)).arrayBuffer();
}

async function all(generator) {
  const found = [];
  for await (const x of generator) found.push(x);
  return found;
}

test("a refused prompt has an explanation, and its item has failed", async () => {
  await local.simulate({ refuse: "policy" });
  try {
    const { id } = await client().create({ prompt: "What nobody may see" });
    const done = await client().wait(id);
    assert.deepEqual([done.status, done.error.code, done.error.retryable], ["failed", "content_policy", false]);
    assert.ok(done.error.message && done.error.hint);
    assert.deepEqual(moodboardItems([done]).map((i) => [i.enhancement_status, i.enhanced_url]), [["failed", null]]);
  } finally {
    await local.simulate();
  }
});

test("an invalid request is a problem that names its fields", async () => {
  await assert.rejects(client().create({ prompt: "x", resolution: "4K", numImages: 9 }), (e) => {
    assert.deepEqual([e.name, e.status, e.code], ["ImagesError", 422, "invalid_request"]);
    assert.deepEqual(e.fields.map((f) => f.pointer).sort(), ["/numImages", "/resolution"]);
    assert.equal(e.message, e.fields.map((f) => f.message).join(" ")); // the sentences for people, not "a mistake"
    return e.hint !== "" && e.requestId !== "";
  });
  await assert.rejects(client({ token: "" }).wait("x"), { status: 401, code: "unauthorized" });
  await assert.rejects(client().wait("0".repeat(26)), { status: 404, code: "not_found" });
});

test("a quote has the price and every problem, and names the task of its key", async () => {
  const request = { prompt: "A quoted boat", numImages: 2 }, key = newKey();
  assert.deepEqual([(await client().quote(request, { key })).estimate, (await client().quote(request)).problems], [8, []]);
  const faulty = await client().quote({ prompt: "a nude woman", resolution: "4K", imageUrls: [`upload:${"0".repeat(25)}p`] });
  assert.deepEqual(faulty.problems.map((p) => [p.status, p.code]), [[422, "invalid_request"], [422, "prompt_rejected"]]);
  assert.deepEqual(faulty.problems[0].errors.map((e) => e.pointer), ["/resolution", "/imageUrls/0"]);
  const { id } = await client().create(request, { key });
  const quoted = await client().quote(request, { key });
  assert.deepEqual([quoted.task.id, quoted.problems], [id, []]);
});

test("faults finds what the server refuses", async () => {
  const models = await client().models();
  for (const model of models) {
    for (const resolution of [undefined, "1K", "8K"]) {
      for (const aspectRatio of [undefined, "21:9", "8:1"]) {
        for (const numImages of [undefined, 4, 5]) {
          const request = { prompt: "A boat", model: model.id, resolution, aspectRatio, numImages };
          const refused = await client().create(request).then(() => [], (e) => { assert.equal(e.status, 422); return e.fields; });
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
