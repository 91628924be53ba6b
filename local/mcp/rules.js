// The published rules of Claude's directory. The list of them is in functions/mcp/mcptest.
import assert from "node:assert/strict";
import { test } from "node:test";

import { run } from "./child.js";

export function rules(target) {
  test("what the server says of itself breaks none", async () => {
    const { HOME, GOCACHE, GOMODCACHE, GOPATH, GOFLAGS } = process.env;
    const env = { HOME, GOCACHE, GOMODCACHE, GOPATH, GOFLAGS, MCP_TOKEN: target.token };
    for (const name of Object.keys(env)) if (env[name] === undefined) delete env[name];
    const program = new URL("rules", import.meta.url).pathname;
    const { code, stdout, stderr } = await run("go", ["run", program, `${target.url}/mcp`], { env, seconds: 120 });
    console.log(`    ${stdout.trim()}`);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /rules hold for \d+ tools/);
  });
}
