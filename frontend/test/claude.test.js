// The conversation of claude.ts, with bin/local and a stand-in for Anthropic's Messages API,
// whose Claude does what each test says.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { converse } from "./build/claude/claude.js";
import { startLocal } from "./local.js";

const tools = JSON.parse(await readFile(new URL("../../functions/mcp/claude-tools.json", import.meta.url), "utf8"));
let local, token;

before(async () => {
  local = await startLocal({ SWEEP_EVERY: "1s", POLL_EVERY: "1s" });
  token = await local.tokenOf("ada");
});

after(() => local.stop());

async function listen(t, handler) {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A stand-in for the Messages API: a real server that accepts only what Anthropic's would.
 *  `claude` returns the content of an answer to the last message's tool results. */
async function messagesApi(t, claude, busy = 0) {
  const requests = [];
  const anthropic = await listen(t, async (request, response) => {
    const answer = (status, body, headers) => response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
    try {
      if (busy-- > 0) return answer(529, { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }, { "Retry-After": "0" });
      assert.deepEqual([request.method, request.url], ["POST", "/v1/messages"]);
      assert.deepEqual([request.headers["x-api-key"], request.headers["anthropic-version"]], ["sk-test", "2023-06-01"]);
      const body = JSON.parse(await bodyOf(request));
      assert.deepEqual([body.model, body.max_tokens > 0, body.tools], ["claude-test", true, tools]);
      const results = checkMessages(body.messages);
      requests.push(body);
      const content = await claude(results, body);
      answer(200, { type: "message", role: "assistant", content, stop_reason: content.some((b) => b.type === "tool_use") ? "tool_use" : "end_turn" });
    } catch (error) {
      answer(400, { type: "error", error: { type: "invalid_request_error", message: error.stack } });
    }
  });
  return { requests, options: { anthropic, apiKey: "sk-test", model: "claude-test", tools, mcp: local.base + "/mcp", token: async () => token } };
}

/** Fails where Anthropic's API would, and returns the last message's results by tool name. */
function checkMessages(messages) {
  let uses = [], results = {};
  messages.forEach(({ role, content }, n) => {
    assert.equal(role, n % 2 === 0 ? "user" : "assistant");
    if (role === "assistant") {
      uses = content.filter((b) => b.type === "tool_use");
      return;
    }
    const blocks = typeof content === "string" ? [] : content;
    assert.deepEqual(blocks.map((b) => [b.type, b.tool_use_id]).sort(), uses.map((u) => ["tool_result", u.id]).sort(), "each tool_use has one tool_result in the next message");
    results = Object.fromEntries(uses.map((u) => [u.name, blocks.find((b) => b.tool_use_id === u.id)]));
    for (const { content, is_error } of blocks) content.forEach((b) => checkBlock(b, is_error));
  });
  assert.equal(messages.at(-1).role, "user");
  return results;
}

function checkBlock(b, failed) {
  if (b.type === "text") {
    assert.deepEqual(Object.keys(b).sort(), ["text", "type"]);
    assert.ok(b.text);
    return;
  }
  assert.deepEqual([b.type, failed, Object.keys(b).sort()], ["image", false, ["source", "type"]]);
  assert.deepEqual([b.source.type, b.source.media_type, Object.keys(b.source).length], ["base64", "image/jpeg", 3]);
  assert.equal(Buffer.from(b.source.data, "base64").subarray(0, 3).toString("hex"), "ffd8ff");
}

let uses = 0;
const use = (name, input) => ({ type: "tool_use", id: `toolu_${++uses}`, name, input });
const say = (text) => [{ type: "text", text }];
const words = (result) => result.content.map((b) => b.text ?? "").join("\n");

/** A Claude that makes a picture, waits for it and returns its link. */
const painter = (requestKey) => (results) => {
  const { generate_image: begun, get_image: seen } = results;
  if (seen) return say(`Here it is: ${/^Image 1 of .*: (\S+)$/m.exec(words(seen))[1]}`);
  if (!begun) return [...say("One moment."), use("generate_image", { requestKey, prompt: "A lighthouse at dusk", target: { kind: "moodboard", id: requestKey } })];
  return [use("get_image", { taskId: /^Task (\w{26}):/m.exec(words(begun))[1], waitSeconds: 20 }), use("get_credits", {})];
};

async function balance() {
  const headers = { Authorization: "Bearer nanobanana-test-key" }; // nanobananatest.DefaultKey
  return (await (await fetch(local.base + "/simulator/api/v1/common/credit", { headers })).json()).data;
}

/** A proxy between a conversation and /mcp. `intercept` runs before each answer is returned. */
async function proxy(t, intercept) {
  const calls = [];
  const mcp = await listen(t, async (request, response) => {
    const body = await bodyOf(request);
    calls.push(body);
    const { authorization, accept } = request.headers;
    const answer = await fetch(local.base + "/mcp", { method: "POST", headers: { authorization, accept, "Content-Type": "application/json" }, body });
    const text = await answer.text();
    await intercept(response, calls.length);
    if (!response.writableEnded && !response.destroyed) response.writeHead(answer.status, { "Content-Type": "application/json" }).end(text);
  });
  return { mcp: mcp + "/mcp", calls };
}

test("a conversation returns the picture's link, and can go on", async (t) => {
  const { options, requests } = await messagesApi(t, painter("dusk"));
  const { text, stop, messages } = await converse(options, "A lighthouse at dusk, please");
  assert.deepEqual([stop, messages.length, requests.length], ["end_turn", 6, 3]);
  assert.ok(messages[4].content[0].content.some((b) => b.type === "image"), "Claude sees the picture");
  assert.ok(messages[4].content.every((result) => result.is_error === false));
  const picture = await fetch(/https?:\S+/.exec(text)[0]);
  assert.deepEqual([picture.status, picture.headers.get("Content-Type")], [200, "image/png"]);
  assert.equal(Buffer.from(await picture.arrayBuffer()).subarray(1, 4).toString(), "PNG");

  const next = await messagesApi(t, () => say("You are welcome."));
  assert.deepEqual((await converse(next.options, "Thank you", messages)).messages.slice(0, 6), messages);
});

test("a call whose answer is lost is repeated: one task, one charge", async (t) => {
  const full = await balance();
  const { mcp, calls } = await proxy(t, (response, n) => {
    if (n === 1) response.destroy();
    if (n === 2) response.writeHead(503, { "Content-Type": "application/json" }).end('{"message":"Service Unavailable"}');
  });
  const { options } = await messagesApi(t, painter("lost"), 1);
  const { messages } = await converse({ ...options, mcp }, "A lighthouse at dusk, please");
  assert.equal(new Set(calls.slice(0, 3)).size, 1, "the repeated calls are the same");
  assert.match(words(messages[2].content[0]), /nothing was charged again/);
  assert.equal(full - await balance(), 4);
  const { tasks } = await (await fetch(`${local.base}/v1/tasks?target=moodboard:lost`, { headers: { Authorization: `Bearer ${token}` } })).json();
  assert.equal(tasks.length, 1);
});

test("the tools of one answer run at the same time", { timeout: 30_000 }, async (t) => {
  let bothArrived;
  const both = new Promise((resolve) => { bothArrived = resolve; });
  const { mcp } = await proxy(t, (_, n) => { if (n === 2) bothArrived(); return both; });
  const { options } = await messagesApi(t, ({ get_credits: seen }) => (seen ? say("Done.") : [use("get_credits", {}), use("list_images", { target: { kind: "moodboard", id: "none" } })]));
  assert.equal((await converse({ ...options, mcp }, "How are we doing?")).text, "Done.");
});

test("Claude reads what a tool refuses", async (t) => {
  const { options } = await messagesApi(t, (results) => {
    if (!results.get_credits) return [use("get_credits", {}), use("generate_image", { requestKey: "wrong", prompt: "x", resolution: "8K" }), use("paint", {})];
    assert.deepEqual(Object.values(results).map((r) => r.is_error), [false, true, true]);
    assert.match(words(results.generate_image), /^invalid_request: [^]*resolution[^]*What to do: /);
    return say("That is not possible.");
  });
  assert.equal((await converse(options, "In 8K, please")).text, "That is not possible.");

  const away = await messagesApi(t, ({ get_credits: seen }) => {
    if (!seen) return [use("get_credits", {})];
    assert.deepEqual([seen.is_error, /did not answer/.test(words(seen))], [true, true]);
    return say("Later, then.");
  });
  const { mcp } = await proxy(t, (response) => response.destroy());
  assert.equal((await converse({ ...away.options, mcp, tries: 1 }, "How many credits?")).text, "Later, then.");
});

test("permanent errors end the conversation at once", async (t) => {
  const credits = () => [use("get_credits", {})];
  const stranger = await messagesApi(t, credits);
  const { mcp, calls } = await proxy(t, () => {});
  await assert.rejects(converse({ ...stranger.options, mcp, token: async () => "stranger" }, "How many credits?"), /token is not accepted by \/mcp/);
  assert.deepEqual([calls.length, stranger.requests.length], [1, 1]);
  await assert.rejects(converse({ ...stranger.options, apiKey: "sk-wrong" }, "Hello"), { status: 400 });
});

test("rounds are limited, and the last has no tools", async (t) => {
  const credits = () => [use("get_credits", {})];
  const patient = await messagesApi(t, (_, { tool_choice }) => (tool_choice.type === "none" ? say("That was enough.") : credits()));
  assert.equal((await converse({ ...patient.options, rounds: 3 }, "Count for ever")).text, "That was enough.");
  assert.equal(patient.requests.length, 3);
  const stubborn = await messagesApi(t, credits);
  await assert.rejects(converse({ ...stubborn.options, rounds: 3 }, "Count for ever"), /after 3 rounds/);
  assert.equal(stubborn.requests.length, 3);
});
