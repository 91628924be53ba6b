// Opens react/page.jsx in Chromium, built with the package in ../client. It is on a port of its
// own, so that its requests to bin/local are those of another site's page. They pass a proxy
// that counts them, holds them back and answers in the server's place.
import assert from "node:assert/strict";

import { build } from "esbuild";

import { startLocal } from "./local.js";
import { listen, proxy } from "./proxy.js";

const here = (path) => new URL(path, import.meta.url).pathname;
const scripts = new Map();

/** Builds a program for Node, or else react/page.jsx for browsers, with the React of a folder. */
export async function bundle(program, folder) {
  const { outputFiles } = await build({
    ...(program ? { stdin: { contents: program, resolveDir: here(".") }, platform: "node", format: "cjs" } : { entryPoints: [here("react/page.jsx")], format: "esm" }),
    bundle: true, write: false, jsx: "automatic", target: "es2022", logLevel: "error",
    define: { "process.env.NODE_ENV": '"development"' }, // StrictMode mounts twice in development alone
    alias: {
      "@preset/images": here("../client/dist/index.js"), "@preset/images/react": here("../client/dist/react.js"),
      react: here(`${folder}/react`), "react-dom": here(`${folder}/react-dom`),
    },
  });
  return outputFiles[0].text;
}

/** A proxy before the API. Rules match "METHOD /path". */
async function watch(t, base) {
  const rules = [], seen = [];
  const { url } = await proxy(t, base, (response, record, send) => {
    if (record.method === "OPTIONS") return send();
    seen.push(Object.assign(record, { open: true, aborted: false }));
    response.on("close", () => Object.assign(record, { open: false, aborted: !response.writableFinished }));
    watched.mostWaiting = Math.max(watched.mostWaiting, seen.filter(({ open, url }) => open && /[?&]wait=/.test(url)).length);
    const rule = rules.find(({ match }) => match.test(`${record.method} ${record.url}`));
    if (!rule) return send();
    if (rule.hold) return new Promise((go) => rule.hold.push(go)).then(send);
    if (rule.answers) return send().then((answer) => new Promise((go) => rule.answers(() => go(answer))));
    return { status: rule.status, headers: { "Content-Type": "application/problem+json", "Access-Control-Allow-Origin": "*" }, body: JSON.stringify(rule.body) };
  });
  const add = (rule, end = () => {}) => {
    rules.push(rule);
    return () => { rules.splice(rules.indexOf(rule), 1); end(); };
  };
  const watched = {
    url, seen, mostWaiting: 0,
    of: (match) => seen.filter(({ method, url }) => match.test(`${method} ${url}`)),
    /** Holds back what matches, before it is sent on, until the returned function is called. */
    hold(match) {
      const hold = [];
      return add({ match, hold }, () => hold.splice(0).forEach((go) => go()));
    },
    /** Lets what matches pass and holds back its answers. read resolves when there are so many. */
    holdAnswers(match) {
      const held = [], watchers = [];
      const answers = (go) => { held.push(go); for (const look of watchers) look(); };
      const read = (count) => new Promise((resolve) => {
        const look = () => { if (held.length >= count) resolve(); };
        watchers.push(look);
        look();
      });
      return Object.assign(add({ match, answers }, () => held.splice(0).forEach((go) => go())), { read });
    },
    /** Answers what matches with a problem until the returned function is called. */
    refuse: (match, status, body) => add({ match, status, body }),
  };
  return watched;
}

/** Opens the page. Any error or warning in the console fails the test, except failed requests
 *  with the statuses in refusals. */
export async function openPage(t, browser, { react = "node_modules", refusals = [], owner = crypto.randomUUID(), clock = false } = {}) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    const status = /responded with a status of (\d+)/.exec(message.text());
    if (["error", "warning"].includes(message.type()) && !refusals.includes(Number(status?.[1]))) errors.push(message.text());
  });
  t.after(async () => { // before what the page talks to ends
    await context.close();
    assert.deepEqual(errors, []);
  });
  if (!scripts.has(react)) scripts.set(react, await bundle(undefined, react));
  const { url } = await listen(t, (request, response) => {
    const script = request.url === "/page.js";
    response.writeHead(200, { "Content-Type": script ? "text/javascript" : "text/html" });
    response.end(script ? scripts.get(react) : '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/page.js"></script>');
  });
  const server = await startLocal({ SWEEP_EVERY: "100ms", POLL_EVERY: "100ms", DAILY_QUOTA: "500" });
  t.after(() => server.stop());
  const watched = await watch(t, server.base);
  if (clock) await page.clock.install();
  await page.goto(url);
  const token = await server.tokenOf(owner);
  await page.evaluate((options) => window.start(options), { url: watched.url, token });
  return { page, server, watched, token, show: (...parts) => page.evaluate((p) => window.show(p), parts) };
}
