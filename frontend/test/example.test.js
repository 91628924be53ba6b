// The example app in Chromium, built as its README says, against bin/local.
import assert from "node:assert/strict";
import { get } from "node:http";
import { after, before, test } from "node:test";

import { buildExample, serveExample } from "./example-app.js";
import { startSupabase } from "./supabase.js";
import { local, make, overflows, send, seriousViolations, shots, visit } from "./studio-page.js";

let app, supabase;
before(async () => { app = await buildExample(); });
after(async () => {
  await app?.remove();
  await supabase?.stop();
});

/** A local run, the app that uses it, and a page with the app. */
async function example(t, { settings, path = "/", ...options } = {}) {
  const server = await local(t, settings);
  const url = await serveExample(t, app, { NEXT_PUBLIC_IMAGES_URL: server.base });
  const page = await visit(server, options);
  await page.goto(url + path);
  await page.locator(".credits b").waitFor();
  return { server, url, page };
}

const card = (page, prompt) => page.locator(".card", { hasText: prompt });
const button = (page, name) => page.getByRole("button", { name });
const form = (page) => page.getByRole("form", { name: "New pictures" });
const say = (page, words) => form(page).getByRole("textbox").fill(words);

async function allTasks(server) {
  const answer = await fetch(`${server.base}/v1/tasks`, { headers: { Authorization: `Bearer ${await server.tokenOf()}` } });
  return (await answer.json()).tasks;
}

/** Waits until a card has so many pictures, and all are drawn. */
async function drawn(page, prompt, count = 1) {
  const pictures = card(page, prompt).locator(".tile img");
  await pictures.nth(count - 1).waitFor();
  await pictures.nth(count).waitFor({ state: "detached" });
  for (const picture of await pictures.all()) {
    await picture.scrollIntoViewIfNeeded();
    await page.waitForFunction((img) => img.complete && img.naturalWidth > 0, await picture.elementHandle());
  }
}

test("pictures are ordered, edited and compared with the one before", async (t) => {
  const { page, server } = await example(t);
  await page.getByRole("heading", { name: "Nothing here yet" }).waitFor();
  await say(page, "A red bicycle");
  await button(page, "Make it · 4 credits").click();
  await card(page, "A red bicycle").getByText("Making your picture").waitFor();
  await card(page, "A red bicycle").getByRole("progressbar", { name: "Progress" }).waitFor();
  await drawn(page, "A red bicycle");
  await page.getByRole("status").filter({ hasText: "Done: A red bicycle" }).waitFor({ state: "attached" });
  await page.locator(".credits", { hasText: "996 credits · 1 of 200 pictures today" }).waitFor();

  await say(page, "Four sketches of a coat");
  await page.getByRole("radio", { name: "4" }).check();
  await button(page, "Make 4 pictures · 16 credits").click();
  await drawn(page, "Four sketches of a coat", 4);
  assert.ok(await page.getByRole("radio", { name: "1" }).isChecked(), "no four pictures by accident next time");

  await button(page, "Edit picture 3 of 4: Four sketches of a coat").click();
  const words = page.getByRole("textbox", { name: "What should change?" });
  assert.ok(await words.evaluate((field) => field === document.activeElement), "the words can be typed at once");
  await words.fill("In linen");
  await page.keyboard.press("Control+Enter");
  await drawn(page, "In linen");
  assert.equal(await page.getByRole("list", { name: "Pictures to start from" }).count(), 0);
  const original = (await allTasks(server)).find(({ prompt }) => prompt === "Four sketches of a coat").images[2].url;
  await button(page, "Open picture 1 of 1: In linen").click();
  const viewer = page.getByRole("dialog", { name: "Picture" });
  assert.equal(await viewer.getByAltText("Before").getAttribute("src"), original);
  await viewer.getByRole("slider").fill("100");
  assert.equal(await viewer.getByAltText("Before").evaluate((img) => getComputedStyle(img).clipPath), "inset(0px 0% 0px 0px)", "all of before is shown");
  assert.deepEqual(await seriousViolations(page), []);
  await page.keyboard.press("Escape");
  await viewer.waitFor({ state: "detached" });
});

test("a file of one's own is edited and shown before and after", async (t) => {
  const { page, server } = await example(t);
  const [made] = await make(server, [{ prompt: "To be uploaded" }]);
  const buffer = Buffer.from(await (await fetch(made.images[0].url)).arrayBuffer());
  const file = page.getByLabel("Start from a picture of your own");
  await file.setInputFiles({ name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await form(page).getByRole("alert").filter({ hasText: "notes.png: " }).waitFor();
  assert.equal(await page.getByRole("list", { name: "Pictures to start from" }).count(), 0);

  await file.setInputFiles({ name: "mine.png", mimeType: "image/png", buffer });
  await page.getByRole("listitem").filter({ hasText: "mine.png" }).waitFor();
  assert.equal(await form(page).getByRole("alert").count(), 0);
  await say(page, "Mine, as a watercolour");
  await button(page, "Edit it · 4 credits").click();
  await drawn(page, "Mine, as a watercolour");
  await button(page, "Open picture 1 of 1: Mine, as a watercolour").click();
  const before = page.getByAltText("Before");
  assert.match(await before.getAttribute("src"), /-input\.jpg$/);
  await page.waitForFunction((img) => img.naturalWidth > 0, await before.elementHandle());
  for (const width of [390, 1024]) {
    await page.setViewportSize({ width, height: 800 });
    assert.deepEqual(await overflows(page, ".visually-hidden, nav a"), []);
    await page.screenshot({ path: `${shots}example-before-after-${width}.png` });
  }
});

test("one of four is hidden and shown again; an order is moved and deleted", async (t) => {
  const { page, server, url } = await example(t, { path: "/?board=moodboard:studio" });
  await make(server, [{ prompt: "Four of them", numImages: 4 }, { prompt: "To be moved" }, { prompt: "To be deleted" }]);
  await page.evaluate(() => window.dispatchEvent(new Event("focus"))); // made elsewhere, seen at once
  await drawn(page, "Four of them", 4);
  await button(page, "Hide picture 2 of 4: Four of them").click();
  await button(page, "Open picture 2 of 4: Four of them").waitFor({ state: "detached" });
  await drawn(page, "Four of them", 3);
  await page.reload();
  await drawn(page, "Four of them", 3);
  await page.getByLabel("Show hidden pictures (1)").check();
  await button(page, "Show picture 2 of 4: Four of them").click();
  await page.getByLabel(/^Show hidden/).waitFor({ state: "detached" });
  await drawn(page, "Four of them", 4);

  await card(page, "To be moved").getByLabel("Move to").selectOption({ label: "Showcase" });
  await card(page, "To be moved").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Showcase" }).click();
  await page.waitForURL(`${url}/?board=showcase:portfolio`);
  await drawn(page, "To be moved");
  assert.equal(await page.locator(".card").count(), 1);

  await page.getByRole("link", { name: "Everything" }).click();
  const last = card(page, "To be deleted");
  for (const name of ["Delete", "Keep", "Delete", "Delete"]) await last.getByRole("button", { name, exact: true }).click();
  await last.waitFor({ state: "detached" });
  assert.equal(await page.locator(".card").count(), 2);
});

test("what goes wrong is said with what to do", async (t) => {
  const { page, server } = await example(t, { settings: { SWEEP_EVERY: "10m", REFUSED_TERMS: "lighthouse" }, refusals: [402] });
  await server.simulate({ refuse: "policy" });
  await say(page, "What nobody may see");
  await button(page, /^Make it/).click();
  const refused = card(page, "What nobody may see");
  await refused.getByText("The image service declined this request under its content rules.").waitFor();
  await refused.getByText("Please describe the picture differently, or use other input pictures.").waitFor();
  assert.equal(await refused.getByRole("button", { name: "Try again" }).count(), 0);

  await say(page, "A lighthouse"); // what our own filter finds is said before the click
  await form(page).getByText("Please use other words. Nothing was charged.").waitFor();

  await server.simulate({ refuse: "credits" });
  await say(page, "A picture nobody can pay");
  await button(page, /^Make it/).click();
  await card(page, "A picture nobody can pay").getByText("There are not enough credits left").waitFor();
  await say(page, "Another one");
  await form(page).getByText("There are not enough credits left").waitFor(); // now it is known before the click
  await button(page, /^Make it/).click();
  await form(page).getByRole("alert").filter({ hasText: /There are not enough credits left[^]*Request \S+/ }).waitFor();
  assert.equal(await form(page).getByText("There are not enough credits left").count(), 1, "it is said once");
  assert.equal(await form(page).getByRole("textbox").inputValue(), "Another one");
  await page.locator(".credits", { hasText: "0 credits · 1 of 200 pictures today · a top-up is needed" }).waitFor();
  await page.screenshot({ path: `${shots}example-out-of-credits.png`, fullPage: true });
});

test("a lost answer keeps the words, and the same order again makes one task", async (t) => {
  const tries = 5;
  const { page, server } = await example(t, { refusals: Array(tries).fill(504) });
  const keys = [];
  await page.route("**/v1/tasks", async (route) => {
    const answer = await route.fetch();
    if (keys.push(route.request().headers()["idempotency-key"]) > tries) return route.fulfill({ response: answer });
    const headers = { ...answer.headers(), "content-type": "application/json", "retry-after": "0" };
    await route.fulfill({ status: 504, headers, body: '{"message":"Endpoint request timed out"}' });
  });
  await say(page, "Asked for once");
  await button(page, /^Make it/).click();
  await form(page).getByRole("alert").filter({ hasText: "The image service took too long to answer." }).waitFor();
  assert.equal(await form(page).getByRole("textbox").inputValue(), "Asked for once");
  await button(page, /^Make it/).click();
  await drawn(page, "Asked for once");
  assert.deepEqual(keys, Array(tries + 1).fill(keys[0]));
  await page.locator(".credits", { hasText: "996 credits · 1 of 200 pictures today" }).waitFor();
  assert.equal(await page.locator(".card").count(), 1);
  assert.equal((await allTasks(server)).length, 1);
});

test("an order is canceled or tried again, and a used-up quota is named before the click", async (t) => {
  const { page, server } = await example(t, { settings: { DAILY_QUOTA: "3", MAX_GENERATIONS: "1" } });
  await server.simulate({ refuse: "rateLimit" });
  await say(page, "Not so fast");
  await button(page, /^Make it/).click();
  await card(page, "Not so fast").getByRole("button", { name: "Cancel" }).click();
  await card(page, "Not so fast").waitFor({ state: "detached" });
  await page.locator(".credits", { hasText: "0 of 3 pictures today" }).waitFor();

  await server.simulate({ refuse: "generation" });
  await say(page, "At the second try");
  await button(page, /^Make it/).click();
  await card(page, "At the second try").getByText("The picture could not be made.").waitFor();
  await server.simulate();
  await card(page, "At the second try").getByRole("button", { name: "Try again" }).click();
  await drawn(page, "At the second try");
  assert.equal(await page.locator(".card").count(), 1, "the failed one is gone");

  await say(page, "The first two");
  await page.getByRole("radio", { name: "2" }).check();
  await button(page, /^Make 2 pictures/).click();
  await drawn(page, "The first two", 2);
  await say(page, "One too many");
  await form(page).getByText("You have reached your limit for today.").waitFor();
});

test("a refused order can be given again: it does not keep a key that is used up", async (t) => {
  const { page } = await example(t, { refusals: [422] });
  const keys = [];
  await page.route((url) => url.pathname === "/v1/tasks", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.continue();
    const headers = { "Access-Control-Allow-Origin": "*" };
    await route.fulfill({ status: 422, headers, json: { status: 422, code: "idempotency_key_reused", detail: "This order was deleted.", hint: "Order it anew." } });
  });
  await say(page, "Deleted, and wanted again");
  await button(page, /^Make it/).click();
  await form(page).getByText("This order was deleted.").waitFor();
  await button(page, /^Make it/).click();
  await drawn(page, "Deleted, and wanted again");
  assert.notEqual(keys[0], keys[1]);
});

test("a crash of the API in the middle of orders loses and repeats nothing", async (t) => {
  let away = false;
  // While nobody listens at its address, the browser reports each connection that fails.
  const expected = (message) => away && message.location().url.startsWith(server.base)
    && /^Failed to load resource: net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING)$/.test(message.text());
  const { page, server } = await example(t, { expected });
  await say(page, "Ordered before the crash");
  await button(page, /^Make it/).click();
  await card(page, "Ordered before the crash").getByText("Making your picture").waitFor();
  away = true;
  await server.kill();
  await say(page, "Ordered during the crash");
  const failed = page.waitForEvent("requestfailed", (request) => request.method() === "POST" && request.url().endsWith("/v1/tasks"));
  await button(page, /^Make it/).click();
  await failed;
  await button(page, "Ordering…").waitFor();
  await card(page, "Ordered before the crash").getByRole("progressbar").waitFor();
  await server.restart();
  await drawn(page, "Ordered before the crash");
  await drawn(page, "Ordered during the crash");
  away = false;
  assert.equal(await page.locator(".problem").count(), 0, "no error is left");

  const tasks = await allTasks(server);
  assert.deepEqual(tasks.map(({ prompt, status }) => [prompt, status]), [["Ordered during the crash", "succeeded"], ["Ordered before the crash", "succeeded"]]);
  await page.locator(".credits", { hasText: "992 credits · 2 of 200 pictures today" }).waitFor();
});

test("while the API is away the page says so, and goes on when it is back", async (t) => {
  let away = false;
  const expected = (message) => away && message.text() === "Failed to load resource: net::ERR_CONNECTION_REFUSED" && message.location().url.startsWith(server.base);
  const { page, server } = await example(t, { expected });
  away = true;
  await server.kill();
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  await page.getByRole("alert").filter({ hasText: "The image service cannot be reached." }).waitFor();
  await server.restart();
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  await page.locator(".problem").waitFor({ state: "detached" });
  away = false;
});

test("with Supabase, what is hidden in one browser is hidden in another", async (t) => {
  const key = "whsec_" + Buffer.from("n".repeat(36)).toString("base64");
  supabase = await startSupabase();
  for (const name of ["ada", "bob"]) supabase.addUser(`${name}@example.com`, `${name}'s own`);
  await supabase.deploy("ai-images", { NOTIFY_KEY: key, SUPABASE_SECRET_KEYS: JSON.stringify({ default: supabase.secretKey }) });
  const server = await local(t, { AUTH_ISSUER: supabase.issuer, NOTIFY_URL: `${supabase.url}/functions/v1/ai-images`, NOTIFY_KEY: key });
  const url = await serveExample(t, app, { NEXT_PUBLIC_IMAGES_URL: server.base, NEXT_PUBLIC_SUPABASE_URL: supabase.url, NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY: supabase.publishableKey });
  const enter = async (page, name, password = `${name}'s own`) => {
    await page.goto(url);
    await page.getByLabel("Email").fill(`${name}@example.com`);
    await page.getByLabel("Password").fill(password);
    await button(page, "Sign in").click();
  };

  const one = await visit(server, { refusals: [400] });
  await enter(one, "ada", "wrong");
  await one.getByRole("alert").filter({ hasText: "Invalid login credentials" }).waitFor();
  await enter(one, "ada");
  await say(one, "Four of Ada's");
  await one.getByRole("radio", { name: "4" }).check();
  await button(one, /^Make 4 pictures/).click();
  await drawn(one, "Four of Ada's", 4);
  while ((await supabase.sql("select from ai_images")).length < 4) await new Promise((resolve) => setTimeout(resolve, 50)); // until the notice is there
  await button(one, "Hide picture 2 of 4: Four of Ada's").click();
  await button(one, "Open picture 2 of 4: Four of Ada's").waitFor({ state: "detached" });

  const two = await visit(server);
  let answer;
  const held = new Promise((resolve) => { answer = resolve; });
  await two.route("**/rest/v1/ai_images?*", (route) => held.then(() => route.continue()));
  const listed = two.waitForResponse(/\/v1\/tasks\?/);
  await enter(two, "ada");
  await listed;
  await button(two, "Make it · 4 credits").waitFor();
  assert.equal(await two.locator(".tile").count(), 0, "nothing is shown before it is known what is hidden");
  answer();
  await drawn(two, "Four of Ada's", 3);
  await two.getByLabel("Show hidden pictures (1)").check();
  await button(two, "Show picture 2 of 4: Four of Ada's").click();
  await drawn(two, "Four of Ada's", 4);
  await one.evaluate(() => window.dispatchEvent(new Event("focus")));
  await drawn(one, "Four of Ada's", 4);

  await supabase.sql("delete from ai_images where n = 4"); // as if its notice had not come yet
  await button(two, "Hide picture 4 of 4: Four of Ada's").click();
  await two.getByRole("alert").filter({ hasText: "This picture has not arrived in Supabase yet." }).waitFor();
  await button(two, "Sign out").click();
  await enter(two, "bob");
  await two.getByRole("heading", { name: "Nothing here yet" }).waitFor();
});

test("the session is for pages on this machine alone", async (t) => {
  const { url, server } = await example(t);
  const session = async (headers, address = url) => (await fetch(`${address}/session`, { headers })).status;
  assert.equal(await session({}), 200);
  assert.equal(await statusWithHost(url, "pictures.example"), 403, "a name that leads to this machine");
  for (const headers of [{ "X-Forwarded-For": "203.0.113.7" }, { "X-Forwarded-For": "127.0.0.1, 203.0.113.7" }, { "X-Forwarded-Host": "pictures.example" }]) {
    assert.equal(await session(headers), 403, `a tunnel with ${JSON.stringify(headers)}`);
  }
  const elsewhere = await serveExample(t, app, { NEXT_PUBLIC_IMAGES_URL: "https://api.example.com" });
  assert.equal(await session({}, elsewhere), 403);
  await server.kill();
  assert.equal(await session({}), 503);
  await server.restart();
});

function statusWithHost(url, host) {
  return new Promise((resolve, reject) => {
    get(`${url}/session`, { headers: { Host: host } }, (answer) => { answer.resume(); resolve(answer.statusCode); }).on("error", reject);
  });
}

test("on a phone the new order is scrolled to, below the form", async (t) => {
  const { page } = await example(t, { width: 390, height: 500 });
  await say(page, "A red bicycle");
  await button(page, /^Make it/).click();
  await page.waitForFunction(() => document.querySelector(".card:not(.skeleton)")?.getBoundingClientRect().top < innerHeight - 100);
  await drawn(page, "A red bicycle");
});

test("it fits every screen, in light and dark", async (t) => {
  const { page, server, url } = await example(t);
  await make(server, [
    { prompt: "A linen coat on a wooden chair, morning light" }, { prompt: "Four sketches of a coat", numImages: 4 }, { prompt: "Two pairs of shoes", numImages: 2 },
    { prompt: `A very long description ${"of a dress with many folds ".repeat(9)}`, aspectRatio: "9:16" }, { prompt: "Threehundredcharacterswithoutaspace".repeat(8), numImages: 3 },
  ]);
  await server.simulate({ refuse: "policy" });
  await make(server, [{ prompt: "What nobody may see" }]);
  await server.simulate({ slow: true });
  await send(server, [{ prompt: "In progress" }]);
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    for (const width of [390, 1024, 1920]) {
      await page.setViewportSize({ width, height: 900 });
      await page.goto(`${url}/?board=moodboard:studio`);
      await drawn(page, "A linen coat");
      // The boards may be scrolled sideways.
      assert.deepEqual(await overflows(page, ".visually-hidden, nav a"), [], `${theme}, ${width}`);
      assert.deepEqual(await seriousViolations(page), [], `${theme}, ${width}`);
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: `${shots}example-${theme}-${width}.png`, fullPage: width === 390 });
    }
  }
  await button(page, "Open picture 1 of 1: A linen coat").click();
  await page.screenshot({ path: `${shots}example-viewer.png` });
});
