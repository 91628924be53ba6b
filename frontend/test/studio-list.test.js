// The studio page's list: what it shows, in which order, and that it stays so while other tabs and
// programs make, move and delete pictures.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, send, studio, submitPrompt, tile } from "./studio-page.js";

const noBoard = { target: undefined };
const onBoard = (id, kind = "moodboard") => ({ target: { kind, id } });
const prompts = (page) => page.locator(".task .prompt").allInnerTexts();

/** Waits until the page shows these prompts, in this order. */
const shows = (page, ...expected) => page.waitForFunction((expected) => {
  const shown = [...document.querySelectorAll(".task .prompt")].map((prompt) => prompt.textContent);
  return shown.join("\n") === expected;
}, expected.join("\n"));

/** The page comes back to the front: it reads the list again. It resolves when that is answered. */
const focus = (page) => Promise.all([page.waitForResponse(/\/v1\/tasks\?.*limit=100/), page.evaluate(() => dispatchEvent(new Event("focus")))]);

/** Opens the studio with eight tasks on a page of the list, instead of fifty. */
async function smallPages(server) {
  const page = await studio(server, { open: false });
  await page.route("**/v1/tasks?**limit=50**", (route) => route.continue({ url: route.request().url().replace("limit=50", "limit=8") }));
  await page.goto(server.base);
  await page.waitForFunction(() => document.querySelectorAll(".task").length === 8);
  return page;
}

/** Calls the API as the page's user, as a second tab, curl or Claude would. */
async function api(server, method, path, body) {
  const headers = { Authorization: `Bearer ${await server.tokenOf()}`, "Content-Type": "application/json" };
  const answer = await fetch(server.base + path, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
}

test("everything is shown at first, each card names its board, and the address is the board's", async (t) => {
  const server = await local(t);
  await api(server, "POST", "/v1/tasks", { prompt: "By curl" });
  await make(server, [{ prompt: "For spring", ...onBoard("spring-42") }]);
  await make(server, [{ prompt: "In a showcase", ...onBoard("my/show", "showcase") }]);
  const page = await studio(server);
  await shows(page, "In a showcase", "For spring", "By curl");
  await tile(page, "By curl").getByText("On no board").waitFor();
  await tile(page, "In a showcase").getByRole("link", { name: "showcase my/show" }).waitFor();
  assert.equal(await page.title(), "Studio");
  assert.deepEqual(await page.locator("#board option").allTextContents(), ["Everything", "studio", "showcase my/show", "spring-42", "Another…"]);

  await tile(page, "For spring").getByRole("link", { name: "spring-42" }).click();
  await shows(page, "For spring");
  assert.equal(new URL(page.url()).hash, "#/moodboard/spring-42");
  assert.equal(await page.title(), "spring-42 · Studio");
  assert.equal(await page.getByText("On spring-42").count(), 0); // the header says it
  await submitPrompt(page, "More for spring");
  await finished(page, "More for spring");
  await page.reload();
  await shows(page, "More for spring", "For spring");

  await page.goBack();
  await shows(page, "More for spring", "In a showcase", "For spring", "By curl");
  assert.equal(await page.getByLabel("Board", { exact: true }).inputValue(), "");
  await page.goForward();
  await shows(page, "More for spring", "For spring");
  await page.getByLabel("Board", { exact: true }).selectOption({ label: "showcase my/show" });
  await shows(page, "In a showcase");
  await page.getByLabel("Board", { exact: true }).selectOption({ label: "Everything" });
  await submitPrompt(page, "For nobody yet");
  await tile(page, "For nobody yet").getByText("On no board").waitFor();
});

test("an address is text, whatever it holds", async (t) => {
  const server = await local(t);
  await make(server, [{ prompt: "Still there", ...noBoard }]);
  const page = await studio(server);
  const markup = "<img/src=x/onerror=alert(1)>";
  await page.goto(`${server.base}/#/moodboard/${encodeURIComponent(markup)}`);
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  assert.equal(await page.title(), `${markup} · Studio`);
  assert.equal(await page.locator("#board option:checked").textContent(), markup);
  const fault = page.locator("#address-problem");
  for (const hash of ["#/moodboard/%zz", "#/moodboard/a%20b", "#/moodboard/", "#/Moodboard/x", "#/moodboard/x/y", "#x", "#/moodboard/" + "x".repeat(129), "#/moodboard/%E2%80%AE"]) {
    await page.goto(`${server.base}/#/moodboard/none`);
    await page.waitForFunction(() => document.querySelector("#board").value === "moodboard:none" && document.querySelector("#address-problem").hidden);
    await page.goto(server.base + "/" + hash);
    await fault.filter({ hasText: "The address of this page names no board, so everything is shown." }).waitFor();
    await shows(page, "Still there");
    assert.equal(new URL(page.url()).hash, "#/");
  }
  await page.reload();
  await shows(page, "Still there");
  assert.equal(await fault.isVisible(), false);
});

test("what others make, move and delete is shown in its place, over one long poll", async (t) => {
  const server = await local(t);
  const [oldest] = await make(server, [{ prompt: "The oldest", ...onBoard("attic") }]);
  const [older] = await make(server, [{ prompt: "An older one" }]);
  const [newer] = await make(server, [{ prompt: "A newer one" }]);
  await server.simulate({ slow: true });
  await send(server, [{ prompt: "A slow one" }]);
  const page = await studio(server, { open: false });
  await page.addInitScript(() => {
    const fetched = fetch;
    const polls = window.polls = { open: 0, most: 0, all: 0 };
    window.fetch = async (url, options) => {
      if (!String(url).includes("ids=")) return fetched(url, options);
      polls.most = Math.max(polls.most, ++polls.open);
      polls.all++;
      try { return await fetched(url, options); } finally { polls.open--; }
    };
  });
  await page.goto(`${server.base}/#/moodboard/studio`);
  await shows(page, "A slow one", "A newer one", "An older one");
  await page.evaluate(() => { for (const card of document.querySelectorAll(".task")) card.wasHere = true; });
  const polls = () => page.evaluate(() => window.polls);
  const before = (await polls()).all;

  await api(server, "PUT", `/v1/tasks/${oldest.id}/target`, onBoard("studio").target);
  await api(server, "PUT", `/v1/tasks/${older.id}/target`, onBoard("attic").target);
  await focus(page);
  await shows(page, "A slow one", "A newer one", "The oldest");
  await api(server, "DELETE", `/v1/tasks/${newer.id}`);
  await shows(page, "A slow one", "The oldest"); // without a focus, within ten seconds
  assert.equal((await polls()).all, before, "what runs is the same, so the poll is not started again");

  await server.simulate();
  await send(server, [{ prompt: "From a second tab" }]);
  await focus(page);
  await shows(page, "From a second tab", "A slow one", "The oldest");
  await finished(page, "From a second tab"); // by the poll
  assert.equal((await polls()).most, 1);
  assert.equal(await tile(page, "The oldest").evaluate((card) => card.wasHere), undefined);
});

test("a page that was loaded stays, and nothing moves under the reader", async (t) => {
  const server = await local(t);
  const made = await make(server, Array.from({ length: 14 }, (_, i) => ({ prompt: `Picture number ${i + 1}` })));
  const page = await smallPages(server);
  await page.getByRole("button", { name: "Load more" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".task").length === 14);
  assert.equal(await page.getByRole("button", { name: "Load more" }).isVisible(), false);
  const last = page.locator(".task").nth(12).locator(".picture");
  await last.focus();
  await page.waitForFunction(() => scrollY > 500);
  const look = () => page.evaluate(() => ({ scroll: scrollY, top: document.activeElement.getBoundingClientRect().top, focused: document.activeElement.ariaLabel }));
  const cardsKept = () => page.evaluate(() => [...document.querySelectorAll(".task")].filter((card) => card.wasHere).length);
  await page.evaluate(() => { for (const card of document.querySelectorAll(".task")) card.wasHere = true; });
  const seen = await look();

  await make(server, [{ prompt: "Newer than all" }]);
  await focus(page);
  const arrived = page.getByRole("button", { name: "Show 1 new picture" });
  await arrived.waitFor();
  assert.deepEqual(await look(), seen);
  assert.equal(await cardsKept(), 14);
  await make(server, [{ prompt: "Even newer" }]);
  await focus(page);
  await page.getByRole("button", { name: "Show 2 new pictures" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".task").length === 16);
  assert.deepEqual((await prompts(page)).slice(0, 2), ["Even newer", "Newer than all"]);
  assert.ok(await page.locator(".task").first().evaluate((card) => card.getBoundingClientRect().top >= 0), "the new pictures are in the window");
  assert.equal(await cardsKept(), 14);

  // The focus goes on to the next card if its own is deleted elsewhere.
  await last.focus();
  const gone = await page.locator(".task").nth(13).getAttribute("data-id"), next = page.locator(".task").nth(14);
  await page.locator(".task").nth(13).locator(".picture").focus();
  const nextLabel = await next.locator(".picture").getAttribute("aria-label");
  assert.ok(made.some((task) => task.id === gone));
  await api(server, "DELETE", `/v1/tasks/${gone}`);
  await focus(page);
  await page.waitForFunction(() => document.querySelectorAll(".task").length === 15);
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), nextLabel);
});

test("only what was loaded is read again, and older answers are dropped", async (t) => {
  const server = await local(t);
  await make(server, Array.from({ length: 10 }, (_, i) => ({ prompt: `Picture number ${i + 1}` })));
  const page = await smallPages(server);
  await make(server, [{ prompt: "A new one" }]);
  await focus(page);
  await tile(page, "A new one").waitFor();
  assert.equal(await page.locator(".task").count(), 9, "the older ones are left for the next page");
  const first = page.locator(".task").first();
  const deleted = page.locator(`.task[data-id="${await first.getAttribute("data-id")}"]`);

  // A list that was read before a delete arrives after it.
  let arrive, read;
  const reading = new Promise((resolve) => { read = resolve; });
  await page.route("**/v1/tasks?**limit=100**", async (route) => {
    const answer = await route.fetch();
    read();
    await new Promise((resolve) => { arrive = resolve; });
    await route.fulfill({ response: answer });
  }, { times: 1 });
  await page.evaluate(() => dispatchEvent(new Event("focus")));
  await reading;
  await first.getByRole("button", { name: /^Open/ }).click();
  page.once("dialog", (dialog) => dialog.accept());
  await page.locator("#lightbox").getByRole("button", { name: "Delete" }).click();
  await deleted.waitFor({ state: "detached" });
  await page.evaluate(() => {
    window.added = 0;
    new MutationObserver((changes) => { for (const { addedNodes } of changes) window.added += addedNodes.length; }).observe(document.querySelector("#tasks"), { childList: true });
  });
  const again = page.waitForResponse(/\/v1\/tasks\?.*limit=100/);
  arrive();
  await again;
  const second = await page.waitForResponse(/\/v1\/tasks\?.*limit=100/);
  await second.finished();
  assert.equal(await page.evaluate(() => window.added), 0, "the deleted one does not come back");
  assert.equal(await page.locator(".task").count(), 8);
});

test("a card is moved to another board", async (t) => {
  const server = await local(t);
  await make(server, [{ prompt: "On its way" }]);
  await make(server, [{ prompt: "Staying" }]);
  const page = await studio(server, { refusals: [404] });
  const dialog = page.getByRole("dialog", { name: "Move to a moodboard" });
  const open = () => tile(page, "On its way").getByRole("button", { name: "Move: On its way" }).click();
  await open();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await open();
  await page.keyboard.type("winter 1");
  await page.keyboard.press("Enter");
  await dialog.getByText("An id has 1 to 128 visible characters, and no spaces.").waitFor();
  await dialog.getByLabel("Moodboard id").fill("winter-1");
  await dialog.getByRole("button", { name: "Move" }).click();
  await tile(page, "On its way").getByRole("link", { name: "winter-1" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), "Move: On its way");
  await page.locator("#news", { hasText: "Moved to winter-1: On its way" }).waitFor({ state: "attached" });

  await page.getByLabel("Board", { exact: true }).selectOption({ label: "winter-1" });
  await shows(page, "On its way");
  await open();
  await dialog.getByLabel("Moodboard id").fill("studio");
  await dialog.getByRole("button", { name: "Move" }).click();
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  await page.getByLabel("Board", { exact: true }).selectOption({ label: "studio" });
  await shows(page, "Staying", "On its way");

  await open();
  await dialog.getByLabel("Moodboard id").fill("nowhere");
  await page.route("**/target", (route) => route.fulfill({ status: 404, contentType: "application/problem+json", body: '{"title":"There is no such picture.","hint":"It may have been deleted."}' }));
  await dialog.getByRole("button", { name: "Move" }).click();
  await tile(page, "On its way").getByText("There is no such picture. It may have been deleted.").waitFor();
});
