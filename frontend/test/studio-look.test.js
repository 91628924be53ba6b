// The studio page's cards without gaps, its title, and what it says about credits.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, shots, studio, submitPrompt, tile } from "./studio-page.js";

/** What is wrong with how the cards are packed: gaps between cards of a column, a card that is not in the shortest one, empty places in a card. */
const holes = (page) => page.evaluate(() => {
  const list = document.querySelector("#tasks"), found = [];
  const gap = parseFloat(getComputedStyle(list).columnGap), top = list.getBoundingClientRect().top;
  const columns = new Map(); // left edge -> where the next card begins
  const lefts = getComputedStyle(list).gridTemplateColumns.split(" ").length;
  for (const card of list.children) {
    const box = card.getBoundingClientRect(), name = card.querySelector(".prompt").textContent.slice(0, 30);
    const ends = [...columns.values()], shortest = ends.length < lefts ? top : Math.min(...ends);
    if (Math.abs(box.top - shortest) > 2) found.push(`${name} begins at ${box.top}, not at ${shortest}`);
    columns.set(Math.round(box.left), box.bottom + gap);
    const pictures = card.querySelector(".pictures")?.getBoundingClientRect();
    if (!pictures) continue;
    const area = [...card.querySelector(".pictures").children].reduce((sum, { offsetWidth, offsetHeight }) => sum + offsetWidth * offsetHeight, 0);
    if (area < 0.96 * pictures.width * pictures.height) found.push(`the pictures of ${name} fill ${area} of ${pictures.width * pictures.height}`);
  }
  return found;
});

test("cards of all heights leave no holes", async (t) => {
  const server = await local(t);
  const shapes = ["3:4", "21:9", "1:1", "9:16"];
  await make(server, Array.from({ length: 12 }, (_, i) => ({ prompt: `Of ${i % 4 + 1}: ` + "many words ".repeat(5 * (i % 3)), numImages: i % 4 + 1, aspectRatio: shapes[(i * 7) % 4] })));
  await server.simulate({ slow: true });
  for (const [width, height] of [[390, 844], [1024, 768], [1920, 1080]]) {
    const page = await studio(server, { width, height });
    await submitPrompt(page, `Still running at ${width}`);
    await tile(page, `Still running at ${width}`).locator(".waiting").waitFor();
    await page.evaluate(() => { for (const img of document.images) img.loading = "eager"; });
    await page.waitForFunction(() => [...document.querySelectorAll(".picture img")].every((img) => img.complete));
    assert.deepEqual(await holes(page), []);
    await page.screenshot({ path: `${shots}packed-${width}.png`, fullPage: true });
    // Pictures of one task may differ in shape.
    const some = page.locator(".pictures.many .picture").first();
    await some.evaluate((picture) => { picture.style.aspectRatio = "2 / 1"; });
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    assert.deepEqual(await holes(page), []);
    await page.context().close();
  }
});

test("the title marks what ended while the page was hidden, until it is seen", async (t) => {
  const server = await local(t);
  const page = await studio(server);
  const hide = (hidden) => page.evaluate((hidden) => { // a headless browser shows every page
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  const titled = (title) => page.waitForFunction((title) => document.title === title, title);
  await submitPrompt(page, "Seen at once");
  await finished(page, "Seen at once");
  assert.equal(await page.title(), "Studio");
  await hide(true);
  await submitPrompt(page, "Made behind");
  await titled("✓ 1 done · Studio");
  await hide(false);
  await titled("Studio");
  await server.simulate({ refuse: "policy" });
  await hide(true);
  await submitPrompt(page, "What nobody may see");
  await titled("✗ 1 failed · Studio");
  await page.evaluate(() => { location.hash = "#/moodboard/spring"; });
  await titled("✗ 1 failed · spring · Studio");
  await hide(false);
  await titled("spring · Studio");
});

test("the button, the card, the details and what is left agree about credits", async (t) => {
  // Without a sweep, which would read the balance by itself.
  const server = await local(t, { SWEEP_EVERY: "10m", PRICES: "nano-banana=1", DAILY_QUOTA: "0", MAX_GENERATIONS: "1" });
  const page = await studio(server);
  const left = (text) => page.waitForFunction((text) => document.querySelector("#credits").innerText === text, text);
  await left("1,000 credits left");
  assert.equal(await page.locator("#cost").innerText(), "· 1 credit");
  await submitPrompt(page, "A cheap one");
  const card = tile(page, "A cheap one");
  await card.getByText("1 credit held", { exact: true }).waitFor();
  await finished(page, "A cheap one");
  await card.getByText("1 credit spent", { exact: true }).waitFor();
  await left("996 credits left"); // the simulator charges what it always charges
  await card.getByRole("button", { name: /^Open/ }).click();
  await page.locator("#lightbox-facts", { hasText: "1 credit spent" }).waitFor();
  await page.keyboard.press("Escape");

  await server.simulate({ refuse: "generation" });
  await page.getByRole("combobox", { name: "Pictures" }).selectOption("2");
  assert.equal(await page.locator("#cost").innerText(), "· 2 credits");
  await submitPrompt(page, "Two that fail");
  await tile(page, "Two that fail").getByText("2 credits returned to you", { exact: true }).waitFor();
  await left("988 credits left");
});
