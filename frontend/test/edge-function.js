// Runs a function of frontend/supabase/functions in Deno, as `supabase functions deploy` would: its
// folder is copied as it stands. Its packages come from node_modules, so nothing is downloaded.
import { execFile, spawn } from "node:child_process";
import { cp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const deno = createRequire(import.meta.url)("deno/install_api.cjs").runInstall();
const flags = ["--no-lock", "--cached-only", "--node-modules-dir=manual", "--no-prompt"];
const quiet = { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };

/** Copies a function's folder. */
async function copy(name) {
  const folder = fileURLToPath(new URL(`build/functions/${name}-${process.pid}-${Date.now()}`, import.meta.url));
  await cp(new URL(`../supabase/functions/${name}`, import.meta.url), folder, { recursive: true });
  return folder;
}

/** Checks the types of a function, as an editor does. */
export async function checkEdgeFunction(name) {
  const folder = await copy(name);
  try {
    await promisify(execFile)(deno, ["check", ...flags.filter((flag) => flag !== "--no-prompt"), `${folder}/index.ts`], { env: { ...process.env, ...quiet } });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Starts a function with these settings. log has the lines that it wrote. */
export async function startEdgeFunction(name, env) {
  const folder = await copy(name);
  const server = spawn(deno, ["run", ...flags, "--allow-env", "--allow-net", `${folder}/index.ts`], {
    env: { PATH: process.env.PATH, HOME: folder, ...quiet, DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0", ...env }, stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => server.on("close", resolve));
  const clean = () => rm(folder, { recursive: true, force: true });
  const log = [];
  const url = await new Promise((resolve, reject) => {
    let rest = "";
    server.stderr.setEncoding("utf8").on("data", (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        log.push(line);
        const listening = /Listening on (http:\S+)/.exec(line);
        if (listening) resolve(listening[1]);
      }
    });
    server.on("close", (code) => clean().then(() => reject(new Error(`the function ended with ${code}: ${log.join("\n")}`))));
  });
  return {
    url, log,
    async stop() {
      server.kill("SIGTERM");
      await ended;
      await clean();
    },
  };
}
