// The Inspector's command line as a client.
import assert from "node:assert/strict";

import addFormats from "ajv-formats";
import { Ajv2020 } from "ajv/dist/2020.js";

import { run } from "./child.js";

const program = new URL("node_modules/.bin/mcp-inspector", import.meta.url).pathname;
const toolFailed = 5; // its exit code for a result with isError

export class Inspector {
  /** home is a folder for what it may want to keep. */
  constructor(target, home) {
    this.target = target;
    this.home = home;
    this.schemas = new Map(); // of what each tool gives
    this.seen = new Set(); // how calls ended, such as "get_image failed"
  }

  async #run(era, ...args) {
    const { url, token } = this.target;
    const all = [program, "--cli", `${url}/mcp`, "--transport", "http", "--header", `Authorization: Bearer ${token}`];
    return run(process.execPath, [...all, "--protocol-era", era, "--format", "json", ...args], { env: { HOME: this.home } });
  }

  /** The tools, of which no client may find a fault with the schemas. */
  async list(era) {
    const { code, stdout, stderr } = await this.#run(era, "--method", "tools/list", "--strict");
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const { tools } = JSON.parse(stdout).result;
    const ajv = new Ajv2020({ strict: true, allErrors: true });
    addFormats(ajv);
    for (const { name, outputSchema } of tools) this.schemas.set(name, ajv.compile(outputSchema));
    return tools;
  }

  /**
   * Calls a tool, and prints in a line what was asked and what came back. What
   * it gives as data is held against its schema.
   */
  async #call(tool, args, { era = "legacy", pairs = false } = {}) {
    const given = pairs ? ["--tool-arg", ...Object.entries(args).map(([name, value]) => `${name}=${value}`)] : ["--tool-args-json", JSON.stringify(args)];
    const { code, stdout, stderr } = await this.#run(era, "--method", "tools/call", "--tool-name", tool, ...given);
    assert.ok(stdout, `it gave no result, ended with ${code} and said: ${stderr}`);
    const { result } = JSON.parse(stdout);
    const [{ text }] = result.content;
    console.log(`    ${tool} ${JSON.stringify(args)} -> ${short(text)}`);
    assert.equal(code, result.isError ? toolFailed : 0, stderr);
    this.seen.add(`${tool} ${result.isError ? "failed" : "succeeded"}`);
    if (!result.isError) this.#check(tool, result);
    return { ...result, text, data: result.structuredContent };
  }

  #check(tool, { structuredContent }) {
    const valid = this.schemas.get(tool);
    assert.ok(valid(structuredContent), `${tool}'s data is not as its schema has it: ${JSON.stringify(valid.errors)} in ${JSON.stringify(structuredContent)}`);
  }

  /** Calls a tool that is to succeed, and gives what it said, with its data and first text. */
  async ask(tool, args, options) {
    const result = await this.#call(tool, args, options);
    assert.ok(!result.isError, `${tool} failed: ${result.text}`);
    return result;
  }

  /** Calls a tool that is to fail with this code, and gives its text. */
  async refused(tool, args, code, options) {
    const { isError, text } = await this.#call(tool, args, options);
    assert.deepEqual({ isError: Boolean(isError), code: text.split(":")[0] }, { isError: true, code });
    assert.match(text, /^What to do: \S/m);
    return text;
  }
}

/** The first lines of a text, up to what to do next, as one of at most 200 characters; links by their ends. */
function short(text) {
  const line = text.split("What to do:")[0].trim().replaceAll(/\s*\n\s*/g, " | ")
    .replaceAll(/https?:\/\/[^\s'"]*\/([^\s'"?]*)[^\s'"]*/g, "http://…/$1");
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
