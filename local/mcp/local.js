// Runs bin/local, which `make test-mcp` builds, on a free port.
import { sign } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { run, start } from "./child.js";

const binary = new URL("../../bin/local", import.meta.url).pathname;

/** Starts a server with its own folder. stop ends it and deletes the folder. */
export async function startLocal(owner) {
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-mcp-"));
  try {
    const server = await start(binary, ["-addr", "127.0.0.1:0", "-data", folder], {
      env: { HOME: folder, SWEEP_EVERY: "100ms", POLL_EVERY: "100ms", PRICES: "nano-banana-pro/4K=5000" },
      line: /^listening on http:\/\/(\S+)$/m,
    });
    const [, addr] = server.match;
    const { stdout, stderr } = await run(binary, ["token", "-addr", addr, "-data", folder, owner]);
    const token = stdout.trim();
    if (!token) throw new Error(`bin/local printed no token: ${stderr}`);
    return {
      url: `http://${addr}`, token,
      expired: await expire(token, join(folder, "mint.pem")),
      ledger: `http://${addr}/simulator`, ledgerKey: "nanobanana-test-key", // nanobananatest.DefaultKey
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
