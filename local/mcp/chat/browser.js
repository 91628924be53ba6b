// Opens the chat in Chromium.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

import { startChat } from "./serve.js";

const { source: axe } = createRequire(import.meta.url)("axe-core");
const shots = new URL("../shots/", import.meta.url).pathname;
const maxHeight = 500; // px, of the app in every state

let browser;

/** Starts Debian's Chromium, or the one that CHROMIUM names. It does nothing by itself. */
export async function launch() {
  await mkdir(shots, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

export const close = () => browser?.close();

/**
 * Opens a chat with a server for a test, or until close is called. Then that fails if an
 * app has logged an error, broken its policy, loaded anything, or was ever too high.
 */
export async function openChat(t, target, { width = 1024, height = 800, theme = "light", clock = false, path = "/" } = {}) {
  const site = await startChat(target);
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.effectiveDirective} ${e.blockedURI}`)));
  if (clock) await page.clock.install();
  const chat = new Chat(page, site, { width, theme });
  chat.close = async () => {
    try {
      await chat.check();
    } finally {
      await context.close();
      await site.stop();
    }
  };
  t?.after(chat.close);
  await page.goto(`${site.url}${path}?sandbox=${encodeURIComponent(`${site.sandbox}/sandbox`)}`);
  return chat;
}

export class Chat {
  #faults = []; // what the browser says is wrong
  #requests = [];

  constructor(page, site, { width, theme }) {
    Object.assign(this, { page, site, width, themeName: theme });
    page.on("pageerror", (error) => this.#faults.push(String(error)));
    page.on("console", (message) => message.type() === "error" && this.#faults.push(message.text()));
    page.on("dialog", (dialog) => {
      this.#faults.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => this.#requests.push(request));
  }

  /** Connects the chat to the server, and returns what that declares. */
  async connect() {
    await this.page.evaluate((theme) => (document.documentElement.dataset.theme = theme), this.themeName);
    return this.page.evaluate(() => host.connect());
  }

  /** The model calls a tool. options are those of host.js, without functions. */
  model(name, args, options = {}) {
    return this.page.evaluate(([name, args, { textOnly, ...options }]) => {
      if (textOnly) options.output = ({ content, isError }) => ({ content: content.filter(({ type }) => type === "text"), isError });
      return host.model(name, args, options);
    }, [name, args, options]);
  }

  fault(fault) {
    return this.page.evaluate((fault) => void host.fault(fault), fault);
  }

  seen(what) {
    return this.page.evaluate((what) => host[what], what);
  }

  /** The calls of tools by the model or by the app. */
  async calls(by, name) {
    return (await this.seen("calls")).filter((call) => call.by === by && (!name || call.name === name));
  }

  /** The app that was shown last. */
  get app() {
    return this.page.locator("iframe").last().contentFrame().locator("iframe").contentFrame();
  }

  button(name, options) {
    return this.app.getByRole("button", { name, ...options });
  }

  /** Waits until a picture is drawn. */
  async drawn(n = 1) {
    await this.app.locator("img").nth(n - 1).waitFor();
    await this.app.locator("body").evaluate((body) => Promise.all([...body.querySelectorAll("img")].map((img) => img.decode())));
  }

  /** The document of the app that was shown last. */
  frame() {
    return this.page.frames().filter((frame) => frame.url() === "about:srcdoc").at(-1);
  }

  /** Looks at the state that the app is in: how it is drawn, whether everybody can use it, and that it fits. */
  async look(name) {
    const frame = this.frame();
    await settled(this.page);
    await this.page.screenshot({ path: `${shots}${name}-${this.width}-${this.themeName}.png`, fullPage: true });
    if (!await frame.evaluate("typeof axe !== 'undefined'")) await frame.evaluate(axe);
    const { violations } = await frame.evaluate("axe.run()");
    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`)}`), [], name);
    assert.deepEqual(await frame.evaluate(tooLarge), [], name);
  }

  /** Forgets what went wrong so far, after a test that wanted it. */
  forget() {
    this.#faults.length = this.#requests.length = 0;
  }

  async check() {
    const { url, sandbox } = this.site;
    const elsewhere = this.#requests.filter((request) => {
      const inApp = request.frame().url() === "about:srcdoc";
      return !request.url().startsWith("data:") && (inApp || ![url, sandbox].includes(new URL(request.url()).origin));
    });
    const sizes = (await this.page.evaluate(() => window.host?.sizes)) ?? [];
    assert.deepEqual({ faults: this.#faults, elsewhere: elsewhere.map((request) => request.url()), high: sizes.filter((height) => height > maxHeight) }, { faults: [], elsewhere: [], high: [] });
  }
}

/** Calls a tool without any chat. */
export async function callTool(target, name, args) {
  const answer = await fetch(`${target.url}/mcp`, {
    method: "POST", signal: AbortSignal.timeout(40_000),
    headers: { "Content-Type": "application/json", Accept: "application/json, text/event-stream", Authorization: `Bearer ${target.token}` },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } }),
  });
  const { result, error } = await answer.json();
  if (error) throw new Error(`${name}: ${error.message}`);
  return result;
}

let orders = 0;

/** Orders without any chat, and returns the task's id. */
export async function order(target, args) {
  const { structuredContent, content } = await callTool(target, "generate_image", { requestKey: `test-${process.pid}-${++orders}`, ...args });
  if (!structuredContent) throw new Error(content[0].text);
  return structuredContent.taskId;
}

/** Orders, waits until the task has ended, and returns its id. */
export async function made(target, args) {
  const taskId = await order(target, args);
  while (!(await callTool(target, "get_image", { taskId, waitSeconds: 20 })).structuredContent.done);
  return taskId;
}

/** Waits until the frames of a page have drawn what they have. */
async function settled(page) {
  for (const frame of page.frames()) await frame.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

/** What exceeds the app's window. */
function tooLarge() {
  const found = [], { scrollWidth, scrollHeight, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth} wide, in ${clientWidth}`);
  if (scrollHeight > innerHeight + 1) found.push(`the page is ${scrollHeight} high, in ${innerHeight}`);
  for (const e of document.body.querySelectorAll("*")) {
    if (!e.checkVisibility() || e.closest(".hidden, .many")) continue;
    const { left, right } = e.getBoundingClientRect();
    if (left < -0.5 || right > clientWidth + 0.5) found.push(`${e.tagName}.${e.className} is from ${left} to ${right}`);
  }
  return found;
}
