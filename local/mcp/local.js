// Runs bin/local, which `make test-mcp` builds, on a free port.
import { sign } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { run, start } from "./child.js";

const binary = new URL("../../bin/local", import.meta.url).pathname;

/**
 * Starts a server with its own folder, and with settings in env besides our own. The
 * token is owner's. stop ends the server and deletes the folder.
 */
export async function startLocal(owner, env = {}) {
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-mcp-"));
  try {
    const server = await start(binary, ["-addr", "127.0.0.1:0", "-data", folder], {
      env: { HOME: folder, SWEEP_EVERY: "100ms", POLL_EVERY: "100ms", PRICES: "nano-banana-pro/4K=5000", ...env },
      line: /^listening on http:\/\/(\S+)$/m,
    });
    const [, addr] = server.match;
    const tokenOf = async (owner) => {
      const { stdout, stderr } = await run(binary, ["token", "-addr", addr, "-data", folder, owner]);
      if (!stdout) throw new Error(`bin/local printed no token: ${stderr}`);
      return stdout.trim();
    };
    const token = await tokenOf(owner);
    return {
      url: `http://${addr}`, token, tokenOf,
      expired: await expire(token, join(folder, "mint.pem")),
      ledger: `http://${addr}/simulator`, ledgerKey: "nanobanana-test-key", // nanobananatest.DefaultKey
      /** Sets the simulator's switches; those not given are off. */
      async simulate(switches = {}) {
        const answer = await fetch(`http://${addr}/local/simulator`, {
          method: "PUT", headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(10_000),
          body: JSON.stringify({ loseCallbacks: false, repeatCallbacks: 1, refuse: "", slow: false, manifest: false, ...switches }),
        });
        if (answer.status !== 200) throw new Error(`the switches are refused with ${answer.status}`);
      },
      async stop() {
        await server.stop();
        await rm(folder, { recursive: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The token as if it had been issued a day ago, for an hour. */
async function expire(token, keyFile) {
  const [header, claims] = token.split(".");
  const hour = 3600, made = Math.floor(Date.now() / 1000) - 24 * hour;
  const old = { ...JSON.parse(Buffer.from(claims, "base64url")), iat: made, exp: made + hour };
  const content = `${header}.${Buffer.from(JSON.stringify(old)).toString("base64url")}`;
  const signature = sign("sha256", Buffer.from(content), { key: await readFile(keyFile), dsaEncoding: "ieee-p1363" });
  return `${content}.${signature.toString("base64url")}`;
}
