// The studio page's lightbox: before and after, the way from picture to picture, and what can be
// done with one.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, overflows, seriousViolations, shots, studio, submitPrompt, tile } from "./studio-page.js";

/** Makes one task after the other, so that their order is known. */
async function makeInTurn(server, requests) {
  const made = [];
  for (const request of requests) made.push(...await make(server, [request]));
  return made;
}

const box = (page) => page.getByRole("dialog", { name: "Picture", exact: true });
const place = (page) => page.locator("#lightbox-place");
const focused = (page) => page.evaluate(() => document.activeElement.ariaLabel || document.activeElement.id);

async function opened(page, prompt) {
  await (await finished(page, prompt)).getByRole("button", { name: /^Open/ }).first().click();
  await box(page).waitFor();
}

/** Waits until the lightbox has loaded what it shows. */
const loaded = (page) => page.waitForFunction(() => [...document.querySelectorAll("#lightbox img")].filter((img) => img.checkVisibility()).every((img) => img.complete && img.naturalWidth > 0));

test("a picture is opened, shown whole, and edited as one picture of its shape", async (t) => {
  const server = await local(t);
  const long = "A still life of lemons, oil on linen" + ", in the warm light of an afternoon".repeat(12);
  const [first] = await make(server, [{ prompt: long, numImages: 2, aspectRatio: "3:4" }]);
  const page = await studio(server);
  await page.getByLabel("Shape").selectOption("21:9");
  await page.getByRole("combobox", { name: "Pictures" }).selectOption("4");
  await page.getByLabel("What would you like to see?").fill("The same, in snow");
  const opener = (await finished(page, "A still life of lemons")).getByRole("button", { name: /^Open Picture 2/ });
  await opener.focus();
  await page.keyboard.press("Enter");
  await box(page).getByText(long, { exact: true }).waitFor(); // the list cuts it at 300 characters
  const { width, height } = first.images[1];
  assert.match(await page.locator("#lightbox-facts").innerText(), new RegExp(`${width} × ${height}[^]*NanoBanana · 3:4[^]* in \\d+ s[^]*8 credits spent for 2 pictures[^]*${first.id}`));
  assert.equal(await page.locator("#lightbox-compare").isVisible(), false);
  await page.keyboard.press("Escape");
  await box(page).waitFor({ state: "hidden" });
  assert.ok(await opener.evaluate((b) => b === document.activeElement), "the focus returns to the picture");

  await opener.click();
  await box(page).getByRole("button", { name: "Edit this" }).click();
  await page.locator("#inputs li").waitFor();
  assert.equal(await page.getByRole("combobox", { name: "Pictures" }).inputValue(), "1");
  assert.equal(await page.getByLabel("Shape").inputValue(), "3:4");
  assert.equal(await page.getByLabel("What would you like to see?").inputValue(), "The same, in snow");
  assert.equal(await focused(page), "prompt");
  await page.getByText("Pictures and Shape were set for this edit.").waitFor();
  await page.locator("#submit").click();
  await finished(page, "The same, in snow");
  assert.equal(await page.locator("#inputs li").count(), 0);
  await opened(page, "The same, in snow");
  await page.getByLabel("Slide to see before").waitFor();
  assert.equal(await page.locator("#lightbox-before").getAttribute("src"), first.images[1].url);
});

test("an edit of an edit of an upload is compared with each of them", async (t) => {
  const server = await local(t);
  const [made] = await make(server, [{ prompt: "To be uploaded" }]);
  const page = await studio(server);
  const upload = { name: "mine.png", mimeType: made.images[0].contentType, buffer: Buffer.from(await (await fetch(made.images[0].url)).arrayBuffer()) };
  await page.locator("#file").setInputFiles(upload);
  await page.locator("#inputs li", { hasText: "mine.png" }).waitFor();
  await submitPrompt(page, "As a watercolour");
  await opened(page, "As a watercolour");
  await box(page).getByRole("button", { name: "Edit this" }).click();
  await submitPrompt(page, "And now in blue");
  await opened(page, "And now in blue");

  const slider = page.getByLabel("Slide to see before");
  await slider.waitFor();
  await loaded(page);
  const clipped = () => page.locator("#lightbox-before").evaluate((img) => img.getBoundingClientRect().width > 0 && getComputedStyle(img).clipPath);
  assert.equal(await clipped(), "inset(0px 100% 0px 0px)", "the result is shown whole at first");
  assert.equal(await page.locator("#before-label").isVisible(), false);
  await slider.focus();
  await page.keyboard.press("End");
  assert.equal(await clipped(), "inset(0px 0% 0px 0px)");
  assert.ok(await page.locator("#before-label").isVisible() && !await page.locator("#after-label").isVisible());
  await page.keyboard.press("ArrowLeft");
  assert.equal(await slider.getAttribute("aria-valuetext"), "99 % before");
  assert.equal(await page.locator("#lightbox-prompt").innerText(), "And now in blue", "the slider's keys do not turn to another picture");

  const steps = page.getByRole("radio");
  assert.deepEqual(await steps.evaluateAll((all) => all.map((radio) => radio.ariaLabel)), ["1 of 2: Uploaded picture", "2 of 2: As a watercolour"]);
  assert.match(await page.locator("#lightbox-before").getAttribute("src"), /\/1-[0-9a-f]{16}\./);
  await steps.nth(1).focus();
  await page.keyboard.press("ArrowLeft");
  assert.match(await page.locator("#lightbox-before").getAttribute("src"), /-input\.jpg$/);
  await loaded(page);

  const frame = await page.locator("#lightbox-frame").boundingBox();
  await page.mouse.move(frame.x + frame.width / 2, frame.y + frame.height / 2);
  await page.mouse.down();
  await page.mouse.move(frame.x + frame.width / 4, frame.y + frame.height / 2);
  await page.mouse.up();
  assert.equal(await slider.inputValue(), "25");
  for (const [name, width, height] of [["390", 390, 844], ["1024", 1024, 768], ["1920", 1920, 1080]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${shots}${name}-${colorScheme}-compare.png` });
      assert.deepEqual(await overflows(page), []);
      assert.deepEqual(await seriousViolations(page), []);
    }
  }
});

test("keys, buttons and swipes go through all pictures of the list", async (t) => {
  const server = await local(t);
  const [, two] = await makeInTurn(server, [{ prompt: "The oldest" }, { prompt: "Two at once", numImages: 2 }]);
  await server.simulate({ refuse: "policy" });
  await makeInTurn(server, [{ prompt: "Without a picture" }]);
  await server.simulate();
  await makeInTurn(server, [{ prompt: "The newest" }]);
  const page = await studio(server);
  const shows = async (n, prompt) => {
    await place(page).getByText(`Picture ${n} of 4: ${prompt}`, { exact: true }).waitFor();
    assert.equal(await page.locator("#lightbox-prompt").innerText(), prompt);
  };
  await opened(page, "The newest");
  await shows(1, "The newest");
  assert.equal(await page.getByRole("button", { name: "Previous picture" }).getAttribute("aria-disabled"), "true");
  await page.keyboard.press("ArrowLeft");
  await shows(1, "The newest");
  await page.keyboard.press("ArrowRight");
  await shows(2, "Two at once");
  await page.keyboard.press("ArrowRight");
  await shows(3, "Two at once");
  assert.equal(await page.locator("#lightbox-image").getAttribute("src"), two.images[1].url);
  assert.equal(await focused(page), "Close", "the focus stays where it was");
  await page.keyboard.press("End");
  await shows(4, "The oldest");
  assert.equal(await page.getByRole("button", { name: "Next picture" }).getAttribute("aria-disabled"), "true");
  await page.keyboard.press("Home");
  await shows(1, "The newest");
  await page.getByRole("button", { name: "Next picture" }).click();
  await shows(2, "Two at once");

  await loaded(page);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Emulation.setTouchEmulationEnabled", { enabled: true });
  const { x, y, width, height } = await page.locator("#lightbox-frame").boundingBox();
  const swipe = async (from, to) => {
    const at = (part) => [{ x: x + width * part, y: y + height / 2 }];
    await cdp.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: at(from) });
    await cdp.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: at((from + to) / 2) });
    await cdp.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: at(to) });
    await cdp.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  };
  await swipe(0.8, 0.2);
  await shows(3, "Two at once");
  await swipe(0.2, 0.8);
  await shows(2, "Two at once");
  await cdp.send("Emulation.setTouchEmulationEnabled", { enabled: false });

  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.activeElement.ariaLabel === "Open Picture 1: Two at once"); // the one that was shown last
});

test("a picture that is deleted elsewhere does not stop the way", async (t) => {
  const server = await local(t);
  const [, middle] = await makeInTurn(server, [{ prompt: "Number one" }, { prompt: "Number two" }, { prompt: "Number three" }]);
  const page = await studio(server);
  await opened(page, "Number two");
  const { token } = await (await fetch(`${server.base}/local/session`)).json();
  await fetch(`${server.base}/v1/tasks/${middle.id}`, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
  await page.evaluate((id) => document.querySelector(`[data-id="${id}"]`)?.remove(), middle.id);
  await page.keyboard.press("ArrowRight");
  await page.locator("#lightbox-prompt", { hasText: "Number one" }).waitFor();
});

test("beyond the last picture of the list the older ones are loaded", async (t) => {
  const server = await local(t);
  await make(server, [{ prompt: "The very first" }]);
  await make(server, Array.from({ length: 50 }, (_, i) => ({ prompt: `Number ${i + 1}` })));
  const page = await studio(server);
  await page.locator(".picture").nth(49).waitFor();
  assert.equal(await tile(page, "The very first").count(), 0);
  await page.locator(".picture").first().click();
  await page.keyboard.press("End");
  await place(page).filter({ hasText: "Picture 50 of 50" }).waitFor();
  await page.keyboard.press("ArrowRight");
  await place(page).filter({ hasText: "Picture 51 of 51: The very first" }).waitFor();
  assert.equal(await page.locator("#lightbox-prompt").innerText(), "The very first");
});

test("the shown picture's words are ordered or used again, and it is deleted", async (t) => {
  const server = await local(t);
  const long = "A harbour in the morning" + ", boats and nets".repeat(30);
  await make(server, [{ prompt: long, numImages: 2 }]);
  const page = await studio(server);
  await opened(page, "A harbour in the morning");
  await box(page).getByRole("button", { name: /^New version · 8 credits/ }).click();
  await box(page).getByText("Ordered. The new picture comes first in the list.").waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".picture").length === 4);
  await box(page).getByRole("button", { name: /^Use again/ }).click();
  await box(page).waitFor({ state: "hidden" });
  assert.equal(await page.getByLabel("What would you like to see?").inputValue(), long);
  assert.equal(await page.getByRole("combobox", { name: "Pictures" }).inputValue(), "2");
  assert.equal(await focused(page), "prompt");

  await page.locator(".picture").first().click();
  page.on("dialog", (dialog) => dialog.accept());
  await page.keyboard.press("ArrowRight");
  await place(page).filter({ hasText: "Picture 2 of 4" }).waitFor();
  await box(page).getByRole("button", { name: "Delete" }).click();
  await place(page).filter({ hasText: "Picture 1 of 2" }).waitFor(); // the next one
  assert.equal(await page.locator(".picture").count(), 2);
  assert.equal(await focused(page), "lightbox-delete");
  await box(page).getByRole("button", { name: "Delete" }).click();
  await box(page).waitFor({ state: "hidden" });
  assert.equal(await page.locator(".picture").count(), 0);
  assert.equal(await focused(page), "prompt");
});
