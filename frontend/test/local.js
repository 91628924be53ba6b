// Runs bin/local, which `make test-web` builds, on a free port.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const binary = new URL("../../bin/local", import.meta.url).pathname;

/** Starts a server with its own folder. stop ends it and deletes the folder. */
export async function startLocal(env = {}) {
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-web-"));
  let { server, base } = await start(folder, env, "127.0.0.1:0");
  return {
    base,
    folder,
    /** A token of this user; without one, of the page's. */
    async tokenOf(...owner) {
      const { stdout } = await promisify(execFile)(binary, ["token", "-addr", base.slice("http://".length), "-data", folder, ...owner]);
      return stdout.trim();
    },
    /** Sets the simulator's switches; those not given are off. */
    async simulate(switches = {}) {
      const answer = await fetch(base + "/local/simulator", {
        method: "PUT", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ loseCallbacks: false, repeatCallbacks: 1, refuse: "", slow: false, manifest: false, ...switches }),
      });
      if (answer.status !== 200) throw new Error(`the switches are refused with ${answer.status}`);
    },
    /** Ends the server as a crash or a power cut would. */
    kill: () => end(server, "SIGKILL"),
    /** Starts it again, at the same address and with the same data. */
    async restart() {
      ({ server } = await start(folder, env, base.slice("http://".length)));
    },
    async stop() {
      await end(server, "SIGTERM");
      await rm(folder, { recursive: true });
    },
  };
}

async function start(folder, env, address) {
  const server = spawn(binary, ["-addr", address, "-data", folder], {
    env: { PATH: process.env.PATH, HOME: folder, ...env }, stdio: ["ignore", "pipe", "ignore"],
  });
  const base = await new Promise((resolve, reject) => {
    let output = "";
    server.stdout.on("data", (chunk) => {
      const listening = /^listening on (\S+)$/m.exec((output += chunk));
      if (listening) resolve(listening[1]);
    });
    server.on("error", reject);
    server.on("exit", (code) => reject(new Error(`bin/local ended with ${code}`)));
  });
  return { server, base };
}

async function end(server, signal) {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.on("exit", resolve));
  server.kill(signal);
  await ended;
}
