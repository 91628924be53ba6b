// What Claude and a user do with the tools, one call after another.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { run } from "./child.js";

const board = { kind: "moodboard", id: `spring-${process.pid}` };
const fox = { requestKey: "fox-1", prompt: "A fox in a snowy wood, at dawn", target: board };
const price = 4; // of one of nano-banana, the simulator's and ours
const maxResult = 60_000; // characters of a result, of which clients cut off what is longer

export function conversation(target, inspector, folder) {
  const at = {}; // where it has come to

  /** What the provider's own account says, so that nothing in between can be out of date. */
  const ledger = async () => {
    const answer = await fetch(`${target.ledger}/api/v1/common/credit`, {
      headers: { Authorization: `Bearer ${target.ledgerKey}` }, signal: AbortSignal.timeout(10_000),
    });
    const { data } = await answer.json();
    assert.equal(typeof data, "number");
    return data;
  };
  const charged = async (pictures) => assert.equal(at.start - await ledger(), pictures * price);

  /** Waits for a picture as the tools tell clients to. */
  const wait = async (taskId) => {
    for (let n = 0; n < 3; n++) {
      const result = await inspector.ask("get_image", { taskId, waitSeconds: 20 }, { pairs: true });
      if (!result.data.done) continue;
      assert.equal(result.data.status, "succeeded");
      return result;
    }
    return assert.fail(`the picture of ${taskId} is not done after three waits`);
  };

  test("how many credits are there?", async () => {
    at.start = await ledger();
    const { data } = await inspector.ask("get_credits", {});
    assert.deepEqual([data.balance, data.imagesLeft, data.canGenerate], [at.start, Math.floor(at.start / price), true]);
  });

  test("a picture is made, and shown", async () => {
    const { data } = await inspector.ask("generate_image", fox);
    assert.deepEqual([data.done, data.credits], [false, { estimate: price, outcome: "held" }]);
    at.first = data.taskId;
    const result = await wait(at.first);
    at.png = await checkShown(result, 1);
    await charged(1);
  });

  test("it is edited", async () => {
    at.edit = { requestKey: "fox-2", prompt: "The same, at night", imageUrls: [`task:${at.first}/1`], target: board };
    at.second = (await inspector.ask("generate_image", at.edit)).data.taskId;
    at.paid = Date.now();
    assert.notEqual(at.second, at.first);
    await checkShown(await wait(at.second), 1);
    await charged(2);
  });

  test("the call again, with its requestKey: the same task, charged once", async () => {
    const { data, text } = await inspector.ask("generate_image", at.edit);
    assert.equal(data.taskId, at.second);
    assert.match(text, /nothing was charged again/);
    await charged(2);
  });

  test("what there is for the moodboard, newest first", async () => {
    const { data } = await inspector.ask("list_images", { target: board });
    assert.deepEqual(data.tasks.map(({ taskId, images }) => [taskId, images.length]), [[at.second, 1], [at.first, 1]]);
  });

  test("a prompt that we refuse costs nothing", async () => {
    await inspector.refused("generate_image", { requestKey: "refused-1", prompt: "a naked woman" }, "prompt_rejected");
    await charged(2);
  });

  test("a picture that nobody can pay costs nothing", async () => {
    const dear = { ...fox, requestKey: "dear-1", model: "nano-banana-pro", resolution: "4K" }; // by PRICES
    await inspector.refused("generate_image", dear, "insufficient_credits");
    await charged(2);
  });

  test("the credits went down by two pictures", async () => {
    const { balance } = await fresh(inspector, at.paid);
    assert.equal(balance, at.start - 2 * price);
    await charged(2);
  });

  test("a file is uploaded by the command, and edited", async () => {
    const file = join(folder, "it's mine.png");
    await writeFile(file, at.png);
    const { data } = await inspector.ask("upload_image", { contentType: "image/png", bytes: at.png.length });
    assert.match(data.command, /^curl .* FILE /);
    const command = data.command.replace(" FILE ", () => ` "$FILE" --silent --show-error --max-time 20 `);
    const put = await run("/bin/sh", ["-c", command], { env: { FILE: file } });
    console.log(`    $ curl … --upload-file … -> ended with ${put.code}`);
    assert.deepEqual(put, { code: 0, stdout: "", stderr: "" });
    const edit = { requestKey: "mine-1", prompt: "Mine, as a watercolour", imageUrls: [data.imageUrl] };
    await checkShown(await wait((await inspector.ask("generate_image", edit)).data.taskId), 1);
    await charged(3);
  });
}

/** The account as it is since then: on Lambda a balance is kept in memory for 30 s, with its age. */
async function fresh(inspector, since) {
  for (const end = Date.now() + 65_000; ;) {
    const { data } = await inspector.ask("get_credits", {});
    const asOf = Date.parse(data.asOf);
    if (asOf > since || Date.now() > end) return data;
    await sleep(Math.max(asOf + 30_000 - Date.now(), 500));
  }
}

/**
 * Holds that a result shows its pictures: by links that lead to PNGs of the
 * stated size without sign-in, and by previews. It gives the first one's bytes.
 */
async function checkShown(result, pictures) {
  const { content, data } = result;
  assert.deepEqual(content.map(({ type }) => type), ["text", ...Array(pictures).fill("resource_link"), ...Array(pictures).fill("image")]);
  const whole = JSON.stringify({ content, structuredContent: data }).length;
  const preview = content.at(-1), small = Buffer.from(preview.data, "base64");
  assert.deepEqual([preview.mimeType, small.subarray(0, 3).toString("hex"), small.subarray(-2).toString("hex")], ["image/jpeg", "ffd8ff", "ffd9"]);
  assert.ok(whole < maxResult, `the result has ${whole} characters, want less than ${maxResult}`);

  const [{ url, width, height, bytes, contentType }] = data.images;
  assert.equal(content[1].uri, url);
  const link = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(10_000) });
  assert.equal(link.status, 302);
  const picture = await fetch(link.headers.get("Location"), { signal: AbortSignal.timeout(10_000) });
  const png = Buffer.from(await picture.arrayBuffer());
  console.log(`    http://…/${url.split("/").at(-1)} -> ${link.status}, ${picture.status}, ${png.length} bytes; preview ${small.length}, result ${whole}`);
  assert.deepEqual(
    { status: picture.status, type: picture.headers.get("Content-Type"), magic: png.subarray(1, 4).toString(), width: png.readUInt32BE(16), height: png.readUInt32BE(20), bytes: png.length },
    { status: 200, type: contentType, magic: "PNG", width, height, bytes },
  );
  return png;
}
