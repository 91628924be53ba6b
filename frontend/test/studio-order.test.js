// The studio page's form and what becomes of an order.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, requestId, shots, studio, submitPrompt, tile } from "./studio-page.js";

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

test("pictures are dropped or picked, uploaded and edited", async (t) => {
  const server = await local(t);
  const [made] = await make(server, [{ prompt: "To be uploaded" }]);
  const bytes = Buffer.from(await (await fetch(made.images[0].url)).arrayBuffer());
  const page = await studio(server, { refusals: [422, 422] });
  const drop = async (name, type, content) => {
    const files = await page.evaluateHandle(([name, type, text]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
      return data;
    }, [name, type, content.toString("base64")]);
    await page.dispatchEvent("#composer", "dragenter", { dataTransfer: files });
    await page.locator("#start-from.over").waitFor();
    await page.dispatchEvent("#composer", "drop", { dataTransfer: files });
  };
  await drop("notes.txt", "text/plain", Buffer.from("no picture"));
  const fault = page.locator("#upload-fault");
  await fault.filter({ hasText: "notes.txt: This is a text file. " }).waitFor();
  const shown = await fault.innerText();
  assert.match(shown, requestId);
  assert.match(shown, /^notes\.txt: This is a text file\. Choose a picture and try again\.\s+Request /); // one next step, not two
  const heic = Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic" + "\0".repeat(100), "latin1");
  await drop("photo.heic", "image/heic", heic); // known by its type
  await fault.filter({ hasText: "photo.heic: This is an HEIC file. Save it as JPEG and try again." }).waitFor();
  await drop("photo.jpg", "image/jpeg", heic); // known by its bytes
  await fault.filter({ hasText: "photo.jpg: This is an HEIC file. Save it as JPEG and try again." }).waitFor();
  assert.equal(await page.locator("#inputs li").count(), 0);

  await drop("mine.png", made.images[0].contentType, bytes);
  await page.locator("#inputs li", { hasText: "mine.png" }).waitFor();
  assert.equal(await fault.innerText(), "");
  await page.locator("#file").setInputFiles({ name: "picked.png", mimeType: made.images[0].contentType, buffer: bytes });
  await page.locator("#inputs li", { hasText: "picked.png" }).waitFor();
  await page.getByRole("button", { name: "Do not start from picked.png" }).click();
  assert.equal(await page.locator("#inputs li").count(), 1);
  await page.getByRole("button", { name: /^Edit it/ }).waitFor();
  await submitPrompt(page, "Mine, as a watercolour");
  const card = await finished(page, "Mine, as a watercolour");
  await card.getByText("An edit of a picture of your own").waitFor();
  await card.getByRole("button", { name: /^Open/ }).click();
  await page.getByLabel("Slide to see before").waitFor();
  assert.match(await page.locator("#lightbox-before").getAttribute("src"), /-input\.jpg$/);
  await page.waitForFunction(() => document.querySelector("#lightbox-before").naturalWidth > 0);
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
  const page = await studio(await local(t), { refusals: [504] });
  const keys = [];
  await page.route("**/v1/tasks", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    const answer = await route.fetch();
    if (keys.length > 1) return route.fulfill({ response: answer });
    await route.fulfill({ status: 504, contentType: "application/json", body: '{"message":"Endpoint request timed out"}' });
  });
  await submitPrompt(page, "Asked for once");
  await page.locator("#problem", { hasText: "Endpoint request timed out. Your prompt is still here" }).waitFor();
  await page.locator("#submit").click();
  await finished(page, "Asked for once");
  assert.deepEqual(keys, [keys[0], keys[0]]);
  await page.reload();
  await finished(page, "Asked for once");
  assert.equal(await page.locator(".task").count(), 1);
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
