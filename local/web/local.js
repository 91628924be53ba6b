// Runs bin/local, as `make test-web` has built it, on a free port.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const binary = new URL("../../bin/local", import.meta.url).pathname;

/** Starts one with a folder of its own. Its stop ends it and takes the folder away. */
export async function startLocal(env = {}) {
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-web-"));
  const server = spawn(binary, ["-addr", "127.0.0.1:0", "-data", folder], {
    env: { PATH: process.env.PATH, HOME: folder, ...env }, stdio: ["ignore", "pipe", "ignore"],
  });
  const base = await new Promise((resolve, reject) => {
    let said = "";
    server.stdout.on("data", (chunk) => {
      const listening = /^listening on (\S+)$/m.exec((said += chunk));
      if (listening) resolve(listening[1]);
    });
    server.on("error", reject);
    server.on("exit", (code) => reject(new Error(`bin/local ended with ${code}`)));
  });
  return {
    base,
    /** A token for a user of this name. */
    async tokenOf(owner) {
      const { stdout } = await promisify(execFile)(binary, ["token", "-addr", base.slice("http://".length), "-data", folder, owner]);
      return stdout.trim();
    },
    /** Sets the simulator's switches; those not given are off. */
    async simulate(switches = {}) {
      const answer = await fetch(base + "/local/simulator", {
        method: "PUT", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ loseCallbacks: false, repeatCallbacks: 1, refuse: "", slow: false, ...switches }),
      });
      if (answer.status !== 200) throw new Error(`the switches are refused with ${answer.status}`);
    },
    async stop() {
      const ended = new Promise((resolve) => server.on("exit", resolve));
      server.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}
