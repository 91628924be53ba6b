// Builds frontend/example in a folder outside of the repository, as its README says, and serves it.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const frontend = new URL("..", import.meta.url).pathname;
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", npm_config_audit: "false", npm_config_fund: "false", npm_config_update_notifier: "false", npm_config_ignore_scripts: "true" };
const run = (cwd, command, ...args) => promisify(execFile)(command, args, { cwd, env, maxBuffer: 1 << 24 });

/** Installs and builds the app. frontend/client is built already. */
export async function buildExample() {
  const root = await mkdtemp(join(tmpdir(), "nanobanana-example-"));
  const beside = join(root, "example"), folder = join(root, "pictures");
  const notWritten = (source) => !/\/(node_modules|\.next)$/.test(source);
  await cp(join(frontend, "example"), beside, { recursive: true, filter: notWritten });
  await cp(join(frontend, "client"), join(root, "client"), { recursive: true, filter: notWritten });
  await run(beside, "npm", "ci", "--prefer-offline");
  const { stdout: tarball } = await run(root, "npm", "pack", "./client"); // without its prepack: it is built
  await rename(beside, folder);
  await rm(join(root, "client"), { recursive: true });
  await run(folder, "npm", "install", "--prefer-offline", join(root, tarball.trim()));
  await run(folder, "npm", "run", "build");
  return {
    folder,
    async remove() {
      for (const server of servers) await end(server); // of tests that failed before they could
      await rm(root, { recursive: true });
    },
  };
}

const servers = new Set();

/** Serves the app with these settings until the test ends. Returns its address. */
export async function serveExample(t, { folder }, settings) {
  const port = await freePort();
  const server = spawn(process.execPath, ["node_modules/next/dist/bin/next", "start", "-H", "localhost", "-p", port], {
    cwd: folder, env: { ...env, ...settings }, stdio: ["ignore", "pipe", "inherit"],
  });
  servers.add(server);
  t.after(() => end(server));
  let output = "";
  await new Promise((resolve, reject) => {
    server.stdout.on("data", (chunk) => { if ((output += chunk).includes("Ready")) resolve(); });
    server.on("exit", (code) => reject(new Error(`next start ended with ${code}: ${output}`)));
  });
  return `http://localhost:${port}`;
}

async function end(server) {
  if (!servers.delete(server)) return;
  const ended = once(server, "exit");
  server.kill();
  await ended;
}

async function freePort() {
  const server = createServer().listen(0, "localhost");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return String(port);
}
