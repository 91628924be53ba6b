// Chats that are different, slow or hostile, and users who are.
import assert from "node:assert/strict";
import { test } from "node:test";

import { balance } from "./picture.js";
import { callTool, made, openChat, order } from "./browser.js";
import { startLocal } from "../local.js";

// Shorter than the beginning of a prompt that tools return.
const hostile = `<img src=x onerror="document.title='run';alert(1)">\n<svg onload=alert(2)></main>`;

export function hosts(target) {
  test("a page that does what the policy forbids is noticed", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("generate_image", { prompt: "nothing" }, { output: false });
    await chat.app.getByText("Ordering…").waitFor();
    const seen = chat.page.waitForEvent("console", (message) => message.text().startsWith("policy: script-src"));
    await chat.frame().evaluate(async () => {
      await fetch("https://elsewhere.example/").catch(() => {});
      const img = Object.assign(document.createElement("img"), { src: "/own.png" });
      await img.decode().catch(() => {});
      document.body.append(Object.assign(document.createElement("script"), { src: "https://elsewhere.example/script.js" }));
    });
    await seen;
    await assert.rejects(chat.check(), (error) => {
      for (const kind of ["connect-src", "script-src-elem"]) assert.ok(error.actual.faults.some((fault) => fault.startsWith(`policy: ${kind} https://elsewhere.example/`)), error.message);
      assert.ok(error.actual.elsewhere.some((url) => url.endsWith("/own.png")), error.message);
      return true;
    });
    chat.forget();
  });

  test("a prompt of markup is text", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("generate_image", { requestKey: "hostile", prompt: hostile, target: { kind: "moodboard", id: "<b>x</b>" } });
    await chat.drawn();
    assert.equal((await chat.app.locator(".prompt").innerText()).replaceAll(/\s+/g, " "), hostile.replaceAll(/\s+/g, " "));
    assert.equal(await chat.app.locator("svg, b, main script, img[onerror]").count(), 0);
    assert.notEqual(await chat.frame().title(), "run");
    assert.match(await chat.app.locator("img").getAttribute("alt"), /^<img src=x onerror/);
    await chat.look("hostile");
    await chat.button(/^Edit/).click();
    await chat.app.getByRole("textbox").fill(hostile);
    await chat.button(/^Make the change/).click();
    await chat.button("The picture before").waitFor();
    await chat.drawn();
    const told = (await chat.seen("told")).at(-1).content[0].text;
    assert.ok(told.includes(`The words: ${JSON.stringify(hostile)}`), told);
    assert.equal(told.split("\n").length, 3, "one line each");
  });

  test("without targets no picture can be moved; with some it can, and then deleted", async (t) => {
    const own = { ...target, token: await target.tokenOf("grace") };
    const taskId = await made(own, { prompt: "A fox to move" });
    const first = await openChat(t, own);
    await first.connect();
    await first.model("get_image", { taskId });
    await first.drawn();
    assert.deepEqual(await first.app.getByRole("button").allInnerTexts(), ["Edit · 4 credits", "Three variations · 12 credits", "Open", "Delete…"]);

    await made(own, { prompt: "Another fox", target: { kind: "showcase", id: "autumn" } });
    const chat = await openChat(t, own);
    await chat.connect();
    await chat.model("get_image", { taskId });
    await chat.drawn();
    await chat.button("Move to…").click();
    await chat.app.getByRole("combobox").selectOption("showcase autumn");
    await chat.button("Move", { exact: true }).click();
    await chat.app.getByText("showcase autumn").waitFor();
    assert.equal(await chat.button("Move to…").count(), 0, "there is no other place");
    const { structuredContent: { tasks } } = await callTool(own, "list_images", { target: { kind: "showcase", id: "autumn" } });
    assert.ok(tasks.some((task) => task.taskId === taskId));

    await chat.button("Delete…").click();
    await chat.app.getByText(/gone for good/).waitFor();
    await chat.button("Keep").click();
    await chat.button("Delete…").click();
    await chat.button("Delete for good").click();
    await chat.app.getByText("Deleted. The link no longer works.").waitFor();
    await chat.look("deleted");
    assert.match((await callTool(own, "get_image", { taskId })).content[0].text, /^not_found:/);
    assert.equal((await chat.calls("model")).length, 1);
  });

  test("by the keyboard alone", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("get_image", { taskId: await made(target, { prompt: "A fox for the keyboard" }) });
    await chat.drawn();
    await tabTo(chat, /^Edit/);
    await chat.look("focus");
    await chat.page.keyboard.press("Enter");
    await chat.page.keyboard.type("In the rain");
    await chat.page.keyboard.press("Control+Enter");
    await chat.button("The picture before").waitFor();
    await chat.drawn();
    await tabTo(chat, /The picture before/);
    await chat.page.keyboard.press("Enter");
    await chat.app.getByText("A fox for the keyboard").waitFor();
    await chat.drawn();
    assert.equal(await chat.button("The picture before").count(), 0);
    assert.equal((await chat.calls("app", "generate_image"))[0].args.prompt, "In the rain");
  });

  test("what is ordered while another order is on its way is not ordered", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("get_image", { taskId: await made(target, { prompt: "A fox, once" }) });
    await chat.drawn();
    const before = await balance(target);
    await chat.fault({ tool: "generate_image", kind: "held", times: 1 });
    const variations = chat.button(/^Three variations/);
    await variations.click();
    await chat.page.waitForFunction(() => host.pending === 1);
    await chat.look("in-flight");
    for (const name of [/^Three variations/, /^Edit/, /^Delete/]) {
      const button = chat.button(name);
      assert.equal(await button.getAttribute("aria-disabled"), "true");
      await button.click({ force: true });
    }
    assert.equal(await chat.app.getByRole("textbox").count(), 0);
    await chat.page.evaluate(() => host.release());
    await chat.button("The picture before").waitFor();
    await chat.drawn(3);
    assert.equal((await chat.calls("app", "generate_image")).length, 1);
    assert.equal(before - await balance(target), 12);
  });

  test("an order of the page that is refused says why, and costs nothing", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("get_image", { taskId: await made(target, { prompt: "A fox, refused" }) });
    await chat.drawn();
    await chat.button(/^Edit/).click();
    await chat.app.getByRole("textbox").fill("a naked woman");
    await chat.button(/^Make the change/).click();
    await chat.app.getByRole("alert").waitFor();
    await chat.look("edit-refused");
    assert.equal(await chat.app.getByRole("textbox").inputValue(), "a naked woman", "the words are kept");
    await chat.app.getByRole("textbox").fill("a dressed fox");
    await chat.button(/^Make the change/).click();
    await chat.button("The picture before").waitFor();
    const keys = (await chat.calls("app", "generate_image")).map(({ args }) => args.requestKey);
    assert.equal(new Set(keys).size, 2, "other words are another order");
  });

  for (const [refuse, label, words] of [["policy", "Order with these words · 4 credits", "A dressed fox"], ["generation", "Try again · 4 credits", undefined]]) {
    test(`an order that failed is made anew in the page: ${refuse}`, async (t) => {
      await target.simulate({ refuse });
      t.after(() => target.simulate());
      const chat = await openChat(t, target);
      await chat.connect();
      const { structuredContent: { taskId } } = await chat.model("generate_image", { requestKey: `failed-${refuse}`, prompt: "A failed fox", target: { kind: "moodboard", id: "failed" } });
      await chat.button(label).waitFor();
      await chat.look(`again-${refuse}`);
      if (words) await chat.app.getByRole("textbox").fill(words);
      await target.simulate();
      await chat.button(label).dblclick();
      await chat.button("The picture before").waitFor();
      await chat.drawn();
      const [{ args: { requestKey, ...args } }, ...more] = await chat.calls("app", "generate_image");
      assert.deepEqual([args, more], [{ prompt: words ?? "A failed fox", target: { kind: "moodboard", id: "failed" } }, []]);
      assert.notEqual(requestKey, `failed-${refuse}`);
      assert.ok((await chat.seen("told"))[0].content[0].text.includes(taskId));
      assert.equal((await chat.calls("model")).length, 1);
    });
  }

  test("a day's quota that is used up is said, in the page's own order too", async (t) => {
    const small = await startLocal("ada", { DAILY_QUOTA: "1" });
    t.after(() => small.stop());
    const chat = await openChat(t, small);
    await chat.connect();
    await chat.model("generate_image", { requestKey: "first", prompt: "The one fox of today" });
    await chat.drawn();
    await chat.button(/^Three variations/).click();
    await chat.app.getByRole("alert").waitFor();
    await chat.look("no-quota");
    assert.deepEqual((await callTool(small, "list_images", {})).structuredContent.tasks.length, 1);
    await chat.model("generate_image", { requestKey: "second", prompt: "A fox too many" });
    assert.equal(await chat.app.getByRole("alert").locator("p").first().innerText(), await chat.page.frameLocator("iframe >> nth=0").frameLocator("iframe").getByRole("alert").locator("p").first().innerText());
  });

  test("the theme and the colours of the chat are taken on, and change while it is open", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("get_image", { taskId: await made(target, { prompt: "A fox in colours" }) }, { context: { styles: { variables: { "--color-background-primary": "light-dark(#fff8e7, #101830)" } } } });
    await chat.drawn();
    const back = () => chat.app.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
    assert.equal(await back(), "rgb(255, 248, 231)");
    await chat.page.evaluate(() => host.theme("dark"));
    await chat.app.locator("[data-theme=dark]").waitFor();
    assert.equal(await back(), "rgb(16, 24, 48)");
    await chat.look("colours-changed");
  });

  test("a chat that opens no links shows the link, and one that passes on text alone still shows the picture", async (t) => {
    const taskId = await made(target, { prompt: "A fox, in text" });
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("get_image", { taskId }, { capabilities: { serverTools: {} }, textOnly: true });
    await chat.drawn();
    assert.equal(await chat.button("Open").count(), 0);
    assert.match(await chat.app.locator(".link").innerText(), /^http.*\/v1\/images\//);
    await chat.look("no-links");
  });

  test("a chat without tools says what the result says", async (t) => {
    await target.simulate({ refuse: "maintenance" });
    t.after(() => target.simulate());
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("generate_image", { requestKey: "alone", prompt: "A fox, alone" }, { capabilities: {} });
    await chat.app.getByText(/Ask for the picture in the chat/).waitFor();
    await chat.look("helpless-waiting");
    assert.deepEqual(await chat.calls("app"), []);
  });

  test("a picture that takes too long is asked for by the user; a hidden page asks nothing", async (t) => {
    await target.simulate({ refuse: "maintenance" });
    t.after(() => target.simulate());
    const taskId = await order(target, { prompt: "A slow fox" });
    const chat = await openChat(t, target, { clock: true });
    await chat.connect();
    await chat.model("get_image", { taskId });
    await chat.app.getByText(/In the queue/).waitFor();
    const reads = async () => (await chat.calls("app", "watch_image")).length;
    await pass(chat, 60);
    const inAMinute = await reads();
    assert.ok(inAMinute >= 4 && inAMinute <= 15, `${inAMinute} reads in a minute`);

    await visible(chat, false);
    await pass(chat, 60);
    assert.equal(await reads(), inAMinute, "hidden, it reads nothing");
    await visible(chat, true);
    await chat.page.waitForFunction((n) => host.calls.length > n, inAMinute + 1);

    await pass(chat, 9 * 60);
    await chat.button("Look again").waitFor();
    await chat.look("tired");
    const atTheEnd = await reads();
    assert.ok(atTheEnd <= 65, `${atTheEnd} reads in 10 minutes`);
    await pass(chat, 5 * 60);
    assert.equal(await reads(), atTheEnd, "then it reads nothing more by itself");
    await target.simulate();
    while (!(await callTool(target, "get_image", { taskId, waitSeconds: 20 })).structuredContent.done);
    await chat.button("Look again").click();
    await chat.drawn();
    const done = await reads();
    await pass(chat, 60);
    assert.equal(await reads(), done, "done, it reads nothing more");
  });

  test("an app that the chat ends asks nothing more", async (t) => {
    await target.simulate({ refuse: "maintenance" });
    t.after(() => target.simulate());
    const chat = await openChat(t, target, { clock: true });
    await chat.connect();
    await chat.model("get_image", { taskId: await order(target, { prompt: "A fox, ended" }) });
    await chat.app.getByText(/In the queue/).waitFor();
    await chat.page.evaluate(() => host.end());
    const ended = (await chat.calls("app")).length;
    await pass(chat, 60);
    assert.equal((await chat.calls("app")).length, ended);
  });

  test("the chat stops the model's call", async (t) => {
    const chat = await openChat(t, target);
    await chat.connect();
    await chat.model("generate_image", { prompt: "A fox, stopped" }, { output: false });
    await chat.page.evaluate(() => host.cancel());
    await chat.app.getByText(/stopped this call/).waitFor();
    await chat.look("stopped");
  });

  test("in npm's @mcp-ui/client: one call of the model, and the picture appears", async (t) => {
    const chat = await openChat(t, target, { path: "/mcpui" });
    await chat.page.evaluate(() => host.model("generate_image", { requestKey: "mcp-ui", prompt: "A fox elsewhere" }));
    await chat.drawn();
    await chat.look("mcp-ui");
    assert.deepEqual((await chat.calls("model")).map(({ name }) => name), ["generate_image"]);
    await chat.button("Open").click();
    await chat.page.waitForFunction(() => host.opened.length > 0);
    assert.deepEqual(await chat.seen("errors"), []);
  });
}

/** Presses Tab until a button has the focus. */
async function tabTo(chat, name) {
  for (let n = 0; n < 20; n++) {
    await chat.page.keyboard.press("Tab");
    const focused = chat.app.locator("button:focus");
    if (await focused.count() > 0 && name.test(await focused.innerText())) return;
  }
  assert.fail(`Tab does not reach ${name}`);
}

/** Lets so many seconds pass in the browser, in steps in which each call has its answer. */
async function pass(chat, seconds) {
  for (const end = seconds; seconds > 0; seconds -= 5) {
    await chat.page.clock.runFor(Math.min(5, end) * 1000);
    await chat.page.waitForFunction(() => host.pending === 0, undefined, { polling: 50 });
  }
}

/** What a browser does with the app's page while it is not in sight. */
const visible = (chat, shown) => chat.frame().evaluate((shown) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => !shown });
  document.dispatchEvent(new Event("visibilitychange"));
}, shown);
