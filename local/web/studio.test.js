// The studio page in Chromium. Each test runs its own bin/local.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { startLocal } from "./local.js";

const { source: axe } = createRequire(import.meta.url)("axe-core");
const shots = new URL("shots/", import.meta.url).pathname;
const requestId = /Request \S+$/;
let browser;

before(async () => {
  await mkdir(shots, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});

after(() => browser?.close());

/** Starts bin/local for a test, and stops it when the test ends. */
async function local(t, env) {
  const server = await startLocal({ SWEEP_EVERY: "100ms", POLL_EVERY: "100ms", DAILY_QUOTA: "200", ...env });
  server.ends = []; // run before the server stops, which would cause errors in a page
  t.after(async () => {
    try {
      for (const end of server.ends) await end();
    } finally {
      await server.stop();
    }
  });
  return server;
}

/**
 * Opens the studio. Any error in the console fails the test, except failed requests
 * with exactly the statuses in refusals.
 */
async function studio(server, { width = 1024, height = 800, theme = "light", refusals = [], open = true } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors = [], refused = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const status = /responded with a status of (\d+)/.exec(message.text());
    if (status) refused.push(Number(status[1]));
    else errors.push(message.text());
  });
  server.ends.push(async () => {
    await context.close();
    assert.deepEqual(errors, []);
    assert.deepEqual(refused, refusals);
  });
  if (open) {
    await page.goto(server.base);
    await page.locator("#credits b").waitFor();
  }
  return page;
}

async function submitPrompt(page, prompt) {
  await page.getByLabel("What would you like to see?").fill(prompt);
  await page.locator("#submit").click();
}

const tile = (page, prompt) => page.locator(".task", { hasText: prompt });

/** Waits until a task's picture is drawn. */
async function finished(page, prompt) {
  const picture = tile(page, prompt).locator(".picture img").first();
  await picture.waitFor();
  await picture.scrollIntoViewIfNeeded();
  await page.waitForFunction((img) => img.complete && img.naturalWidth > 0, await picture.elementHandle());
  return tile(page, prompt);
}

/** Makes pictures through the API. It resolves to their tasks when all have ended. */
async function make(server, requests) {
  const { tasks, headers } = await send(server, requests);
  return Promise.all(tasks.map(async ({ id }) => {
    for (;;) {
      const task = await (await fetch(`${server.base}/v1/tasks/${id}?wait=20`, { headers })).json();
      if (task.done) return task;
    }
  }));
}

async function send(server, requests) {
  const { token } = await (await fetch(server.base + "/local/session")).json();
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const tasks = await Promise.all(requests.map(async (request) => {
    const answer = await fetch(server.base + "/v1/tasks", { method: "POST", headers, body: JSON.stringify({ target: { kind: "moodboard", id: "studio" }, ...request }) });
    assert.equal(answer.status, 202);
    return answer.json();
  }));
  return { tasks, headers };
}

test("a prompt is submitted with the keyboard, and its time and end are shown", async (t) => {
  const page = await studio(await local(t));
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  assert.match(await page.locator("#credits").innerText(), /^[\d,]+ credits · 0 of 200 pictures today$/);

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

test("an edited picture is shown before and after", async (t) => {
  const server = await local(t);
  const long = "A still life of lemons, oil on linen" + ", in the warm light of an afternoon".repeat(12);
  const [first] = await make(server, [{ prompt: long, numImages: 2 }]);
  const page = await studio(server);
  const card = await finished(page, "A still life of lemons");
  const opener = card.getByRole("button", { name: /^Open Picture 2/ });
  await opener.focus();
  await page.keyboard.press("Enter");
  const lightbox = page.getByRole("dialog", { name: "Picture" });
  await lightbox.waitFor();
  await lightbox.getByText(long, { exact: true }).waitFor(); // the list cuts it at 300 characters
  assert.match(await lightbox.locator("#lightbox-facts").innerText(), new RegExp(`768 × 768[^]*NanoBanana[^]* in \\d+ s[^]*8 credits for 2 pictures[^]*${first.id}`));
  assert.equal(await lightbox.getByText("Before", { exact: true }).isVisible(), false);
  await page.keyboard.press("Escape");
  await lightbox.waitFor({ state: "hidden" });
  assert.ok(await opener.evaluate((b) => b === document.activeElement), "the focus returns to the picture");

  await opener.click();
  await lightbox.getByRole("button", { name: "Edit this" }).click();
  await page.locator("#inputs li").waitFor();
  await submitPrompt(page, "The same, in snow");
  await finished(page, "The same, in snow");
  assert.equal(await page.locator("#inputs li").count(), 0);
  await tile(page, "The same, in snow").getByRole("button", { name: /^Open/ }).click();
  await lightbox.getByText("Before", { exact: true }).waitFor();
  await lightbox.getByText("After", { exact: true }).waitFor();
  assert.equal(await lightbox.locator("#lightbox-before-image").getAttribute("src"), first.images[1].url);
  await page.waitForFunction(() => [...document.querySelectorAll("#lightbox img")].every((img) => img.complete && img.naturalWidth > 0));
});

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
  await page.getByLabel("Moodboard", { exact: true }).selectOption({ label: "Another…" });
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
  assert.equal(await page.getByLabel("Moodboard", { exact: true }).inputValue(), "spring-42");
  assert.equal(await page.locator(".task").count(), 1);
  await page.getByLabel("Moodboard", { exact: true }).selectOption("studio");
  await finished(page, "Of the studio");
  assert.equal(await page.locator(".task").count(), 1);
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
  const fault = page.locator('[data-fault="/imageUrls"]');
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
  await page.locator("#lightbox").getByText("Before", { exact: true }).waitFor();
  assert.match(await page.locator("#lightbox-before-image").getAttribute("src"), /-input\.jpg$/);
  await page.waitForFunction(() => document.querySelector("#lightbox-before-image").naturalWidth > 0);
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

test("a picture whose callback is lost is found", async (t) => {
  const page = await studio(await local(t));
  await page.getByLabel("Lose callbacks").check();
  await page.waitForFunction(async () => (await (await fetch("/local/simulator")).json()).loseCallbacks);
  await submitPrompt(page, "Found by the sweep");
  await finished(page, "Found by the sweep");
});

// ---- layout and accessibility

/** Elements that exceed the window, or whose contents exceed them. */
const overflows = (page) => page.evaluate(() => {
  const found = [];
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const e of document.body.querySelectorAll("*")) {
    if (!e.checkVisibility() || e.closest(".visually-hidden")) continue;
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const name = `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}.${e.className}`;
    if (box.left < -0.5 || box.right > wide + 0.5) found.push(`${name} is from ${box.left} to ${box.right}`);
    if (style.overflowX === "visible" && style.display !== "inline" && e.scrollWidth > e.clientWidth + 1) found.push(`${name} holds ${e.scrollWidth} in ${e.clientWidth}`);
  }
  return found;
});

async function seriousViolations(page) {
  if (!await page.evaluate("typeof axe !== 'undefined'")) await page.evaluate(axe);
  const { violations } = await page.evaluate("axe.run()");
  return violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`)}`);
}

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

test("if pictures cost credits the page asks for a token and shows how to get one", async (t) => {
  const server = await local(t);
  const page = await studio(server, { open: false });
  await page.route("**/local/session", (route) => route.fulfill({
    json: { token: "", tokenCommand: "bin/local token -addr 127.0.0.1:9000 studio", owner: "studio", simulator: false, target: { kind: "moodboard", id: "studio" } },
  }));
  await page.goto(server.base);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.locator("#sign-in-command").innerText(), "bin/local token -addr 127.0.0.1:9000 studio");
  assert.equal(await page.locator("#sign-in-other").isVisible(), false);
  await page.screenshot({ path: `${shots}paid.png` });
  await page.getByLabel("Access token").fill(await server.tokenOf("studio"));
  await page.getByRole("button", { name: "Continue" }).click();
  await page.locator("#credits b").waitFor();
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
    await page.locator("#lightbox-after").waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll("#lightbox img")].every((img) => img.complete && img.naturalWidth > 0));
    await check(page, look, "lightbox");
    await page.getByRole("button", { name: "Close" }).click();

    await page.getByLabel("Moodboard", { exact: true }).selectOption({ label: "Another…" });
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
