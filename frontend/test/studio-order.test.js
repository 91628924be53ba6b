// The studio page's form and what becomes of an order.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, overflows, requestId, seriousViolations, shots, studio, submitPrompt, tile } from "./studio-page.js";

test("a prompt is submitted with the keyboard, and its time and end are shown", async (t) => {
  const page = await studio(await local(t));
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  assert.match(await page.locator("#credits").innerText(), /^[\d,]+ credits left · 0 of 200 pictures today$/);

  assert.equal(await page.getByLabel("Resolution").isVisible(), false);
  await page.getByLabel("Model").selectOption("nano-banana-2");
  await page.getByLabel("Resolution").selectOption("2K");
  assert.equal(await page.getByRole("combobox", { name: "Pictures" }).isVisible(), false);
  assert.equal(await page.locator("#cost").innerText(), "· 12 credits");
  await page.getByLabel("Model").selectOption("nano-banana");
  await page.getByRole("combobox", { name: "Pictures" }).selectOption("2");
  assert.equal(await page.locator("#cost").innerText(), "· 8 credits");

  const order = ["board", "prompt", "link", "add-link", "pick", "model", "aspectRatio", "numImages", "submit"];
  await page.reload();
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  for (const id of order) {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), id);
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none", `the focus on ${id} is visible`);
  }
  await page.getByRole("combobox", { name: "Pictures" }).selectOption("2");
  await page.getByLabel("What would you like to see?").focus();
  await page.keyboard.type("A lighthouse at dusk");
  await page.keyboard.press("Control+Enter");
  const card = tile(page, "A lighthouse at dusk");
  await card.getByText("Making your picture").waitFor();
  assert.match(await card.locator(".time").innerText(), /^\d+ s, usually about \d+$/);
  const shown = await card.locator(".time").innerText();
  await page.waitForFunction((before) => !document.querySelector(".time") || document.querySelector(".time").textContent !== before, shown);

  await finished(page, "A lighthouse at dusk");
  assert.equal(await card.locator(".picture").count(), 2);
  assert.equal(await card.locator(".time").count(), 0);
  await page.locator("#news", { hasText: "Done: A lighthouse at dusk" }).waitFor({ state: "attached" });
  await page.locator("#credits", { hasText: "2 of 200 pictures" }).waitFor();
});

test("missing credits are shown on the task, then at the button", async (t) => {
  // Without a sweep, so that the submit is the first to learn of the balance.
  const page = await studio(await local(t, { SWEEP_EVERY: "10m" }), { refusals: [402] });
  await page.getByLabel("Refuse").selectOption("credits");
  await page.locator("#refuse-hint", { hasText: "No picture is made" }).waitFor();
  await submitPrompt(page, "A picture nobody can pay");
  const error = tile(page, "A picture nobody can pay").locator(".error");
  await error.waitFor();
  assert.match(await error.innerText(), /credits[^]*Task \S+/);
  await page.locator("#credits .low", { hasText: "The service has no credits left." }).waitFor();
  await submitPrompt(page, "Another one");
  const problem = page.locator("#problem");
  await problem.waitFor();
  assert.match(await problem.innerText(), /credits/);
  assert.match(await problem.innerText(), requestId);
  assert.equal(await page.getByLabel("What would you like to see?").inputValue(), "Another one");
  await page.screenshot({ path: `${shots}out-of-credits.png` });
});

test("a lost answer keeps the prompt, and repeating it makes one task", async (t) => {
  const page = await studio(await local(t), { refusals: [504, 500] });
  const keys = [];
  await page.route("**/v1/tasks", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    const answer = await route.fetch();
    const status = [504, 500][keys.length - 1];
    if (status) return route.fulfill({ status, contentType: "application/json", body: `{"message":"Lost by a ${status}"}` });
    await route.fulfill(keys.length === 3 ? { response: answer, body: '{"id":"cut of' } : { response: answer });
  });
  await submitPrompt(page, "Asked for once");
  for (const message of ["Lost by a 504.", "Lost by a 500.", "The server cannot be reached. Check that bin/local is running."]) {
    await page.locator("#problem", { hasText: `${message} Your prompt is still here. Press the button again: you are charged at most once.` }).waitFor();
    await page.locator("#submit").click();
  }
  await finished(page, "Asked for once");
  assert.deepEqual(keys, Array(4).fill(keys[0]));
  await page.reload();
  await finished(page, "Asked for once");
  assert.equal(await page.locator(".task").count(), 1);
});

test("a lost answer is not promised to be repeated on another board", async (t) => {
  const page = await studio(await local(t), { refusals: [504] });
  const keys = [];
  await page.route("**/v1/tasks", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    await route.fulfill({ status: 504, contentType: "application/json", body: '{"message":"Endpoint request timed out"}' });
  });
  const problem = page.locator("#problem", { hasText: "you are charged at most once" });
  await submitPrompt(page, "Asked for once");
  await problem.waitFor();
  await page.evaluate(() => { location.hash = "#/moodboard/elsewhere"; });
  await problem.waitFor({ state: "hidden" }); // there it would be another order
  await page.evaluate(() => { location.hash = "#/"; });
  await problem.waitFor();
  await page.locator("#submit").click();
  await page.locator("#problem").waitFor({ state: "hidden" });
  assert.deepEqual(keys, [keys[0], keys[0]]);
});

test("a used-up quota is shown with the time of the next pictures", async (t) => {
  const server = await local(t, { DAILY_QUOTA: "1" });
  const page = await studio(server, { refusals: [429] });
  await submitPrompt(page, "The only one");
  await finished(page, "The only one");
  await page.locator("#credits", { hasText: /1 of 1 pictures today You have used up today's pictures\. The next are available at \d\d:\d\d\./ }).waitFor();
  await submitPrompt(page, "One too many");
  await page.locator("#problem").waitFor();
  assert.match(await page.locator("#problem").innerText(), requestId);
});

test("a refused prompt and an invalid request are explained", async (t) => {
  const page = await studio(await local(t), { refusals: [422] });
  await page.locator("#submit").click();
  await page.locator('[data-fault="/prompt"]:not(:empty)').waitFor();
  assert.match(await page.locator("#problem").innerText(), requestId);
  assert.ok(await page.getByLabel("What would you like to see?").evaluate((field) => field === document.activeElement));

  await page.getByLabel("Refuse").selectOption("policy");
  await page.locator("#refuse-hint", { hasText: "is not tried again" }).waitFor();
  await submitPrompt(page, "What nobody may see");
  const card = tile(page, "What nobody may see");
  await card.locator(".error").waitFor();
  assert.equal(await page.locator("#problem").isVisible(), false);
  assert.ok((await card.locator(".error b").innerText()) && (await card.locator(".error span").innerText()));
  assert.equal(await card.getByRole("button", { name: "Try again" }).count(), 0);
  page.once("dialog", (dialog) => dialog.accept());
  await card.getByRole("button", { name: /^Delete/ }).click();
  await card.waitFor({ state: "detached" });
});

test("if pictures cost credits the page asks for a token and shows how to get one", async (t) => {
  const server = await local(t);
  const page = await studio(server, { open: false });
  await page.route("**/local/session", (route) => route.fulfill({
    json: { token: "", tokenCommand: "bin/local token -addr 127.0.0.1:9000", owner: "00000000-0000-4000-8000-000000000001", simulator: false, target: { kind: "moodboard", id: "studio" } },
  }));
  await page.goto(server.base);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.locator("#sign-in-command").innerText(), "bin/local token -addr 127.0.0.1:9000");
  assert.equal(await page.locator("#sign-in-other").isVisible(), false);
  await page.screenshot({ path: `${shots}paid.png` });
  await page.getByLabel("Access token").fill(await server.tokenOf());
  await page.getByRole("button", { name: "Continue" }).click();
  await page.locator("#credits b").waitFor();
});

test("what speaks against an order is shown before the click, and goes when it is mended", async (t) => {
  const server = await local(t, { REFUSED_TERMS: "zebra" });
  const page = await studio(server); // no refusal: nothing is ordered
  const fault = (name) => page.locator(`[data-fault="/${name}"]`);
  const prompt = page.getByLabel("What would you like to see?");
  await prompt.fill("A zebra");
  await fault("prompt").filter({ hasText: /\S/ }).waitFor();
  assert.equal(await prompt.getAttribute("aria-invalid"), "true");
  assert.ok(await prompt.evaluate((field) => field === document.activeElement), "the focus stays");
  assert.equal(await page.locator("#problem").isVisible(), false);
  assert.match(await page.locator("#form-news").textContent(), /\S/);
  await prompt.fill("A horse");
  await fault("prompt").filter({ hasText: /^$/ }).waitFor({ state: "attached" });
  assert.equal(await prompt.getAttribute("aria-invalid"), null);

  await page.locator("#link").fill("not a link");
  await page.locator("#link").press("Enter");
  await fault("imageUrls").filter({ hasText: /\S/ }).waitFor();
  assert.doesNotMatch(await fault("imageUrls").innerText(), /not a link:/, "one picture needs no name");
  await page.locator("#link").fill("nor this");
  await page.locator("#link").press("Enter");
  await fault("imageUrls").filter({ hasText: /^not a link: .*nor this: / }).waitFor();
  await page.getByRole("button", { name: "Do not start from nor this" }).click();
  await page.getByRole("button", { name: /^Do not start from/ }).click();
  await fault("imageUrls").filter({ hasText: /^$/ }).waitFor({ state: "attached" });
  await prompt.fill("");
  await page.waitForResponse("**/v1/quotes");
  assert.equal(await fault("prompt").textContent(), "", "an empty form is no fault");
});

test("a used-up quota is named calmly before the order, and no longer when it is over", async (t) => {
  const server = await local(t, { DAILY_QUOTA: "1" });
  await make(server, [{ prompt: "The only one" }]);
  const looks = [["390", 390, 844], ["1024", 1024, 768], ["1920", 1920, 1080]].flatMap(([name, width, height]) => ["light", "dark"].map((theme) => ({ name, width, height, theme })));
  for (const look of looks) {
    const page = await studio(server, { ...look, open: false });
    await page.clock.install();
    await page.goto(server.base);
    await finished(page, "The only one");
    await page.clock.fastForward(1000);
    await page.locator("#advice", { hasText: "You have reached your limit for today. A new day begins at midnight UTC." }).waitFor();
    await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
    await page.screenshot({ path: `${shots}${look.name}-${look.theme}-advice.png` });
    assert.deepEqual(await overflows(page), []);
    assert.deepEqual(await seriousViolations(page), []);
    await page.route("**/v1/quotes", (route) => route.fulfill({ json: { estimate: 4, left: 1, quota: { limit: 1, used: 0, resetsAt: new Date().toISOString() }, problems: [] } }));
    await page.clock.fastForward(15_000);
    await page.locator("#advice").waitFor({ state: "hidden" });
    await page.context().close();
  }
});

test("after an order the next one makes one picture, and what was typed meanwhile stays", async (t) => {
  const page = await studio(await local(t));
  const form = () => page.evaluate(() => Object.fromEntries(["prompt", "model", "aspectRatio", "numImages"].map((id) => [id, document.getElementById(id).value])));
  await page.getByLabel("Shape").selectOption("4:3");
  await page.getByRole("combobox", { name: "Pictures" }).selectOption("4");
  assert.equal(await page.locator("#cost").innerText(), "· 16 credits");
  await submitPrompt(page, "Four at once");
  await finished(page, "Four at once");
  assert.deepEqual(await form(), { prompt: "", model: "nano-banana", aspectRatio: "4:3", numImages: "1" });
  assert.equal(await page.locator("#cost").innerText(), "· 4 credits");

  let answer;
  await page.route("**/v1/tasks", async (route) => {
    await new Promise((resolve) => { answer = resolve; });
    await route.continue();
  });
  const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/v1/tasks"));
  await submitPrompt(page, "A slow answer");
  await sent;
  await page.getByLabel("What would you like to see?").fill("The next idea");
  assert.equal(await page.locator("#submit").getAttribute("aria-disabled"), "true");
  answer();
  await finished(page, "A slow answer");
  assert.equal(await page.evaluate(() => document.activeElement.id), "prompt");
  await page.unroute("**/v1/tasks");
  await page.locator("#submit").focus();
  await page.keyboard.press("Enter");
  await finished(page, "The next idea");
  assert.equal(await page.evaluate(() => document.activeElement.id), "submit", "the focus stays at the button");
});

test("a new picture is scrolled into view", async (t) => {
  const server = await local(t);
  await make(server, Array.from({ length: 6 }, (_, i) => ({ prompt: `Earlier ${i}` })));
  const page = await studio(server, { width: 390, height: 844 });
  const inView = (text) => page.waitForFunction((text) => {
    const card = [...document.querySelectorAll(".task")].find((task) => task.textContent.includes(text));
    const header = document.querySelector(".top").getBoundingClientRect().bottom;
    return card && card.getBoundingClientRect().top >= header - 1 && card.getBoundingClientRect().top < innerHeight / 2;
  }, text);
  await submitPrompt(page, "On a phone");
  await inView("On a phone");
  await page.screenshot({ path: `${shots}390-ordered.png` });
  await page.locator(".task").last().getByRole("button", { name: /^Use again/ }).click();
  await page.waitForFunction(() => {
    const { top, bottom } = document.querySelector("#prompt").getBoundingClientRect();
    return document.activeElement.id === "prompt" && top >= document.querySelector(".top").getBoundingClientRect().bottom && bottom <= innerHeight;
  });
});
