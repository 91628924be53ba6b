// The hooks of @preset/images/react in Chromium, under React's StrictMode, against bin/local.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { launch } from "./chromium.js";
import { bundle, openPage } from "./react-page.js";

const on = (id) => ({ kind: "moodboard", id });
let browser;

before(async () => {
  const older = new URL("react/18", import.meta.url).pathname;
  await promisify(execFile)("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier"], { cwd: older });
  browser = await launch();
});

after(() => browser?.close());

/** Opens the page with a server of its own; other is another page or program of the same user. */
async function open(t, options) {
  const opened = await openPage(t, browser, options);
  return { ...opened, other: elsewhere(opened.server, opened.token) };
}

const part = (page, name) => page.locator(`[data-name="${name}"]`);
const is = (page, selector) => page.waitForSelector(selector, { state: "attached" });
const ids = (page, name) => part(page, name).locator("li").evaluateAll((items) => items.map((item) => item.dataset.id));
const create = (page, board, request, options) => page.evaluate(([b, r, o]) => window.boards[b].create(r, o), [board, request, options]);

/** Waits until something has come about outside of the page. */
async function until(condition) {
  for (const end = performance.now() + 20_000; !condition();) {
    assert.ok(performance.now() < end, `not within 20 s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Waits until a board shows exactly these tasks, in this order. */
async function shows(page, name, tasks) {
  try {
    await page.waitForFunction(([n, want]) => {
      const items = [...document.querySelectorAll(`[data-name="${n}"] li`)].map((item) => item.dataset.id);
      return JSON.stringify(items) === JSON.stringify(want);
    }, [name, tasks]);
  } catch {
    assert.deepEqual(await ids(page, name), tasks);
  }
}

function elsewhere(server, token) {
  const call = async (method, path, body) => {
    const answer = await fetch(server.base + path, { method, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
    return answer.status === 204 ? undefined : answer.json();
  };
  const ended = async (task) => {
    while (!task.done) task = await call("GET", `/v1/tasks/${task.id}?wait=20`);
    return task;
  };
  return {
    create: (request) => call("POST", "/v1/tasks", request),
    remove: (id) => call("DELETE", `/v1/tasks/${id}`),
    move: (id, target) => call("PUT", `/v1/tasks/${id}/target`, target),
    async make(request) {
      return ended(await call("POST", "/v1/tasks", request));
    },
    /** Makes so many tasks without a picture, which is fast. Their ids, newest first. */
    async makeMany(count, target) {
      await server.simulate({ refuse: "policy" });
      try {
        const tasks = [];
        for (let i = 0; i < count; i++) tasks.push(await call("POST", "/v1/tasks", { prompt: `Number ${i}`, target }));
        await Promise.all(tasks.map(ended));
        return tasks.sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? 1 : -1)).map(({ id }) => id);
      } finally {
        await server.simulate();
      }
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

    const second = await create(page, "b", { prompt: "A harbour" });
    await show({ kind: "picture", name: "p", id: second.id });
    await is(page, '[data-name="p"][data-status="succeeded"]');
    await show({ kind: "picture", name: "p" });
    assert.equal(await part(page, "p").textContent(), "nothing");
    const drawn = await page.evaluate(() => window.drawn.filter(([name]) => name === "p"));
    for (const [, asked, shown] of drawn) assert.ok(shown === undefined || shown === asked, `${asked} shows ${shown}`);
  });
}

test("seven pictures and a board wait over one connection", async (t) => {
  const { page, show, watched, other } = await open(t);
  const tasks = [];
  for (let i = 0; i < 7; i++) tasks.push(await other.create({ prompt: `Boat ${i}`, target: on("many") }));
  await show({ kind: "board", name: "b", target: on("many") }, ...tasks.map(({ id }) => ({ kind: "picture", name: id, id })));
  for (const { id } of tasks) {
    await is(page, `figure[data-name="${id}"][data-status="succeeded"]`);
    await is(page, `li[data-id="${id}"][data-status="succeeded"]`);
  }
  assert.equal(watched.mostWaiting, 1);
  assert.deepEqual(await ids(page, "b"), tasks.map(({ id }) => id).reverse());
  assert.equal(watched.of(/^GET \/v1\/tasks\//).length, 0, "none is read alone");
  const reads = watched.of(/target=/).length;
  await show({ kind: "board", name: "anew", target: on("many") });
  await is(page, '[data-name="anew"]');
  assert.equal((await page.evaluate(() => window.drawn.find(([name]) => name === "anew")))[2].length, 7, "it is there at once");
  assert.equal(watched.of(/target=/).length, reads);
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
  const { page, show, watched, other } = await open(t, { clock: true });
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
  await until(() => watched.seen.length - before >= 2);
  assert.deepEqual(watched.seen.slice(before).map(({ url }) => url).sort(), ["/v1/tasks?limit=50", "/v1/tasks?target=moodboard%3Ab&limit=50"]);
});

test("pages that were read stay, and follow what changes in them", async (t) => {
  const { page, show, watched, other } = await open(t, { clock: true });
  const made = await other.makeMany(120, on("deep"));
  await show({ kind: "board", name: "b", target: on("deep") });
  await shows(page, "b", made.slice(0, 50));
  await is(page, '[data-name="b"][data-more="true"]');
  await page.evaluate(() => window.boards.b.more());
  await shows(page, "b", made.slice(0, 100));
  await page.evaluate(() => window.boards.b.more());
  await shows(page, "b", made);
  await is(page, '[data-name="b"][data-more="false"]');

  for (const i of [3, 70, 118]) await other.remove(made[i]);
  await other.move(made[60], on("elsewhere"));
  const left = made.filter((_, i) => ![3, 60, 70, 118].includes(i));
  await refocus(page);
  await shows(page, "b", left);
  await other.remove(left[90]);
  left.splice(90, 1);
  for (let i = 0; i < 3; i++) { // with three pages all of them are read every third time
    const before = watched.seen.length;
    await page.clock.runFor(16_000);
    await until(() => watched.seen.length > before && !watched.seen.some(({ open }) => open));
  }
  await shows(page, "b", left);

  // More news than a page has, while nobody looked: no hole.
  await setVisible(page, false);
  left.unshift(...await other.makeMany(60, on("deep")));
  const before = watched.seen.length;
  await setVisible(page, true);
  await shows(page, "b", left);
  assert.ok(watched.seen.slice(before).every(({ url }) => url.startsWith("/v1/tasks?")));
});

test("news of more than a page that nobody looked for leaves no hole", async (t) => {
  const { page, show, other } = await open(t, { clock: true });
  const made = await other.makeMany(60);
  await show({ kind: "board", name: "all" });
  await shows(page, "all", made.slice(0, 50));
  made.unshift(...await other.makeMany(70));
  made.unshift((await create(page, "all", { prompt: "In front" })).id); // hides nothing of what came before
  await page.clock.runFor(16_000);
  await shows(page, "all", made.slice(0, 121));
});

test("a late answer about another board is dropped", async (t) => {
  const { page, show, watched, other } = await open(t);
  await other.make({ prompt: "Of a", target: on("a") });
  const b = await other.make({ prompt: "Of b", target: on("b") });
  const letGo = watched.hold(/target=moodboard%3Aa&/);
  await show({ kind: "board", name: "x", target: on("a") });
  await until(() => watched.of(/target=moodboard%3Aa&/).length > 0);
  await show({ kind: "board", name: "x", target: on("b") });
  await shows(page, "x", [b.id]);
  letGo();
  await page.evaluate(() => window.boards.x.refresh());
  await shows(page, "x", [b.id]);
  for (const [, asked, shown] of await page.evaluate(() => window.drawn)) assert.ok(shown.every((target) => target === asked), `${asked} shows ${shown}`);
  assert.equal(watched.of(/target=moodboard%3Aa&/)[0].aborted, true);
});

test("a deleted or moved task does not come back with a list that was read before", async (t) => {
  const { page, show, watched, other } = await open(t);
  const [gone, moved, kept] = [await other.make({ prompt: "Gone", target: on("a") }), await other.make({ prompt: "Moved", target: on("a") }), await other.make({ prompt: "Kept", target: on("a") })];
  await show({ kind: "board", name: "a", target: on("a") });
  await shows(page, "a", [kept.id, moved.id, gone.id]);
  const letGo = watched.holdAnswers(/target=moodboard%3Aa&/);
  const refreshed = page.evaluate(() => window.boards.a.refresh());
  await letGo.read(1);
  await page.evaluate(([g, m, to]) => Promise.all([window.boards.a.remove(g), window.boards.a.move(m, to)]), [gone.id, moved.id, on("b")]);
  await shows(page, "a", [kept.id]);
  letGo();
  await refreshed;
  assert.deepEqual(await ids(page, "a"), [kept.id]);
});

test("an order that the list does not have yet stays", async (t) => {
  const { page, show, watched } = await open(t);
  await show({ kind: "board", name: "a", target: on("late") });
  await is(page, '[data-name="a"][data-loading="false"]');
  const letGo = watched.holdAnswers(/target=moodboard%3Alate&/);
  const refreshed = page.evaluate(() => window.boards.a.refresh());
  await letGo.read(1); // an empty list
  const task = await create(page, "a", { prompt: "Fresh" });
  await is(page, `li[data-id="${task.id}"][data-status="succeeded"]`);
  letGo();
  await refreshed;
  await page.evaluate((id) => window.client.wait(id), task.id); // what is missing in a list is asked for
  assert.deepEqual(await ids(page, "a"), [task.id]);
});

test("a page that nobody sees sends nothing, and one that is closed stops", async (t) => {
  const { page, server, show, watched, other } = await open(t, { clock: true });
  await server.simulate({ slow: true });
  const task = await other.create({ prompt: "Slow" });
  const waiting = () => until(() => watched.seen.some(({ open, url }) => open && /wait=/.test(url)));
  const idle = () => until(() => !watched.seen.some(({ open }) => open));
  for (const part of [{ kind: "board", name: "b" }, { kind: "picture", name: "p", id: task.id }]) {
    const parts = [part, { kind: "account", name: "c" }];
    for (const [away, back] of [[() => setVisible(page, false), () => setVisible(page, true)], [() => show(), () => show(...parts)]]) {
      await show(...parts);
      await waiting();
      await away();
      await idle();
      assert.equal(watched.seen.findLast(({ url }) => /wait=/.test(url)).aborted, true);
      const before = watched.seen.length;
      await refocus(page);
      await page.clock.runFor(200_000);
      await page.evaluate(() => fetch("/").then((answer) => answer.text()));
      assert.deepEqual(watched.seen.slice(before), []);
      await back();
      await waiting();
      assert.equal(watched.seen.slice(before).filter(({ url }) => /limit=/.test(url)).length, part.kind === "board" ? 1 : 0);
    }
    await show();
    await idle();
  }
});

test("an error is shown with its sentence until the next good answer", async (t) => {
  const { page, show, watched, other } = await open(t, { clock: true, refusals: [401] });
  const task = await other.make({ prompt: "There", target: on("e") });
  const parts = [{ kind: "board", name: "b", target: on("e") }, { kind: "picture", name: "p", id: task.id }, { kind: "account", name: "c" }];
  await show(...parts);
  await shows(page, "b", [task.id]);
  await is(page, '[data-name="p"][data-status="succeeded"]');
  const heal = watched.refuse(/GET \/v1\/(tasks|credits)/, 401, { status: 401, code: "unauthorized", title: "Unauthorized", detail: "Please sign in again.", hint: "Your session has ended.", requestId: "r" });
  await refocus(page);
  for (const { name } of parts) await is(page, `[data-name="${name}"][data-error="unauthorized"][data-loading="false"], [data-name="c"][data-error="unauthorized"]`);
  assert.match(await part(page, "b").textContent(), /Please sign in again\./);
  assert.deepEqual(await ids(page, "b"), [task.id], "what is known stays");
  heal();
  await page.clock.runFor(16_000);
  for (const { name } of parts) await is(page, `[data-name="${name}"]:not([data-error])`);
  await show({ kind: "picture", name: "p", id: "0".repeat(26) });
  await is(page, '[data-name="p"][data-error="not_found"][data-loading="false"]');
});

test("credits are read when an order begins or ends, and every minute", async (t) => {
  const { page, show, watched } = await open(t, { clock: true });
  await show({ kind: "board", name: "b" }, { kind: "account", name: "c" });
  await is(page, '[data-name="c"][data-used="0"][data-price="4"]');
  const balance = Number(await part(page, "c").getAttribute("data-balance"));
  const task = await create(page, "b", { prompt: "Paid" });
  await is(page, '[data-name="c"][data-used="1"]');
  await is(page, `li[data-id="${task.id}"][data-status="succeeded"]`);
  await page.waitForFunction((most) => Number(document.querySelector('[data-name="c"]').dataset.balance) <= most, balance - 4);
  const reads = () => watched.of(/GET \/v1\/credits/).length;
  const before = reads();
  await page.clock.runFor(61_000);
  await until(() => reads() > before);
  assert.equal(reads(), before + 1);
  await page.evaluate(() => window.refreshCredits());
  assert.equal(reads(), before + 2);
});

test("a hook without a provider says what is missing", async (t) => {
  const { page } = await open(t);
  await page.evaluate(() => window.showAlone());
  await page.waitForFunction(() => document.title.includes("<ImagesProvider client={…}>"));
});

for (const react of ["node_modules", "react/18/node_modules"]) {
  test(`on a server the hooks show that they load, and send nothing, with the React of ${react}`, async () => {
    const source = `
      import { createElement as h } from "react";
      import { renderToString } from "react-dom/server";
      import { ImagesClient } from "@preset/images";
      import { ImagesProvider, useBoard, useCredits, useImage, useModels } from "@preset/images/react";
      const client = new ImagesClient({ url: "http://127.0.0.1:1", token: "", fetch: () => { throw new Error("sent"); } });
      const Shown = () => h("p", null, JSON.stringify([useBoard().loading, useImage("x").loading, useImage(null).loading, useCredits().loading, useModels().loading]));
      module.exports = renderToString(h(ImagesProvider, { client }, h(Shown)));`;
    const module = {};
    new Function("module", "require", await bundle(source, react))(module, createRequire(import.meta.url));
    assert.equal(module.exports, "<p>[true,true,false,true,true]</p>");
  });
}
