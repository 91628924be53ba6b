// Runs the code of README.md and docs/frontend.md as a reader would, from top to bottom,
// and holds the answers that the pages show against the real ones.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { build } from "esbuild";
import ts from "typescript";
import { launch } from "./chromium.js";
import { startLocal } from "./local.js";
import { blocks, differences, program, sameText, values } from "./pages.js";
import { listen, proxy } from "./proxy.js";

const root = new URL("../..", import.meta.url).pathname;
const printed = "http://127.0.0.1:8787"; // the local run's address in the pages
const run = promisify(execFile);
const deno = createRequire(import.meta.url)("deno/install_api.cjs").runInstall();
const modules = join(root, "frontend/test/node_modules");
const serviceToken = "nbs_of_this_test";

/** How commands begin that are not run here, and what tries them. */
const elsewhere = {
  "make local": "this test starts the same program, on a free port",
  "make deploy": "make test-aws",
};

/** The reader's commands, as they are here: npm ci takes what the tests have installed already,
 *  and the new app is empty. install.test.js builds a real one. */
const prelude = `set -eu -o pipefail
make() { bin/local demo; }
npx() { mkdir -p "$2/app" && echo '{}' > "$2/package.json"; }
deno() { ${deno} "$@"; }
npm() { if [ "$1" = ci ]; then ln -s ${root}frontend/client/node_modules frontend/client/node_modules; else command npm "$@"; fi; }`;

let local, browser, home, reader; // reader is the folder in which the reader works, in home

before(async () => {
  local = await startLocal();
  browser = await launch();
  home = await realpath(await mkdtemp(join(tmpdir(), "pages-")));
  reader = join(home, "repository");
  await copyPackage();
  await cp(join(root, "local/page/favicon.svg"), join(reader, "local/page/favicon.svg"));
  await mkdir(join(reader, "bin"), { recursive: true });
  await writeFile(join(reader, "bin/local"), `#!/bin/sh
[ "$PWD" = ${reader} ] || { echo "bin/local is called in $PWD, where the local run's data is not" >&2; exit 1; }
command=$1; shift
exec ${root}bin/local "$command" -addr ${local.base.slice("http://".length)} -data ${local.folder} "$@"
`, { mode: 0o755 });
});

after(async () => {
  await browser?.close();
  await local?.stop();
  await rm(home, { recursive: true, force: true });
});

for (const page of ["README.md", "docs/frontend.md"]) {
  test(`the commands of ${page} do what it shows`, async () => {
    const commands = (await blocksOf(page)).filter(({ language, text }) => language === "sh" && !Object.keys(elsewhere).some((start) => text.startsWith(start)));
    const script = commands.flatMap(({ line, text }) => [`printf '\\036${line}\\n'`, text]);
    const { stdout } = await run("bash", ["-c", [prelude, ...script].join("\n").replaceAll(printed, local.base)], { cwd: reader, env: { ...process.env, npm_config_audit: "false", npm_config_fund: "false" } });
    const outputs = stdout.replaceAll(local.base, printed).split("\x1e").slice(1);
    assert.equal(outputs.length, commands.length);
    commands.forEach(({ answer }, i) => {
      if (!answer) return;
      const output = outputs[i].slice(outputs[i].indexOf("\n")).trim();
      if (output.startsWith("{")) compare(page, answer, [JSON.parse(output)]);
      else assert.ok(sameText(answer.text, output), `${page}:${answer.line} shows\n${answer.text}\nand it is\n${output}`);
    });
  });
}

test("the app that README makes has the package, and a token that the local run accepts", async () => {
  const app = join(home, "pictures");
  assert.ok(JSON.parse(await readFile(join(app, "package.json"), "utf8")).dependencies["@preset/images"]);
  const [, token] = /^NEXT_PUBLIC_TOKEN=(\S+)$/m.exec(await readFile(join(app, ".env.local"), "utf8"));
  assert.equal((await fetch(`${local.base}/v1/tasks`, { headers: { Authorization: `Bearer ${token}` } })).status, 200);
});

test("the TypeScript of docs/frontend.md compiles, runs and logs what it shows", async (t) => {
  const stack = await startStack(t);
  const page = "docs/frontend.md";
  const found = (await blocksOf(page)).filter(({ language }) => language === "ts");
  const { source, lineOf } = program(found);
  const file = join(reader, "page.ts");
  await writeFile(file, source);
  assert.deepEqual(faults(file, lineOf).map((fault) => `${page}:${fault}`), []);
  await writeFile(join(reader, "page.mjs"), ts.transpile(source.replaceAll(printed, local.base), { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 }));
  await makePhoto(join(reader, "photo.jpg"));
  const { stdout } = await run(process.execPath, ["page.mjs"], { cwd: reader, timeout: 120_000,
    env: { ...process.env, TOKEN: await local.tokenOf(), IMAGES_URL: stack, SERVICE_TOKEN: serviceToken } });
  const logged = JSON.parse(stdout.replaceAll(local.base, printed).replaceAll(stack, printed));
  for (const { line, answer } of found) {
    if (answer) compare(page, answer, logged[line] ?? []);
    else assert.equal(logged[line], undefined, `${page}:${line} logs something, and the page does not show it`);
  }
});

test("the React component of docs/frontend.md orders, shows and deletes a picture", async (t) => {
  const [{ text }, ...others] = (await blocksOf("docs/frontend.md")).filter(({ language }) => language === "tsx");
  assert.equal(others.length, 0);
  const { page, errors } = await openComponent(t, text);
  await page.getByRole("button", { name: "Order a sun hat" }).click();
  const picture = page.getByRole("img", { name: "a sun hat" });
  await picture.waitFor();
  assert.ok(await picture.evaluate(async (img) => { await img.decode(); return img.naturalWidth; }) > 0);
  await page.getByRole("button", { name: "Delete" }).click();
  await picture.waitFor({ state: "detached" });
  assert.deepEqual(errors, []);
});

async function blocksOf(page) {
  return blocks(await readFile(join(root, page), "utf8"));
}

function compare(page, answer, real) {
  const shown = values(answer.text);
  assert.equal(shown.length, real.length, `${page}:${answer.line} shows ${shown.length} values of ${JSON.stringify(real, null, 1)}`);
  const found = shown.flatMap((one, i) => differences(one, real[i]));
  assert.deepEqual(found, [], `${page}:${answer.line} is not the answer, which is ${JSON.stringify(real, null, 1)}`);
}

/** What the compiler reports, by the lines of the page. */
function faults(file, lineOf) {
  const options = { strict: true, noUncheckedIndexedAccess: true, noEmit: true, skipLibCheck: true, types: ["node"], typeRoots: [join(modules, "@types")], paths: { react: [join(modules, "@types/react")], "react/*": [join(modules, "@types/react/*")] }, jsx: ts.JsxEmit.ReactJSX,
    target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022, moduleResolution: ts.ModuleResolutionKind.Bundler, lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"] };
  return ts.getPreEmitDiagnostics(ts.createProgram([file], options)).map(({ file: of, start, messageText }) => {
    const line = of && start !== undefined ? of.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${of?.fileName === file ? lineOf(line) : of?.fileName} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
}

/** The package as it is in the repository: without what is built and installed. */
async function copyPackage() {
  const { stdout } = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "frontend/client"], { cwd: root });
  for (const file of stdout.trim().split("\n")) await cp(join(root, file), join(reader, file));
}

/** A JPEG, for the upload: the thumbnail of a picture. */
async function makePhoto(file) {
  const headers = { Authorization: `Bearer ${await local.tokenOf("photographer")}`, "Content-Type": "application/json" };
  let path = "/v1/tasks";
  let task;
  do {
    const answer = await fetch(local.base + path, task ? { headers } : { method: "POST", headers, body: JSON.stringify({ prompt: "a photo" }) });
    task = await answer.json();
    assert.ok(answer.ok, `${path}: ${answer.status} ${JSON.stringify(task)}`);
    path = `/v1/tasks/${task.id}?wait=20`;
  } while (!task.done);
  await writeFile(file, Buffer.from(await (await fetch(task.images[0].thumbnailUrl)).arrayBuffer()));
}

/** Stands in for a deployed stack, which knows service tokens: the local run has none. */
async function startStack(t) {
  const { url } = await proxy(t, local.base, async (_response, { headers }, send) => {
    const { authorization, "on-behalf-of": owner, origin } = headers;
    if (authorization !== `Bearer ${serviceToken}` || !owner || origin) return { status: 401, headers: {}, body: "" };
    delete headers["on-behalf-of"];
    headers.authorization = `Bearer ${await local.tokenOf(owner)}`;
    return send();
  });
  return url;
}

/** Opens a page's component in Chromium, for a user of its own. Supabase's session is the local run's token. */
async function openComponent(t, source) {
  const token = await local.tokenOf(crypto.randomUUID());
  await writeFile(join(reader, "supabase.ts"), `export const supabase = { auth: { getSession: async () => ({ data: { session: { access_token: ${JSON.stringify(token)} } as { access_token: string } | null } }) } };\n`);
  await writeFile(join(reader, "page.tsx"), source.replaceAll(printed, local.base));
  assert.deepEqual(faults(join(reader, "page.tsx"), (line) => line), []);
  const { outputFiles } = await build({
    stdin: { contents: 'import { createRoot } from "react-dom/client"; import Page from "./page.tsx"; createRoot(document.querySelector("div")).render(<Page />);', loader: "tsx", resolveDir: reader },
    bundle: true, write: false, format: "esm", jsx: "automatic", logLevel: "error", define: { "process.env.NODE_ENV": '"production"' }, nodePaths: [modules],
  });
  const { url } = await listen(t, (request, response) => {
    const script = request.url === "/page.js";
    response.writeHead(200, { "Content-Type": script ? "text/javascript" : "text/html" });
    response.end(script ? outputFiles[0].contents : '<!doctype html><link rel="icon" href="data:,"><div></div><script type="module" src="/page.js"></script>');
  });
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) errors.push(message.text()); });
  await page.goto(url);
  return { page, errors };
}
