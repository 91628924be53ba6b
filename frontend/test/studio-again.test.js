// The studio page: words and options are used again, and what the user typed is never lost.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, overflows, seriousViolations, shots, studio, submitPrompt, tile } from "./studio-page.js";

const prompt = (page) => page.getByLabel("What would you like to see?");
const value = (page, id) => page.locator(`#${id}`).inputValue();
const ordersOf = (page) => {
  const orders = [];
  page.on("request", (request) => {
    if (request.method() === "POST" && new URL(request.url()).pathname === "/v1/tasks") orders.push({ key: request.headers()["idempotency-key"], body: request.postDataJSON() });
  });
  return orders;
};

test("use again fills the form with all of an order, and undo brings the draft back", async (t) => {
  const server = await local(t);
  const long = "A fox in the reeds" + ", at first light".repeat(30);
  const [parent] = await make(server, [{ prompt: "A fox" }]);
  await make(server, [{ prompt: long, numImages: 2, aspectRatio: "16:9", watermark: "Preset", imageUrls: [`task:${parent.id}/1`] }]);
  const page = await studio(server);
  await page.route("https://pictures.example.com/**", (route) => route.fulfill({ contentType: "image/svg+xml", body: '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>' }));
  await prompt(page).fill("My own words");
  await page.getByLabel("Shape").selectOption("9:16");
  await page.locator("#link").fill("https://pictures.example.com/mine.png");
  await page.locator("#link").press("Enter");
  await (await finished(page, "A fox in the reeds")).getByRole("button", { name: /^Use again/ }).click();

  const filled = async () => {
    await page.waitForFunction((long) => document.querySelector("#prompt").value === long, long);
    assert.deepEqual([await value(page, "numImages"), await value(page, "aspectRatio"), await value(page, "watermark"), await value(page, "model")], ["2", "16:9", "Preset", "nano-banana"]);
    assert.equal(await page.locator("#inputs li").innerText(), "A fox\n×");
    await page.waitForFunction(() => document.querySelector("#inputs img").naturalWidth > 0);
  };
  await filled();
  assert.ok(await prompt(page).evaluate((field) => field === document.activeElement));
  for (const [name, width, height] of [["390", 390, 844], ["1024", 1024, 768], ["1920", 1920, 1080]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${shots}${name}-${colorScheme}-again.png` });
      assert.deepEqual(await overflows(page), []);
      assert.deepEqual(await seriousViolations(page), []);
    }
  }
  const undo = page.getByRole("button", { name: "Undo" }), redo = page.getByRole("button", { name: "Redo" });
  const mine = async () => {
    assert.deepEqual([await prompt(page).inputValue(), await value(page, "aspectRatio"), await value(page, "numImages")], ["My own words", "9:16", "1"]);
    assert.match(await page.locator("#inputs li").innerText(), /^pictures\.example\.com\/mine\.png/);
    assert.equal(await page.getByLabel("Watermark").isVisible(), false);
  };
  await undo.click();
  await mine();
  assert.ok(await redo.evaluate((button) => button === document.activeElement), "the focus stays at the note");
  await redo.click();
  await filled();
  await page.reload();
  await filled();

  const orders = ordersOf(page);
  await page.locator("#submit").click();
  await page.waitForFunction(() => document.querySelectorAll(".task").length === 3);
  assert.deepEqual(orders.map(({ body }) => body), [{
    prompt: long, model: "nano-banana", numImages: 2, aspectRatio: "16:9", watermark: "Preset", imageUrls: [`task:${parent.id}/1`],
    ...(orders[0].body.target && { target: orders[0].body.target }),
  }]);
  assert.equal(await prompt(page).inputValue(), "");
  await undo.click(); // also after the order
  await mine();
});

test("new version orders the same once more, at the price on the button", async (t) => {
  const server = await local(t);
  const long = "A fox in the reeds" + ", at first light".repeat(30);
  const [made] = await make(server, [{ prompt: long, model: "nano-banana-2", resolution: "2K", aspectRatio: "4:3" }]);
  const page = await studio(server);
  await prompt(page).fill("My own words");
  const orders = ordersOf(page);
  const button = (await finished(page, "A fox in the reeds")).getByRole("button", { name: "New version · 12 credits" });
  const settled = async (tasks) => {
    await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
    await page.waitForFunction((tasks) => document.querySelectorAll(".task").length >= tasks, tasks);
  };
  const press = async (clickCount) => { // the second press of a double click comes when the first one's order is there
    await button.first().scrollIntoViewIfNeeded();
    const { x, y } = await button.first().boundingBox();
    await page.mouse.move(x + 9, y + 9);
    await page.mouse.down({ clickCount });
    await page.mouse.up({ clickCount });
  };
  await press(1);
  await settled(2);
  await press(2);
  await settled(2);
  await button.last().focus();
  await page.keyboard.down("Enter");
  await settled(3);
  await page.keyboard.down("Enter"); // held down
  await settled(3);
  await page.keyboard.up("Enter");
  const same = { prompt: long, model: "nano-banana-2", numImages: 1, resolution: "2K", aspectRatio: "4:3", target: made.target };
  assert.deepEqual(orders.map(({ body }) => body), [same, same]);
  assert.notEqual(orders[0].key, orders[1].key);
  assert.equal(await prompt(page).inputValue(), "My own words");
});

test("a new version whose answer is lost is ordered once, also after a reload", async (t) => {
  const server = await local(t);
  await make(server, [{ prompt: "A fox" }]);
  const page = await studio(server, { refusals: [504] });
  const keys = [];
  await page.route("**/v1/tasks", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    await route.fulfill({ status: 504, contentType: "application/json", body: '{"message":"Endpoint request timed out"}' });
  });
  const card = await finished(page, "A fox");
  await card.getByRole("button", { name: /^New version/ }).click();
  await card.getByText("Press the button again: you are charged at most once.").waitFor();
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".picture").length === 2);
  await page.locator(".task").last().getByRole("button", { name: /^New version/ }).click();
  await page.waitForFunction(() => document.querySelector("#news").textContent.includes("A fox"));
  assert.deepEqual(keys, [keys[0], keys[0]]);
  assert.equal(await page.locator(".task").count(), 2);
});

test("failed orders can be used again and ordered again", async (t) => {
  const server = await local(t, { MAX_GENERATIONS: "1" });
  await server.simulate({ refuse: "generation" });
  await make(server, [{ prompt: "May succeed later" }]);
  await server.simulate({ refuse: "policy" });
  await make(server, [{ prompt: "Against the rules" }]);
  await server.simulate();
  const page = await studio(server);
  const refused = tile(page, "Against the rules");
  await refused.getByRole("button", { name: "New version · 4 credits" }).waitFor();
  await refused.getByRole("button", { name: /^Use again/ }).click();
  await page.waitForFunction(() => document.querySelector("#prompt").value === "Against the rules");
  await tile(page, "May succeed later").getByRole("button", { name: "Try again · 4 credits" }).click();
  await page.locator(".picture img").waitFor();
  assert.equal(await tile(page, "May succeed later").count(), 2);
});

test("an edit of an upload is used again with the copy when the upload has expired", async (t) => {
  const server = await local(t);
  const [made] = await make(server, [{ prompt: "To be uploaded" }]);
  const page = await studio(server);
  await page.locator("#file").setInputFiles({ name: "mine.png", mimeType: made.images[0].contentType, buffer: Buffer.from(await (await fetch(made.images[0].url)).arrayBuffer()) });
  await page.locator("#inputs li", { hasText: "mine.png" }).waitFor();
  await submitPrompt(page, "As a watercolour");
  const card = await finished(page, "As a watercolour");
  let expired = false;
  await page.route("**/v1/quotes", async (route) => { // as a day later
    const answer = await route.fetch();
    const body = await answer.json();
    if (expired && /^upload:/.test(route.request().postDataJSON().imageUrls?.[0])) {
      body.problems = [{ detail: "This upload has expired.", hint: "", errors: [{ pointer: "/imageUrls/0", code: "expired", message: "This upload has expired." }] }];
    }
    await route.fulfill({ response: answer, json: body });
  });
  const orders = ordersOf(page);
  await card.getByRole("button", { name: /^New version/ }).click();
  await page.waitForFunction(() => document.querySelectorAll(".picture").length === 3);
  assert.match(orders[0].body.imageUrls[0], /^upload:/);

  expired = true;
  await tile(page, "As a watercolour").last().getByRole("button", { name: /^Use again/ }).click();
  await page.waitForFunction(() => document.querySelector("#prompt").value === "As a watercolour");
  await page.locator("#submit").click();
  await page.waitForFunction(() => document.querySelectorAll(".picture").length === 4);
  assert.match(orders[1].body.imageUrls[0], /\/v1\/images\/.*-input\.jpg$/);
  await tile(page, "As a watercolour").first().getByRole("button", { name: /^Open/ }).click();
  await page.getByLabel("Slide to see before").waitFor(); // the copy is shown as before, too
});

test("a draft outlives a reload, another board and a failure", async (t) => {
  const server = await local(t);
  const [made] = await make(server, [{ prompt: "To be uploaded" }]);
  const page = await studio(server, { refusals: [500] });
  await page.locator("#file").setInputFiles({ name: "mine.png", mimeType: made.images[0].contentType, buffer: Buffer.from(await (await fetch(made.images[0].url)).arrayBuffer()) });
  await page.locator("#inputs li", { hasText: "mine.png" }).waitFor();
  await prompt(page).fill("Half a thought");
  await page.getByLabel("Model").selectOption("nano-banana-pro");
  await page.getByLabel("Resolution").selectOption("4K");
  const same = async () => {
    assert.deepEqual([await prompt(page).inputValue(), await value(page, "model"), await value(page, "resolution")], ["Half a thought", "nano-banana-pro", "4K"]);
    assert.match(await page.locator("#inputs li").innerText(), /^mine\.png/);
    await page.waitForFunction(() => document.querySelector("#inputs img").naturalWidth > 0); // its preview, too
  };
  await page.reload();
  await page.locator("#inputs li").waitFor();
  await same();
  await page.goto(`${server.base}/#/moodboard/spring-42`);
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  await same();
  await page.route("**/v1/tasks", (route) => route.fulfill({ status: 500, json: { title: "Something went wrong", detail: "Something went wrong.", hint: "Try again." } }));
  await page.locator("#submit").click();
  await page.locator("#problem", { hasText: "Something went wrong." }).waitFor();
  await same();
  await page.unroute("**/v1/tasks");
  await page.getByLabel("Model").selectOption("nano-banana"); // has no resolutions
  await page.getByLabel("Model").selectOption("nano-banana-pro");
  await same();
});

test("signing in again keeps the draft, and orders once", async (t) => {
  const server = await local(t);
  const page = await studio(server, { refusals: [401] });
  await page.route("**/local/session", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...await answer.json(), token: "", tokenCommand: "bin/local token" } });
  });
  let first = true;
  await page.route("**/v1/tasks", (route) => {
    if (!first) return route.continue();
    first = false;
    return route.fulfill({ status: 401, json: { title: "Please sign in", detail: "Please sign in.", hint: "Sign in again." } });
  });
  const orders = ordersOf(page);
  await submitPrompt(page, "After the sign-in");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await prompt(page).inputValue(), "After the sign-in");
  await page.getByLabel("Access token").fill(await server.tokenOf());
  await page.getByRole("button", { name: "Continue" }).click();
  await finished(page, "After the sign-in");
  assert.equal(new Set(orders.map(({ key }) => key)).size, 1);
  assert.equal(await page.locator(".task").count(), 1);
});

test("an order whose answer a reload lost is not offered again if it was received", async (t) => {
  const server = await local(t);
  const page = await studio(server, { refusals: [504] });
  let stopped = false;
  await page.route("**/v1/tasks", async (route) => {
    if (!stopped) await route.fetch();
    await route.fulfill({ status: 504, contentType: "application/json", body: '{"message":"Endpoint request timed out"}' });
  });
  await submitPrompt(page, "Received all the same");
  await page.locator("#problem", { hasText: "you are charged at most once" }).waitFor();
  await page.reload();
  await page.getByText("Your last order was received.").waitFor();
  assert.equal(await prompt(page).inputValue(), "");
  await finished(page, "Received all the same");
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await prompt(page).inputValue(), "Received all the same");
  const orders = ordersOf(page);
  await page.unroute("**/v1/tasks");
  await page.locator("#submit").click(); // on purpose: another one
  await page.waitForFunction(() => document.querySelectorAll(".task").length === 2);
  assert.equal(orders.length, 1);
});

test("an order that was not received keeps its key over a reload", async (t) => {
  const server = await local(t);
  const page = await studio(server, { refusals: [504] });
  const orders = ordersOf(page);
  await page.route("**/v1/tasks", (route) => route.fulfill({ status: 504, contentType: "application/json", body: '{"message":"Endpoint request timed out"}' }));
  await submitPrompt(page, "Not received");
  await page.locator("#problem", { hasText: "you are charged at most once" }).waitFor();
  await page.unroute("**/v1/tasks");
  await page.reload();
  await page.locator("#problem", { hasText: "Your last order has no answer yet. Press the button again: you are charged at most once." }).waitFor();
  await prompt(page).fill("Not received, and changed");
  await page.locator("#problem").waitFor({ state: "hidden" });
  await prompt(page).fill("Not received");
  await page.locator("#problem").waitFor();
  await page.locator("#submit").click();
  await finished(page, "Not received");
  assert.equal(new Set(orders.map(({ key }) => key)).size, 1);
});
