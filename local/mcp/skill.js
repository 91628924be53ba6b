// The skill as two clients read it that check every digest: the Inspector, and fastmcp's
// skills client, which the rule for test-mcp in the Makefile installs.
import assert from "node:assert/strict";
import { test } from "node:test";

import { run } from "./child.js";

const python = new URL("../../.clients/mcp/bin/python", import.meta.url).pathname;
const program = new URL("skill.py", import.meta.url).pathname;

export function skill(target, inspector) {
  for (const era of ["legacy", "modern"]) {
    test(`${era}: the Inspector finds no fault with the skill`, async () => {
      const report = await inspector.verifySkills(era);
      assert.deepEqual([report.uri, report.conformance, report.frontmatter], ["skill://preset-images/SKILL.md", [], []]);
      assert.deepEqual(report.files.filter(({ status }) => status !== "verified"), []);
      console.log(`    skills/list --verify -> ${report.files.length} files verified`);
      assert.ok(report.files.length > 1);
    });
  }

  test("fastmcp reads the skill, and finds each file as promised", async () => {
    const { code, stdout, stderr } = await run(python, ["-W", "ignore::ResourceWarning", "-B", program], { env: { MCP_URL: target.url, MCP_TOKEN: target.token } });
    console.log(`${stdout}${stderr}`.trimEnd());
    assert.equal(code, 0);
    assert.match(stderr, /^Ran 3 tests/m);
  });
}
