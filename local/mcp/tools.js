// The tools as clients see them, in both eras of the protocol: with a handshake, as
// today's clients do it (legacy), and without one (modern).
import assert from "node:assert/strict";
import { test } from "node:test";

const names = [
  "delete_image", "generate_image", "get_credits", "get_image", "list_images", "move_image", "quote_image", "upload_image", "watch_image",
];
const unknownTask = "0".repeat(26);

const invalidCalls = [
  ["generate_image", { requestKey: "wrong", prompt: "a fox", size: "1024x1024" }, "invalid_request", /Use aspectRatio/],
  ["get_image", { taskId: unknownTask }, "not_found", /./],
  ["list_images", { target: { kind: "Mood Board", id: "m" } }, "invalid_request", /target/],
  ["get_credits", { currency: "EUR" }, "invalid_request", /currency/],
  ["upload_image", { contentType: "image/gif", bytes: 100 }, "invalid_request", /contentType/],
  ["quote_image", { prompt: "a fox", size: "1024x1024" }, "invalid_request", /Use aspectRatio/],
  ["move_image", { taskId: unknownTask, target: { kind: "moodboard" } }, "invalid_request", /target\/id/],
  ["delete_image", { taskId: unknownTask }, "not_found", /./],
  ["watch_image", { taskId: unknownTask }, "not_found", /./],
];

export function tools(inspector) {
  for (const era of ["legacy", "modern"]) {
    test(`${era}: the listed tools have no faults`, async () => {
      const found = await inspector.list(era);
      assert.deepEqual(found.map(({ name }) => name).sort(), names);
    });

    test(`${era}: one call succeeds and one fails`, async () => {
      const { data } = await inspector.call("get_credits", {}, { era });
      assert.equal(data.canGenerate, true);
      await inspector.callRefused("get_image", { taskId: unknownTask }, "not_found", { era });
    });
  }

  for (const [tool, args, code, message] of invalidCalls) {
    test(`${tool} explains what is wrong`, async () => assert.match(await inspector.callRefused(tool, args, code), message));
  }
}

/** Checks at the end that each tool was called with both outcomes. */
export function allSeen(inspector) {
  test("each tool has succeeded and failed", () => {
    const want = names.flatMap((name) => [`${name} failed`, `${name} succeeded`]);
    assert.deepEqual([...inspector.seen].sort(), want);
  });
}

/** Requests without a valid token, or from another site's page. */
export function unauthorized(target) {
  const list = async (who, headers) => {
    const answer = await fetch(`${target.url}/mcp`, {
      method: "POST", signal: AbortSignal.timeout(10_000),
      headers: { "Content-Type": "application/json", Accept: "application/json, text/event-stream", ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
    });
    console.log(`    POST /mcp with ${who} -> ${answer.status}, ${answer.headers.get("WWW-Authenticate") ?? "no challenge"}`);
    return answer;
  };

  for (const [who, headers, expected] of [
    ["no token", {}, /^Bearer resource_metadata="/],
    ["an expired token", { Authorization: `Bearer ${target.expired}` }, /^Bearer error="invalid_token", resource_metadata="/],
  ]) {
    test(`${who} returns 401 and where to sign in`, async () => {
      const answer = await list(who, headers);
      assert.equal(answer.status, 401);
      const challenge = answer.headers.get("WWW-Authenticate") ?? "";
      assert.match(challenge, expected);
      const metadata = await fetch(/resource_metadata="([^"]+)"/.exec(challenge)[1], { signal: AbortSignal.timeout(10_000) });
      assert.equal((await metadata.json()).resource, `${target.url}/mcp`);
    });
  }

  test("a page of another site gets 403", async () => {
    const { status } = await list("an Origin of its own", { Authorization: `Bearer ${target.token}`, Origin: "http://evil.example.com" });
    assert.equal(status, 403);
  });
}
