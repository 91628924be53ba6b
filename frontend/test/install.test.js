// Installs the package as its users do, from npm pack's tarball, in folders of install/: an empty
// Next.js app, an app of Vite, and a program for Node and Deno. The pages are those of README.md
// and docs/frontend.md.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { launch } from "./chromium.js";
import { startLocal } from "./local.js";

const here = (path) => new URL(path, import.meta.url).pathname;
const printed = "http://127.0.0.1:8787"; // the local run's address in the pages
const npm = ["--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
let folder, tarball, packed, local, token, browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "install-"));
  const { stdout } = await promisify(execFile)("npm", ["pack", "--json", "--pack-destination", folder], { cwd: here("../client") });
  [packed] = JSON.parse(stdout.slice(stdout.indexOf("[\n")));
  tarball = join(folder, packed.filename);
  local = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s" });
  token = await local.tokenOf("ada");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await local?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs a command in a folder, and prints how long it took. */
async function run(t, cwd, command, args, env = {}) {
  const started = performance.now();
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 26, env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", ...env } });
    t.diagnostic(`${((performance.now() - started) / 1000).toFixed(1)} s: ${[command, ...args].map((word) => word.replace(folder, "…")).join(" ")}`);
    return stdout;
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")}: ${error.message}\n${error.stdout}`);
  }
}

/** Copies a folder of install/ and installs what it needs, and the tarball. */
async function install(t, name) {
  const app = join(folder, name);
  await cp(here(`install/${name}`), app, { recursive: true, filter: (path) => !/node_modules|\.next|dist$/.test(path) });
  await run(t, app, "npm", ["install", ...npm, tarball]);
  return app;
}

/** The nth block of tsx in a page, for the local run of this test. */
async function code(page, n = 1) {
  const blocks = [...(await readFile(here(`../../${page}`), "utf8")).matchAll(/^```tsx\n(.*?)^```$/gms)];
  assert.ok(blocks.length >= n, `${page} has ${blocks.length} blocks of tsx`);
  return blocks[n - 1][1].replaceAll(printed, local.base);
}

/** Starts a web server, and resolves to the address that it prints. */
async function serve(t, cwd, script, ...args) {
  const started = performance.now();
  const server = spawn(process.execPath, [script, ...args], { cwd, detached: true, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", NO_COLOR: "1", FORCE_COLOR: "" } });
  const ended = new Promise((resolve) => server.on("exit", resolve));
  t.after(async () => {
    try { process.kill(-server.pid, "SIGTERM"); } catch {} // it and the processes that it started
    await ended;
  });
  const base = await new Promise((resolve, reject) => {
    let output = "";
    const read = (chunk) => {
      const address = /http:\/\/(?:localhost|127\.0\.0\.1):\d+/.exec(output += chunk);
      if (address) resolve(address[0]);
    };
    server.stdout.on("data", read);
    server.stderr.on("data", read);
    server.on("exit", (code) => reject(new Error(`it ended with ${code}: ${output}`)));
  });
  t.diagnostic(`${((performance.now() - started) / 1000).toFixed(1)} s until it serves: ${args.join(" ")}`);
  return base;
}

/** Opens an address. Any error or warning in the console fails the test. */
async function visit(t, address) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(message.text());
  });
  page.on("dialog", (dialog) => { wrong.push(dialog.message()); void dialog.dismiss(); });
  await page.goto(address);
  return {
    page,
    async close() {
      await context.close();
      assert.deepEqual(wrong, []);
    },
  };
}

/** Clicks a button, once React answers for it, and waits for a picture. */
async function order(page, name) {
  const button = page.getByRole("button", { name });
  await page.waitForFunction((e) => Object.keys(e).some((key) => key.startsWith("__reactProps")), await button.elementHandle());
  await button.click();
  await page.waitForFunction(() => [...document.images].some((image) => image.complete && image.naturalWidth === 768));
}

test("the tarball has what its exports name, small, without a dependency", async (t) => {
  await run(t, folder, process.execPath, [here("node_modules/publint/src/cli.js"), "run", tarball, "--strict"]);
  await run(t, folder, process.execPath, [here("node_modules/@arethetypeswrong/cli/dist/index.js"), tarball, "--profile", "esm-only"]);
  const names = packed.files.map(({ path }) => path);
  assert.deepEqual(names.filter((name) => !/^(dist\/\w+\.(js|d\.ts)|package\.json|README\.md)$/.test(name)), []);
  const contents = JSON.parse(await readFile(here("../client/package.json"), "utf8"));
  assert.deepEqual([contents.dependencies, contents.optionalDependencies], [undefined, undefined]);
  assert.deepEqual(packed.bundled, []);
  assert.match(await readFile(here("../client/dist/react.js"), "utf8"), /^"use client";/);
});

test("Next.js builds README's page and serves it, also in development", async (t) => {
  const app = await install(t, "next");
  await cp(here("../../local/page/favicon.svg"), join(app, "app/icon.svg")); // as README does
  await writeFile(join(app, "app/page.tsx"), await code("README.md"));
  await writeFile(join(app, "app/board/page.tsx"), await code("docs/frontend.md"));
  await writeFile(join(app, ".env.local"), `NEXT_PUBLIC_TOKEN=${token}\nIMAGES_URL=${local.base}\n`);
  const next = join(app, "node_modules/next/dist/bin/next");
  const built = await run(t, app, process.execPath, [next, "build"]);
  assert.match(built, /Turbopack/);
  for (const command of ["start", "dev"]) {
    await t.test(`next ${command}`, async (t) => {
      const base = await serve(t, app, next, command, "-p", "0");
      const first = await visit(t, base);
      await order(first.page, "Make a picture");
      await first.close();
      const board = await visit(t, `${base}/board`);
      await order(board.page, "Order a sun hat");
      await board.page.getByText("Done").first().waitFor();
      await board.close();
      const newest = await visit(t, `${base}/newest`);
      await newest.page.getByRole("heading", { name: "a sun hat" }).waitFor();
      await newest.page.locator("figure").first().waitFor();
      await newest.close();
    });
  }
});

test("Vite builds a page with the hooks, checked with its types", async (t) => {
  const app = await install(t, "vite");
  await writeFile(join(app, "src/App.tsx"), await code("docs/frontend.md"));
  await writeFile(join(app, ".env.local"), `VITE_TOKEN=${token}\n`);
  const built = await run(t, app, "npm", ["run", "build"]);
  t.diagnostic(/dist\/assets\S+\.js.*/.exec(built)[0]);
  const base = await serve(t, app, join(app, "node_modules/vite/bin/vite.js"), "preview", "--port", "0");
  const board = await visit(t, base);
  await order(board.page, "Order a sun hat");
  await board.close();
});

test("Node and Deno run a program, checked with its types", async (t) => {
  const app = await install(t, "script");
  await run(t, app, process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."]);
  const env = { IMAGES_URL: local.base, TOKEN: token };
  const deno = [here("node_modules/deno/bin.cjs")];
  await run(t, app, process.execPath, [...deno, "check", "picture.ts"], env);
  for (const args of [["picture.js"], [...deno, "run", "--allow-net", "--allow-env=IMAGES_URL,TOKEN", "picture.ts"]]) {
    const [link, refusal] = (await run(t, app, process.execPath, args, env)).trim().split("\n");
    assert.equal((await fetch(link)).headers.get("Content-Type"), "image/png");
    assert.match(refusal, /^invalid_request .+\.$/);
  }
});
