// Opens the studio page in Chromium, for the tests named studio*.test.js. Each of their tests runs
// its own bin/local.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before } from "node:test";

import { launch } from "./chromium.js";
import { startLocal } from "./local.js";

const { source: axe } = createRequire(import.meta.url)("axe-core");
export const shots = new URL("shots/", import.meta.url).pathname;
export const requestId = /Request \S+$/;
let browser;

before(async () => {
  await mkdir(shots, { recursive: true });
  browser = await launch();
});

after(() => browser?.close());

/** Starts bin/local for a test, and stops it when the test ends. */
export async function local(t, env) {
  const server = await startLocal({ SWEEP_EVERY: "100ms", POLL_EVERY: "100ms", DAILY_QUOTA: "200", ...env });
  server.ends = []; // run before the server stops, which would cause errors in a page
  t.after(async () => {
    try {
      for (const end of server.ends) await end();
      const { last } = await (await fetch(server.base + "/local/troubles")).json();
      for (const trouble of last) t.diagnostic(`the log has ${JSON.stringify(trouble)}`);
    } finally {
      await server.stop();
    }
  });
  return server;
}

/**
 * Opens the studio. Any error in the console fails the test, except failed requests
 * with exactly the statuses in refusals.
 */
export async function studio(server, { open = true, ...options } = {}) {
  const page = await visit(server, options);
  if (open) {
    await page.goto(server.base);
    await page.locator("#credits b").waitFor();
  }
  return page;
}

/** A new browser without a past, for any page. Errors fail the test as above, but for those that are expected. */
export async function visit(server, { width = 1024, height = 800, theme = "light", refusals = [], expected = () => false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors = [], refused = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() !== "error" || expected(message)) return;
    const status = /responded with a status of (\d+)/.exec(message.text());
    if (status) refused.push(Number(status[1]));
    else errors.push(message.text());
  });
  server.ends.push(async () => {
    await context.close();
    assert.deepEqual(errors, []);
    assert.deepEqual(refused, refusals);
  });
  return page;
}

export async function submitPrompt(page, prompt) {
  await page.getByLabel("What would you like to see?").fill(prompt);
  await page.locator("#submit").click();
}

export const tile = (page, prompt) => page.locator(".task", { hasText: prompt });

/** Waits until a task's picture is drawn. */
export async function finished(page, prompt) {
  const picture = tile(page, prompt).locator(".picture img").first();
  await picture.waitFor();
  await picture.scrollIntoViewIfNeeded();
  await page.waitForFunction((img) => img.complete && img.naturalWidth > 0, await picture.elementHandle());
  return tile(page, prompt);
}

/** Makes pictures through the API. It resolves to their tasks when all have ended. */
export async function make(server, requests) {
  const { tasks, headers } = await send(server, requests);
  return Promise.all(tasks.map(async ({ id }) => {
    for (;;) {
      const task = await (await fetch(`${server.base}/v1/tasks/${id}?wait=20`, { headers })).json();
      if (task.done) return task;
    }
  }));
}

export async function send(server, requests) {
  const { token } = await (await fetch(server.base + "/local/session")).json();
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const tasks = await Promise.all(requests.map(async (request) => {
    const answer = await fetch(server.base + "/v1/tasks", { method: "POST", headers, body: JSON.stringify({ target: { kind: "moodboard", id: "studio" }, ...request }) });
    assert.equal(answer.status, 202);
    return answer.json();
  }));
  return { tasks, headers };
}

/** Elements that exceed the window, or whose contents exceed them, except those that may. */
export const overflows = (page, except = ".visually-hidden") => page.evaluate((except) => {
  const found = [];
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const e of document.body.querySelectorAll("*")) {
    if (!e.checkVisibility() || e.closest(except)) continue;
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const name = `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}.${e.className}`;
    if (box.left < -0.5 || box.right > wide + 0.5) found.push(`${name} is from ${box.left} to ${box.right}`);
    if (style.overflowX === "visible" && style.display !== "inline" && e.scrollWidth > e.clientWidth + 1) found.push(`${name} holds ${e.scrollWidth} in ${e.clientWidth}`);
  }
  return found;
}, except);

export async function seriousViolations(page) {
  if (!await page.evaluate("typeof axe !== 'undefined'")) await page.evaluate(axe);
  const look = async () => (await page.evaluate("axe.run()")).violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`)}`);
  // axe mixes two states of a page that changes meanwhile; what is wrong in truth is wrong again.
  return (await look()).length > 0 ? look() : [];
}
