// Bundles main.ts and page.css into page.html, so that the page loads nothing.
import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const limit = 150 * 1024; // bytes of the page, compressed
const built = new URL("../../../functions/mcp/app/image.html", import.meta.url);

/** Leaves out zod's texts in other languages than English, which would be a third of the page. */
const english = {
  name: "english",
  setup(bundle) {
    bundle.onResolve({ filter: /\/locales\/index\.js$/ }, ({ resolveDir }) => ({ path: `${resolveDir}/../locales/en.js`, namespace: "english" }));
    bundle.onLoad({ filter: /./, namespace: "english" }, ({ path }) => ({ contents: `export { default as en } from ${JSON.stringify(path)};`, resolveDir: "/" }));
  },
};

async function bundle(file, options) {
  const { outputFiles } = await build({
    entryPoints: [file], bundle: true, minify: true, write: false, charset: "utf8", legalComments: "none",
    absWorkingDir: import.meta.dirname, ...options,
  });
  return outputFiles[0].text.trim();
}

const script = await bundle("main.ts", { format: "iife", target: "es2022", plugins: [english] });
const style = await bundle("page.css", { target: ["chrome120", "safari17", "firefox121"] });
if (/<\/(script|style)/i.test(script + style)) throw new Error("the script or the style would end its element");

const html = (await readFile(new URL("page.html", import.meta.url), "utf8"))
  .replace("/* page.css */", () => style)
  .replace("/* main.ts */", () => script);
const size = gzipSync(html, { level: 9 }).length;
console.log(`image.html: ${html.length} bytes, ${size} compressed`);
if (size > limit) throw new Error(`more than ${limit} bytes compressed`);
if (process.argv.includes("--check")) {
  if ((await readFile(built, "utf8")) !== html) throw new Error("functions/mcp/app/image.html is not what local/mcp/app makes: run local/mcp/app/build");
} else {
  await writeFile(built, html);
}
