// What a user and Claude do with the tools, one call after another.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { run } from "./child.js";

const board = { kind: "moodboard", id: `spring-${process.pid}` };
const fox = { requestKey: "fox-1", prompt: "A fox in a snowy wood, at dawn", target: board };
const price = 4; // of a nano-banana picture, in the simulator and in our settings
const maxResult = 60_000; // characters; clients cut longer results

export function conversation(target, inspector, folder) {
  const state = {}; // what earlier calls returned

  /** Reads the balance from the provider itself, so that no cache is in between. */
  const ledger = async () => {
    const answer = await fetch(`${target.ledger}/api/v1/common/credit`, {
      headers: { Authorization: `Bearer ${target.ledgerKey}` }, signal: AbortSignal.timeout(10_000),
    });
    const { data } = await answer.json();
    assert.equal(typeof data, "number");
    return data;
  };
  const charged = async (pictures) => assert.equal(state.start - await ledger(), pictures * price);

  /** Waits for a picture as the tools tell clients to. */
  const wait = async (taskId) => {
    for (let n = 0; n < 3; n++) {
      const result = await inspector.call("get_image", { taskId, waitSeconds: 20 }, { pairs: true });
      if (!result.data.done) continue;
      assert.equal(result.data.status, "succeeded");
      return result;
    }
    return assert.fail(`the picture of ${taskId} is not done after three waits`);
  };

  test("the credits are read", async () => {
    state.start = await ledger();
    const { data } = await inspector.call("get_credits", {});
    assert.deepEqual([data.balance, data.imagesLeft, data.canGenerate], [state.start, Math.floor(state.start / price), true]);
  });

  test("its price is quoted, and nothing is ordered", async () => {
    const { data } = await inspector.call("quote_image", fox);
    assert.deepEqual([data.credits, data.balance, data.canGenerate, data.task], [price, state.start, true, undefined]);
    await charged(0);
  });

  test("a picture is made and shown", async () => {
    const { data } = await inspector.call("generate_image", fox);
    assert.deepEqual([data.done, data.credits], [false, { estimate: price, outcome: "held" }]);
    state.first = data.taskId;
    const result = await wait(state.first);
    state.png = await checkShown(result, 1);
    await charged(1);
  });

  test("the picture is edited", async () => {
    state.edit = { requestKey: "fox-2", prompt: "The same, at night", imageUrls: [`task:${state.first}/1`], target: board };
    state.second = (await inspector.call("generate_image", state.edit)).data.taskId;
    state.paid = Date.now();
    assert.notEqual(state.second, state.first);
    await checkShown(await wait(state.second), 1);
    await charged(2);
  });

  test("a repeated requestKey finds the same task, charged once", async () => {
    const { data, text } = await inspector.call("generate_image", state.edit);
    assert.equal(data.taskId, state.second);
    assert.match(text, /nothing was charged again/);
    await charged(2);
  });

  test("the moodboard's pictures are listed, newest first", async () => {
    const { data } = await inspector.call("list_images", { target: board });
    assert.deepEqual(data.tasks.map(({ taskId, images }) => [taskId, images.length]), [[state.second, 1], [state.first, 1]]);
  });

  test("the page in the chat is told all about the picture", async () => {
    const { data } = await inspector.call("watch_image", { taskId: state.first });
    assert.deepEqual([data.picture.taskId, data.previews.length], [state.first, 1]);
  });

  test("the edit is moved to a Showcase", async () => {
    const showcase = { kind: "showcase", id: board.id };
    const { data } = await inspector.call("move_image", { taskId: state.second, target: showcase });
    assert.deepEqual(data.target, showcase);
    const { data: there } = await inspector.call("list_images", { target: showcase });
    assert.deepEqual(there.tasks.map(({ taskId }) => taskId), [state.second]);
  });

  test("without arguments everything is listed", async () => {
    const { data } = await inspector.call("list_images", {});
    assert.deepEqual(data.tasks.slice(0, 2).map(({ taskId }) => taskId), [state.second, state.first]);
  });

  test("a prompt that our filter refuses costs nothing", async () => {
    await inspector.callRefused("generate_image", { requestKey: "refused-1", prompt: "a naked woman" }, "prompt_rejected");
    await charged(2);
  });

  test("a picture that costs more than the balance is refused", async () => {
    const dear = { ...fox, requestKey: "dear-1", model: "nano-banana-pro", resolution: "4K" }; // by PRICES
    await inspector.callRefused("generate_image", dear, "insufficient_credits");
    await charged(2);
  });

  test("the credits went down by two pictures", async () => {
    const { balance } = await fresh(inspector, state.paid);
    assert.equal(balance, state.start - 2 * price);
    await charged(2);
  });

  test("a file is uploaded with the returned command, and edited", async () => {
    const file = join(folder, "it's mine.png");
    await writeFile(file, state.png);
    const { data } = await inspector.call("upload_image", { contentType: "image/png", bytes: state.png.length });
    assert.match(data.command, /^curl .* FILE /);
    const command = data.command.replace(" FILE ", () => ` "$FILE" --silent --show-error --max-time 20 `);
    const put = await run("/bin/sh", ["-c", command], { env: { FILE: file } });
    console.log(`    $ curl … --upload-file … -> ended with ${put.code}`);
    assert.deepEqual(put, { code: 0, stdout: "", stderr: "" });
    const edit = { requestKey: "mine-1", prompt: "Mine, as a watercolour", imageUrls: [data.imageUrl] };
    state.third = (await inspector.call("generate_image", edit)).data.taskId;
    await checkShown(await wait(state.third), 1);
    await charged(3);
  });

  test("that picture is deleted for good, once", async () => {
    const remove = async () => (await inspector.call("delete_image", { taskId: state.third })).data;
    assert.deepEqual([(await remove()).imagesLost, (await remove()).outcome], [1, "gone"]);
    await inspector.callRefused("get_image", { taskId: state.third }, "not_found");
    await charged(3);
  });
}

/** Reads the credits until they are newer than since: a Lambda keeps a balance in memory for 30 s. */
async function fresh(inspector, since) {
  for (const end = Date.now() + 65_000; ;) {
    const { data } = await inspector.call("get_credits", {});
    const asOf = Date.parse(data.asOf);
    if (asOf > since || Date.now() > end) return data;
    await sleep(Math.max(asOf + 30_000 - Date.now(), 500));
  }
}

/**
 * Checks that a result has links to PNGs of the stated size, without sign-in, and
 * previews. It returns the bytes of the first picture.
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
