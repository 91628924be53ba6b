// The protocol's own conformance tests, as far as they apply to our server.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { run } from "./child.js";
import { startProxy } from "./proxy.js";

const program = new URL("node_modules/.bin/conformance", import.meta.url).pathname;

const apply = ["server-initialize", "ping", "tools-list", "resources-list", "dns-rebinding-protection"];

// Those that need what we do not have, or that call a tool of the reference server by
// its name.
const doNotApply = {
  "logging-set-level": "we send no logs, and do not claim to",
  "completion-complete": "completes arguments of prompts; we have none",
  "tools-call-simple-text": "calls the reference server's test_simple_text",
  "tools-call-image": "calls test_image_content",
  "tools-call-audio": "calls test_audio_content",
  "tools-call-embedded-resource": "calls test_embedded_resource",
  "tools-call-mixed-content": "calls test_multiple_content_types",
  "tools-call-with-logging": "calls test_tool_with_logging; we send no logs",
  "tools-call-error": "calls test_error_handling; tools.js tests an error of each of our tools",
  "tools-call-with-progress": "calls test_tool_with_progress; plain JSON cannot report progress",
  "tools-call-sampling": "calls test_sampling; without a session we send the client no requests",
  "tools-call-elicitation": "calls test_elicitation; without a session we send the client no requests",
  "json-schema-2020-12": "needs the tool json_schema_2020_12_tool",
  "elicitation-sep1034-defaults": "calls test_elicitation_sep1034_defaults",
  "elicitation-sep1330-enums": "calls test_elicitation_sep1330_enums",
  "server-sse-polling": "calls test_reconnection, and needs a session and event streams; we answer in plain JSON",
  "server-sse-multiple-streams": "needs a session; without one it checks nothing",
  "resources-read-text": "reads test://static-text",
  "resources-read-binary": "reads test://static-binary",
  "resources-templates-read": "reads test://template/123/data",
  "resources-subscribe": "our resources never change while a client is connected",
  "resources-unsubscribe": "our resources never change while a client is connected",
  "prompts-list": "we have no prompts",
  "prompts-get-simple": "gets test_simple_prompt",
  "prompts-get-with-args": "gets test_prompt_with_arguments",
  "prompts-get-embedded-resource": "gets test_prompt_with_embedded_resource",
  "prompts-get-with-image": "gets test_prompt_with_image",
};

export function conformance(target) {
  let proxy;
  before(async () => (proxy = await startProxy(target.url, target.token)));
  after(() => proxy?.stop());

  test("each existing scenario is run, or left out with a reason", async () => {
    const { code, stdout } = await run(process.execPath, [program, "list", "--server"]);
    assert.equal(code, 0);
    const found = [...stdout.matchAll(/^ +- (\S+)/gm)].map(([, name]) => name);
    assert.deepEqual(found.sort(), [...apply, ...Object.keys(doNotApply)].sort());
  });

  for (const name of apply) {
    test(name, async () => {
      const folder = await mkdtemp(join(tmpdir(), "nanobanana-mcp-"));
      try {
        const { code, stdout, stderr } = await run(process.execPath, [program, "server", "--url", `${proxy.url}/mcp`, "--scenario", name, "-o", folder]);
        assert.equal(code, 0, `it ended with ${code}, want 0; its output:\n${stdout}${stderr}`);
        await checkResults(folder);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
}

/** Checks that all checks succeeded, and that there were any: without checks the program also ends with 0. */
async function checkResults(folder) {
  const [results] = await readdir(folder);
  const checks = JSON.parse(await readFile(join(folder, results, "checks.json"), "utf8"));
  for (const { id, status, errorMessage } of checks) {
    console.log(`    ${id}: ${status}`);
    assert.equal(status, "SUCCESS", `${id}: ${errorMessage}`);
  }
  assert.notEqual(checks.length, 0, "no checks were made");
}
