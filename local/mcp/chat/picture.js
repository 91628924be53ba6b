// What a user and a model do with the page of a picture, in a chat that shows it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { openChat } from "./browser.js";

const price = 4; // of a nano-banana picture
const uri = "ui://preset/image.html";

/** Tests against any server; it makes five pictures by four orders. */
export function picture(target) {

  test("the server declares the page as hosts look for it", async (t) => {
    const chat = await openChat(t, target);
    const { extensions, tools, resources } = await chat.connect();
    assert.ok(extensions["io.modelcontextprotocol/ui"]);
    assert.ok(resources.some((resource) => resource.uri === uri));
    const named = tools.filter((tool) => tool.uri || tool.flat).map(({ name, uri, flat }) => [name, uri, flat]);
    assert.deepEqual(named.sort(), [["generate_image", uri, uri], ["get_image", uri, uri]]);
    assert.deepEqual(tools.filter((tool) => tool.appOnly).map(({ name }) => name), ["watch_image"]);
  });

  test("one call of the model, and the picture appears; an edit in the page makes a second", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    const { structuredContent: { taskId } } = await chat.model("generate_image", { requestKey: "chat-1", prompt: "A fox in a chat" });
    await chat.drawn();
    await chat.look("picture");
    assert.deepEqual((await chat.calls("model")).map(({ name }) => name), ["generate_image"]);
    assert.deepEqual([...new Set((await chat.calls("app")).map(({ name, args }) => `${name} ${args.taskId}`))], [`watch_image ${taskId}`]);

    await chat.button(`Edit · ${price} credits`).click();
    await chat.app.getByLabel("What should change?").fill("At night");
    await chat.look("edit");
    await chat.button(`Make the change · ${price} credits`).dblclick();
    await chat.button("The picture before").waitFor();
    await chat.drawn();
    await chat.look("edited");
    const [edit, ...more] = await chat.calls("app", "generate_image");
    assert.deepEqual(more, [], "a double click orders once");
    assert.deepEqual([edit.args.prompt, edit.args.imageUrls], ["At night", [`task:${taskId}/1`]]);
    assert.equal((await chat.calls("model")).length, 1);
    const told = (await chat.seen("told")).at(-1).content[0].text;
    assert.match(told, /^- The user ordered an edit of task:\w+\/1 for 4 credits: task \w{26}\. The words: "At night"$/m);
    assert.match(told, /^- Task \w{26} has ended: succeeded\. task:\w{26}\/1 at http/m);
    assert.deepEqual(await chat.seen("messages"), [], "the page starts no turn of the model");
  });

  test("after a lost answer the same order is found again, paid for once", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("generate_image", { requestKey: "chat-2", prompt: "A lost fox" });
    await chat.drawn();
    const before = await balance(target);
    await chat.fault({ tool: "generate_image", kind: "lost", times: 1 });
    await chat.button(/^Three variations/).click();
    const said = chat.app.getByRole("alert");
    await said.waitFor();
    assert.match(await said.innerText(), /at most once/);
    await chat.look("lost-answer");
    await chat.button(`Three variations · ${3 * price} credits`).click();
    await chat.button("The picture before").waitFor();
    await chat.drawn(3);
    await chat.look("variations");
    const keys = (await chat.calls("app", "generate_image")).map(({ args }) => args.requestKey);
    assert.deepEqual([keys.length, new Set(keys).size], [2, 1]);
    assert.equal(before - await balance(target), 3 * price);
  });

  test("the picture's link is opened by the chat", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("generate_image", { requestKey: "chat-1", prompt: "A fox in a chat" }); // the same as above: not paid again
    await chat.drawn();
    await chat.button("Open").click();
    await chat.page.waitForFunction(() => host.opened.length > 0);
    const [link] = await chat.seen("opened");
    const picture = await fetch(link, { signal: AbortSignal.timeout(10_000) });
    assert.deepEqual([picture.status, picture.headers.get("Content-Type")], [200, "image/png"]);
  });
}

/** The credits that are left, of the provider itself. */
export async function balance(target) {
  const answer = await fetch(`${target.ledger}/api/v1/common/credit`, { headers: { Authorization: `Bearer ${target.ledgerKey}` }, signal: AbortSignal.timeout(10_000) });
  return (await answer.json()).data;
}
