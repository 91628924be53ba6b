// The hooks of @preset/images/react in Chromium, under React's StrictMode, against bin/local.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { launch } from "./chromium.js";
import { startLocal } from "./local.js";
import { openPage } from "./react-page.js";

const on = (id) => ({ kind: "moodboard", id });
let server, browser;

before(async () => {
  const older = new URL("react/18", import.meta.url).pathname;
  await promisify(execFile)("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier"], { cwd: older });
  server = await startLocal({ SWEEP_EVERY: "100ms", POLL_EVERY: "100ms", DAILY_QUOTA: "500" });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const open = (t, options) => openPage(t, browser, server, options);
const part = (page, name) => page.locator(`[data-name="${name}"]`);
const is = (page, selector) => page.waitForSelector(selector, { state: "attached" });
const ids = (page, name) => part(page, name).locator("li").evaluateAll((items) => items.map((item) => item.dataset.id));
const create = (page, board, request, options) => page.evaluate(([b, r, o]) => window.boards[b].create(r, o), [board, request, options]);

/** Waits until a board shows exactly these tasks, in this order. */
const shows = (page, name, tasks) => page.waitForFunction(([n, want]) => {
  const items = [...document.querySelectorAll(`[data-name="${n}"] li`)].map((item) => item.dataset.id);
  return JSON.stringify(items) === JSON.stringify(want);
}, [name, tasks]);

/** Another page or program of the same user. */
function elsewhere(token) {
  const call = async (method, path, body) => {
    const answer = await fetch(server.base + path, { method, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
    return answer.status === 204 ? undefined : answer.json();
  };
  return {
    create: (request) => call("POST", "/v1/tasks", request),
    remove: (id) => call("DELETE", `/v1/tasks/${id}`),
    move: (id, target) => call("PUT", `/v1/tasks/${id}/target`, target),
    async make(request) {
      let task = await call("POST", "/v1/tasks", request);
      while (!task.done) task = await call("GET", `/v1/tasks/${task.id}?wait=20`);
      return task;
    },
  };
}

/** A person comes back to the window. */
const refocus = (page) => page.evaluate(() => window.dispatchEvent(new Event("focus")));

/** Chromium without a screen keeps every page visible, so the page is told. */
const setVisible = (page, visible) => page.evaluate((state) => {
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
  document.dispatchEvent(new Event("visibilitychange"));
}, visible ? "visible" : "hidden");

for (const react of ["node_modules", "react/18/node_modules"]) {
  test(`a picture is ordered, followed and drawn, with the React of ${react}`, async (t) => {
    const { page, show, watched } = await open(t, { react });
    assert.match(await page.evaluate(() => window.version), react === "node_modules" ? /^19\./ : /^18\./);
    await show({ kind: "board", name: "b", target: on("1") }, { kind: "picture", name: "p" });
    await is(page, '[data-name="b"][data-loading="false"]');
    assert.equal(await part(page, "p").textContent(), "nothing");

    const task = await create(page, "b", { prompt: "A lighthouse" });
    assert.deepEqual([task.done, task.target], [false, on("1")]);
    await shows(page, "b", [task.id]);
    await show({ kind: "board", name: "b", target: on("1") }, { kind: "picture", name: "p", id: task.id });
    await is(page, '[data-name="p"][data-status="succeeded"][data-share="1"] img');
    await is(page, '[data-name="b"] li[data-status="succeeded"]');
    await page.waitForFunction(() => document.querySelector("img").naturalWidth > 0);
    assert.deepEqual(watched.seen.filter(({ status }) => status >= 400), []);

    const other = await create(page, "b", { prompt: "A harbour" });
    await show({ kind: "picture", name: "p", id: other.id });
    await is(page, '[data-name="p"][data-status="succeeded"]');
    await show({ kind: "picture", name: "p" });
    assert.equal(await part(page, "p").textContent(), "nothing");
    const drawn = await page.evaluate(() => window.drawn.filter(([name]) => name === "p"));
    for (const [, asked, shown] of drawn) assert.ok(shown === undefined || shown === asked, `${asked} shows ${shown}`);
  });
}

test("seven pictures and a board wait over one connection", async (t) => {
  const { page, show, watched, token } = await open(t);
  const tasks = [];
  for (let i = 0; i < 7; i++) tasks.push(await elsewhere(token).create({ prompt: `Boat ${i}`, target: on("many") }));
  await show({ kind: "board", name: "b", target: on("many") }, ...tasks.map(({ id }) => ({ kind: "picture", name: id, id })));
  for (const { id } of tasks) {
    await is(page, `figure[data-name="${id}"][data-status="succeeded"]`);
    await is(page, `li[data-id="${id}"][data-status="succeeded"]`);
  }
  assert.equal(watched.mostWaiting, 1);
  assert.deepEqual(await ids(page, "b"), tasks.map(({ id }) => id).reverse());
  assert.equal(watched.of(/^GET \/v1\/tasks\//).length, 0, "none is read alone");
  assert.ok(watched.of(/target=/).length <= 2, "mounting twice reads the list once");
});

test("boards agree: an order, a move and a removal show everywhere at once", async (t) => {
  const { page, show, watched } = await open(t, { refusals: [409, 422] });
  const parts = [{ kind: "board", name: "a", target: on("a") }, { kind: "board", name: "b", target: on("b") }, { kind: "board", name: "all" }, { kind: "board", name: "again", target: on("a") }];
  await show(...parts);
  for (const { name } of parts) await is(page, `[data-name="${name}"][data-loading="false"]`);
  const reads = watched.seen.length;

  const first = await create(page, "a", { prompt: "A fox" }, { key: "one" });
  const second = await create(page, "a", { prompt: "A fox" }, { key: "one" });
  assert.equal(second.id, first.id, "one key, one order");
  const third = await create(page, "all", { prompt: "A wolf", target: on("b") });
  await shows(page, "a", [first.id]);
  await shows(page, "again", [first.id]);
  await shows(page, "b", [third.id]);
  await shows(page, "all", [third.id, first.id]);

  await assert.rejects(page.evaluate((id) => window.boards.a.remove(id), first.id), /ImagesError/); // it runs
  await assert.rejects(create(page, "a", { prompt: " " }), /ImagesError/);
  await shows(page, "a", [first.id]);
  await is(page, `[data-name="a"] li[data-id="${first.id}"][data-status="succeeded"]`);
  const moved = await page.evaluate(([id, to]) => window.boards.a.move(id, to), [first.id, on("b")]);
  assert.deepEqual(moved.target, on("b"));
  await shows(page, "a", []);
  await shows(page, "again", []);
  await shows(page, "b", [third.id, first.id]);

  await show(...parts, { kind: "picture", name: "p", id: first.id });
  await is(page, '[data-name="p"][data-status="succeeded"][data-target="b"]');
  await page.evaluate((id) => window.boards.b.remove(id), first.id);
  await shows(page, "b", [third.id]);
  await shows(page, "all", [third.id]);
  await is(page, '[data-name="p"][data-error="not_found"]');
  assert.match(await part(page, "p").textContent(), /no longer there/);
  await page.evaluate((id) => window.boards.b.remove(id), first.id); // again: it is gone, as wished
  assert.equal(watched.seen.slice(reads).filter(({ url }) => url.includes("limit=")).length, 0, "nothing is read again for that");
  for (const { name } of parts) assert.equal(await part(page, name).getAttribute("data-error"), null);
});

test("what happens elsewhere shows every 15 seconds, on the focus, and on refresh", async (t) => {
  const { page, show, token, watched } = await open(t, { clock: true });
  const other = elsewhere(token);
  await show({ kind: "board", name: "b", target: on("b") }, { kind: "board", name: "all" });
  await is(page, '[data-name="b"][data-loading="false"]');
  const one = await other.make({ prompt: "One", target: on("b") });
  const two = await other.make({ prompt: "Two" });
  assert.deepEqual(await ids(page, "b"), []);
  await page.clock.runFor(16_000);
  await shows(page, "b", [one.id]);
  await shows(page, "all", [two.id, one.id]);

  await other.move(two.id, on("b"));
  await refocus(page);
  await shows(page, "b", [two.id, one.id]); // in its place, not in front
  await other.move(one.id, on("c"));
  await other.remove(two.id);
  await page.evaluate(() => Promise.all([window.boards.b.refresh(), window.boards.all.refresh()]));
  await shows(page, "b", []);
  await shows(page, "all", [one.id]);

  const before = watched.seen.length;
  await page.clock.runFor(16_000);
  while (watched.seen.length - before < 2) await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.deepEqual(watched.seen.slice(before).map(({ url }) => url).sort(), ["/v1/tasks?limit=50", "/v1/tasks?target=moodboard%3Ab&limit=50"]);
});
