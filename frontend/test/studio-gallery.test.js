// The studio page's pictures, moodboards and looks.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, overflows, send, seriousViolations, shots, studio, submitPrompt, tile } from "./studio-page.js";

/** Applies change to each task that the page reads in a list. */
const rewriteTasks = (page, change) => page.route("**/v1/tasks?**", async (route) => {
  const url = route.request().url().replace(/&wait=\d+/, "");
  const answer = await route.fetch({ url, headers: { ...route.request().headers(), "if-none-match": "" } });
  const body = await answer.json();
  body.tasks.forEach(change);
  await route.fulfill({ response: answer, json: body });
});

test("a task's changes are shown at once, however soon they follow each other", async (t) => {
  const server = await local(t);
  const [made] = await make(server, [{ prompt: "Stored in no time" }]);
  const page = await studio(server, { open: false });
  const steps = ["generating", "storing"]; // then as it is
  await page.route("**/v1/tasks?**", async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    const status = steps.shift();
    if (status) Object.assign(body.tasks[0], { status, done: false, images: [] });
    const headers = { ...answer.headers(), etag: `"${status}"`, "retry-after": "1000" }; // with a pause the test fails
    await route.fulfill({ response: answer, json: body, headers });
  });
  await page.goto(server.base);
  await finished(page, made.prompt);
  assert.deepEqual(steps, []);
});

test("without a thumbnail the picture itself is shown, and a damaged picture has a note", async (t) => {
  const server = await local(t);
  await make(server, ["Without a thumbnail", "That arrived damaged", "Of a kind no browser shows"].map((prompt) => ({ prompt, numImages: 2 })));
  const page = await studio(server, { open: false });
  await rewriteTasks(page, ({ prompt, images }) => {
    if (prompt !== "That arrived damaged") delete images[1].thumbnailUrl;
    if (prompt === "That arrived damaged") images[1].damaged = true;
    if (prompt === "Of a kind no browser shows") images[1].url = `${server.base}/openapi.yaml`;
  });
  await page.goto(server.base);
  const picture = (prompt) => tile(page, prompt).locator(".picture").nth(1);
  for (const prompt of ["Without a thumbnail", "That arrived damaged"]) {
    await finished(page, prompt);
    const img = picture(prompt).locator("img");
    await page.waitForFunction((img) => img.complete && img.naturalWidth > 0, await img.elementHandle());
  }
  assert.match(await picture("Without a thumbnail").locator("img").getAttribute("src"), /\.(png|jpg|webp)$/);
  await picture("Of a kind no browser shows").getByText("No preview").waitFor();
  await page.screenshot({ path: `${shots}damaged.png` });

  await tile(page, "That arrived damaged").getByText("Picture 2 arrived damaged. Part of it may be missing.").waitFor();
  assert.equal(await page.getByText(/arrived damaged\./).count(), 1);
  const lightbox = page.getByRole("dialog", { name: "Picture" });
  await picture("That arrived damaged").click();
  await lightbox.getByText("The file arrived incomplete.").waitFor();
  await lightbox.getByRole("button", { name: "Close" }).click();
  await picture("Of a kind no browser shows").click();
  await lightbox.getByText("This browser cannot show the file.").waitFor();
  assert.equal(await lightbox.getByText("The file arrived incomplete.").count(), 0);
  await page.screenshot({ path: `${shots}no-preview.png` });
  await lightbox.getByRole("button", { name: "Edit this" }).click();
  await page.locator("#inputs li", { hasText: "Of a kind no browser shows" }).waitFor();
});

test("a new status text is shown even if the status is the same", async (t) => {
  const server = await local(t);
  await server.simulate({ refuse: "unclear", loseCallbacks: true });
  await send(server, [{ prompt: "A lost order" }]);
  const page = await studio(server, { open: false });
  const doubt = "There is no sign that the image service accepted this order. You may order again: that is a new order with a new key, " +
    "which may be charged in addition to this one. If this picture still arrives, it is kept.";
  let late = false;
  await rewriteTasks(page, (task) => { if (task.status === "unconfirmed" && late) task.statusText = doubt; });
  await page.goto(server.base);
  await tile(page, "A lost order").getByText("Checking with the image service").waitFor();
  late = true;
  await tile(page, "A lost order").getByText(doubt).waitFor();
  await page.screenshot({ path: `${shots}doubt.png` });
});

test("moodboards are opened, remembered and switched", async (t) => {
  const server = await local(t);
  await make(server, [{ prompt: "Of the studio" }]);
  const page = await studio(server);
  await finished(page, "Of the studio");
  await page.getByLabel("Board", { exact: true }).selectOption({ label: "Another…" });
  const dialog = page.getByRole("dialog", { name: "Open a moodboard" });
  await dialog.getByRole("button", { name: "Open" }).click();
  await dialog.getByText("An id has 1 to 128 visible characters, and no spaces.").waitFor();
  await page.keyboard.type("spring-42");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  assert.equal(await tile(page, "Of the studio").count(), 0);
  await submitPrompt(page, "Of spring");
  await finished(page, "Of spring");

  await page.reload();
  await finished(page, "Of spring");
  assert.equal(await page.getByLabel("Board", { exact: true }).inputValue(), "moodboard:spring-42");
  assert.equal(await page.locator(".task").count(), 1);
  await page.getByLabel("Board", { exact: true }).selectOption({ label: "studio" });
  await finished(page, "Of the studio");
  assert.equal(await page.locator(".task").count(), 1);
});

test("a picture whose callback is lost is found", async (t) => {
  const page = await studio(await local(t));
  await page.getByLabel("Lose callbacks").check();
  await page.waitForFunction(async () => (await (await fetch("/local/simulator")).json()).loseCallbacks);
  await submitPrompt(page, "Found by the sweep");
  await finished(page, "Found by the sweep");
});

// ---- layout and accessibility

test("a cancel that comes too late deletes no picture", async (t) => {
  const server = await local(t);
  const [made] = await make(server, [{ prompt: "Finished while the page asks" }]);
  const page = await studio(server, { open: false, refusals: [409] });
  await rewriteTasks(page, (task) => Object.assign(task, { status: "waiting", done: false, images: [], progress: { elapsedSeconds: 1, expectedSeconds: 9 } }));
  await page.goto(server.base);
  page.once("dialog", (dialog) => dialog.accept());
  const card = tile(page, made.prompt);
  await card.getByRole("button", { name: /^Cancel/ }).click();
  await card.getByText("It is too late to cancel this picture. It is being made, or it is finished").waitFor();
  const { token } = await (await fetch(server.base + "/local/session")).json();
  const { images } = await (await fetch(`${server.base}/v1/tasks/${made.id}`, { headers: { Authorization: `Bearer ${token}` } })).json();
  assert.deepEqual(images, made.images);
});

test("a task that ends badly is shown, with where to look", async (t) => {
  const server = await local(t, { MAX_GENERATIONS: "1" });
  await server.simulate({ refuse: "generation" });
  const page = await studio(server);
  assert.equal(await page.locator("#troubles").isVisible(), false);
  await submitPrompt(page, "A harbour");
  const count = page.locator("#troubles-count");
  await count.waitFor();
  assert.equal(await count.innerText(), "1 task ended badly. The log, on standard error of bin/local, says why.");
  await count.click();
  assert.match(await page.locator("#troubles-last li").innerText(), /^\S.* a task has ended, task \w+, generation_failed$/);
  await page.screenshot({ path: `${shots}troubles.png` });
});

test("nothing overflows, and axe finds no serious problem", async (t) => {
  const server = await local(t);
  const looks = [["390", 390, 844], ["1024", 1024, 768], ["1920", 1920, 1080]].flatMap(([name, width, height]) => ["light", "dark"].map((theme) => ({ name, width, height, theme })));

  const check = (page, look, what) => t.test(`${what}, ${look.name} px, ${look.theme}`, async () => {
    await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
    await page.screenshot({ path: `${shots}${look.name}-${look.theme}-${what}.png`, fullPage: !what.startsWith("lightbox") && what !== "board" });
    assert.deepEqual(await overflows(page), []);
    assert.deepEqual(await seriousViolations(page), []);
  });

  for (const look of looks) {
    const page = await studio(server, look);
    await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
    await check(page, look, "empty");
    await page.context().close();
  }

  const [first] = await make(server, [{ prompt: "A lighthouse at dusk, warm light, film grain", aspectRatio: "3:4" }, { prompt: "A quiet street in Lisbon, isometric, pastel", numImages: 4 }]);
  await make(server, [
    { prompt: "The same lighthouse, in snow", aspectRatio: "3:4", imageUrls: [`task:${first.id}/1`] },
    { prompt: "A wide one: " + "mountains beyond a lake at dawn, ".repeat(8), aspectRatio: "21:9" },
    { prompt: "Averyveryverylongwordwithoutanyspaceinit".repeat(6) },
  ]);
  await server.simulate({ refuse: "policy" });
  await make(server, [{ prompt: "What nobody may see" }]);
  await server.simulate({ slow: true });
  await send(server, [{ prompt: "A picture that takes its time", aspectRatio: "4:3" }]);

  for (const look of looks) {
    const page = await studio(server, { ...look, refusals: [422] });
    await finished(page, "The same lighthouse");
    await page.locator("#submit").click(); // without a prompt
    await page.locator("#problem").waitFor();
    await page.locator("#link").fill("https://pictures.example.com/of/a/very/long/name/that/does/not/end/for/quite/a/while.png");
    await page.evaluate(() => { for (const img of document.images) img.loading = "eager"; });
    await page.waitForFunction(() => [...document.querySelectorAll(".picture img")].every((img) => img.complete));
    await check(page, look, "gallery");

    await tile(page, "The same lighthouse").getByRole("button", { name: /^Open/ }).click();
    await page.locator("#lightbox-compare").waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll("#lightbox img")].every((img) => img.complete && img.naturalWidth > 0));
    await check(page, look, "lightbox");
    await page.getByRole("button", { name: "Close" }).click();

    await page.getByLabel("Board", { exact: true }).selectOption({ label: "Another…" });
    await page.getByRole("dialog", { name: "Open a moodboard" }).waitFor();
    await check(page, look, "board");
    await page.context().close();
  }
});

test("fifty tiles", async (t) => {
  const server = await local(t);
  await make(server, Array.from({ length: 50 }, (_, i) => ({ prompt: `Tile ${i + 1}` })));
  const times = [];
  for (let round = 0; round < 3; round++) { // each with an empty cache
    const page = await studio(server, { open: false });
    await page.goto(server.base, { waitUntil: "commit" });
    const shown = await page.waitForFunction(() => {
      const seen = [...document.querySelectorAll(".picture img")].filter((img) => img.getBoundingClientRect().top < innerHeight);
      return document.querySelectorAll(".task").length === 50 && seen.length > 0 && seen.every((img) => img.complete && img.naturalWidth > 0) && performance.now();
    }, null, { polling: "raf" });
    times.push(Math.round(await shown.jsonValue()));
    await page.screenshot({ path: `${shots}fifty.png` });
    await page.context().close();
  }
  t.diagnostic(`50 tiles, with the pictures in the window, are drawn after ${times.join(", ")} ms`);
});
