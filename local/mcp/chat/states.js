// Each state of the page, as people see it: on a telephone and on a desk, light and dark.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { callTool, made, openChat, order } from "./browser.js";

const longPrompt = `${"A red fox in a snowy wood at dawn, with a lantern, ".repeat(30)}the end`;
const place = { kind: "moodboard", id: "spring-".repeat(14) };

/** What a finished task can look like that the simulator does not make: changes the answer of watch_image. */
const rare = {
  "three-of-four": ({ picture, previews }) => {
    picture.images.pop();
    previews.pop();
    picture.missing = 1;
  },
  damaged: ({ picture }) => (picture.images[0].damaged = true),
  "without-preview": (watched) => (watched.previews = []),
};

/** Needs a server of its own, with MAX_GENERATIONS 1. */
export function states(target) {
  const ids = {};

  before(async () => {
    const ended = async (name, args, switches = {}) => {
      await target.simulate(switches);
      ids[name] = await made(target, { prompt: `A fox: ${name}`, ...args });
    };
    await target.simulate();
    [ids.one, ids.four, ids.long] = await Promise.all([
      made(target, { prompt: "A fox, alone" }), made(target, { prompt: "Four foxes", numImages: 4, target: place }), made(target, { prompt: longPrompt, aspectRatio: "21:9" }),
    ]);
    await ended("policy", {}, { refuse: "policy" });
    await ended("generation", {}, { refuse: "generation" });
    await target.simulate({ refuse: "maintenance" }); // until these tests have ended
    ids.waiting = await order(target, { prompt: "A fox in the queue" });
  });

  for (const width of [390, 1024]) {
    for (const theme of ["light", "dark"]) {
      describe(`${width} px, ${theme}`, () => variant(target, ids, { width, theme }));
    }
  }
}

function variant(target, ids, look) {
  let chat;
  before(async () => {
    chat = await openChat(undefined, target, look);
    await chat.connect();
  });
  after(() => chat?.close());
  beforeEach(() => chat.page.evaluate(() => host.clear()));

  /** The model asks for a task. */
  const open = (name, options) => chat.model("get_image", { taskId: ids[name] ?? name }, options);

  test("ordering", async () => {
    await chat.model("generate_image", { prompt: "A fox on order" }, { output: false });
    await chat.app.getByText("Ordering…").waitFor();
    await chat.look("ordering");
  });

  test("being made", async () => {
    await open("waiting");
    await chat.app.getByText(/In the queue/).waitFor();
    await chat.look("waiting");
    assert.equal(await chat.app.locator("progress").getAttribute("aria-label"), "Time passed of the time it usually takes");
  });

  test("the service cannot be reached", async () => {
    await chat.fault({ tool: "watch_image", kind: "unsent", times: 1 });
    await chat.model("get_image", { taskId: ids.waiting });
    await chat.app.getByText(/cannot be reached just now/).waitFor();
    await chat.look("unreachable");
  });

  test("one picture, and what its buttons ask", async () => {
    await open("one");
    await chat.drawn();
    await chat.look("one");
    for (const [name, first] of [["Edit · 4 credits", "textbox"], ["Move to…", "combobox"], ["Delete…", "button"]]) {
      await chat.button(name).click();
      await chat.app.getByRole(first).first().waitFor();
      await chat.look(`asks-${name.match(/\w+/)[0].toLowerCase()}`);
      await chat.page.keyboard.press("Escape");
      await chat.button(name).waitFor();
      assert.match(await chat.app.locator(":focus").innerText(), new RegExp(`^${name}`), "the focus is where it was");
    }
  });

  test("four pictures", async () => {
    await open("four");
    await chat.drawn(4);
    await chat.look("four");
    await chat.app.getByRole("radio", { name: "Picture 3 of 4" }).check();
    await chat.app.getByText(/^Picture 3 of 4/).waitFor();
    await chat.button(/^Edit/).click();
    await chat.look("four-edit");
  });

  test("a wide picture of many words", async () => {
    await open("long");
    await chat.drawn();
    await chat.look("long");
  });

  for (const [name, change] of Object.entries(rare)) {
    test(name, async () => {
        const taskId = ids[name === "three-of-four" ? "four" : "one"];
      const result = await callTool(target, "watch_image", { taskId });
      change(result.structuredContent);
      await chat.fault({ tool: "watch_image", kind: "replaced", result });
      await chat.model("get_image", { taskId }, { output: false });
      await chat.app.getByText({ "three-of-four": "1 more did not come.", damaged: "came damaged", "without-preview": "No preview" }[name]).waitFor();
      await chat.look(name);
    });
  }

  for (const [name, words] of [["policy", /rule|policy/i], ["generation", /could not be made/]]) {
    test(`a failure: ${name}`, async () => {
      await open(name);
      const said = chat.app.getByRole("alert");
      await said.waitFor();
      assert.match(await said.innerText(), words);
      assert.equal(await chat.button(/^Edit/).count(), 0);
      await chat.look(`failed-${name}`);
    });
  }

  test("a call that is refused", async () => {
    await chat.model("generate_image", { requestKey: "dear", prompt: "A dear fox", model: "nano-banana-pro", resolution: "4K" });
    await chat.app.getByRole("alert").waitFor();
    await chat.look("no-credits");
  });

  test("deleted elsewhere", async () => {
    await open("0".repeat(26));
    await chat.app.getByText(/was deleted/).waitFor();
    await chat.look("gone");
  });

  test("a chat that lets the page call nothing", async () => {
    await open("one", { capabilities: {} });
    await chat.drawn();
    assert.deepEqual(await chat.app.getByRole("button").allInnerTexts(), []);
    assert.match(await chat.app.locator(".link").innerText(), /^http/);
    await chat.look("helpless");
    assert.deepEqual(await chat.calls("app"), []);
  });
}
