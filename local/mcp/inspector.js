// The Inspector's command line as a client.
import assert from "node:assert/strict";

import addFormats from "ajv-formats";
import { Ajv2020 } from "ajv/dist/2020.js";

import { run } from "./child.js";

const program = new URL("node_modules/.bin/mcp-inspector", import.meta.url).pathname;
const toolFailed = 5; // its exit code for a result with isError

export class Inspector {
  /** home is a folder for the Inspector's own files. */
  constructor(target, home) {
    this.target = target;
    this.home = home;
    this.schemas = new Map(); // of each tool's output
    this.seen = new Set(); // how calls ended, such as "get_image failed"
  }

  async #run(era, ...args) {
    const { url, token } = this.target;
    const all = [program, "--cli", `${url}/mcp`, "--transport", "http", "--header", `Authorization: Bearer ${token}`];
    return run(process.execPath, [...all, "--protocol-era", era, "--format", "json", ...args], { env: { HOME: this.home } });
  }

  /** Lists the tools, and checks that the Inspector finds no fault with their schemas. */
  async list(era) {
    const { code, stdout, stderr } = await this.#run(era, "--method", "tools/list", "--strict");
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const { tools } = JSON.parse(stdout).result;
    const ajv = new Ajv2020({ strict: true, allErrors: true });
    addFormats(ajv);
    for (const { name, outputSchema } of tools) this.schemas.set(name, ajv.compile(outputSchema));
    return tools;
  }

  /** Fetches the skill, and returns what the Inspector found when it checked it. */
  async verifySkills(era) {
    const { code, stdout, stderr } = await this.#run(era, "--method", "skills/list", "--verify");
    assert.equal(code, 0, `${stdout}${stderr}`);
    return JSON.parse(stdout);
  }

  /**
   * Calls a tool, and prints the call and its result in one line. It checks the
   * result's data against the tool's schema.
   */
  async #invoke(tool, args, { era = "legacy", pairs = false } = {}) {
    const toolArgs = pairs ? ["--tool-arg", ...Object.entries(args).map(([name, value]) => `${name}=${value}`)] : ["--tool-args-json", JSON.stringify(args)];
    const { code, stdout, stderr } = await this.#run(era, "--method", "tools/call", "--tool-name", tool, ...toolArgs);
    assert.ok(stdout, `no result; it ended with ${code}: ${stderr}`);
    const { result } = JSON.parse(stdout);
    const [{ text }] = result.content;
    console.log(`    ${tool} ${JSON.stringify(args)} -> ${summary(text)}`);
    assert.equal(code, result.isError ? toolFailed : 0, stderr);
    this.seen.add(`${tool} ${result.isError ? "failed" : "succeeded"}`);
    if (!result.isError) this.#check(tool, result);
    return { ...result, text, data: result.structuredContent };
  }

  #check(tool, { structuredContent }) {
    const valid = this.schemas.get(tool);
    assert.ok(valid(structuredContent), `${tool}'s data does not match its schema: ${JSON.stringify(valid.errors)} in ${JSON.stringify(structuredContent)}`);
  }

  /** Calls a tool that must succeed, and returns the result with its data and first text. */
  async call(tool, args, options) {
    const result = await this.#invoke(tool, args, options);
    assert.ok(!result.isError, `${tool} failed: ${result.text}`);
    return result;
  }

  /** Calls a tool that must fail with this code, and returns its text. */
  async callRefused(tool, args, code, options) {
    const { isError, text } = await this.#invoke(tool, args, options);
    assert.deepEqual({ isError: Boolean(isError), code: text.split(":")[0] }, { isError: true, code });
    assert.match(text, /^What to do: \S/m);
    return text;
  }
}

/** The first lines of a text, up to "What to do", as one line of at most 200 characters with shortened links. */
function summary(text) {
  const line = text.split("What to do:")[0].trim().replaceAll(/\s*\n\s*/g, " | ")
    .replaceAll(/https?:\/\/[^\s'"]*\/([^\s'"?]*)[^\s'"]*/g, "http://…/$1");
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
