// Uploads with the package, in Chromium and in Node, to bin/local.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { ImagesClient } from "../client/dist/index.js";
import { launch } from "./chromium.js";
import { startLocal } from "./local.js";

let local, token, browser, pages, page;
const errors = [];

before(async () => {
  local = await startLocal();
  token = await local.tokenOf("ada");
  pages = createServer(async (request, response) => {
    const file = /^\/dist\/[a-z]+\.js$/.test(request.url) ? `../client${request.url}` : request.url === "/upload-page.js" ? "upload-page.js" : undefined;
    if (file) return response.writeHead(200, { "Content-Type": "text/javascript" }).end(await readFile(new URL(file, import.meta.url)));
    response.writeHead(200, { "Content-Type": "text/html" }).end('<!doctype html><link rel="icon" href="data:,"><script type="module" src="/upload-page.js"></script>');
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  browser = await launch();
  page = await browser.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  await page.waitForFunction("window.upload");
});

after(async () => {
  await browser?.close();
  pages?.close();
  await local?.stop();
});

const upload = (name) => page.evaluate((args) => window.upload(...args), [local.base, token, name]);
const inWorker = (name) => page.evaluate((args) => new Promise((resolve, reject) => {
  const worker = new Worker("/upload-page.js", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(args);
}), [local.base, token, name]);

/** The console's errors since the last look, except for refused requests with these statuses. */
function checkConsole(...refusals) {
  const left = errors.splice(0).filter((text) => {
    const i = refusals.indexOf(Number(/status of (\d+)/.exec(text)?.[1]));
    return i < 0 || !refusals.splice(i, 1);
  });
  assert.deepEqual([left, refusals], [[], []]);
}

const near = (colour, wanted) => colour.every((value, i) => Math.abs(value - wanted[i]) < 30);
const [red, blue] = [[255, 0, 0, 255], [0, 0, 255, 255]];

// What is sent of each file: its type and size, and where its red corner is.
for (const [name, { type, width, height, corner = "topLeft", colour = red, kept = false, clear = false, other, right, from = 0 }] of Object.entries({
  "a PNG of 50 megapixels": { type: "image/jpeg", width: 4096, height: 2048, other: blue },
  "a photograph of more than 12 MB that its EXIF turns": { type: "image/jpeg", width: 3000, height: 4000, corner: "topRight", from: 12 },
  "a small photograph that its EXIF turns": { type: "image/jpeg", width: 30, height: 40, corner: "topRight", kept: true },
  "a transparent PNG of more than 10 MB": { type: "image/webp", width: 2400, height: 1800, clear: true, from: 10 },
  "a transparent GIF": { type: "image/png", width: 8, height: 4, right: [0, 0, 0, 0] },
  "a BMP": { type: "image/jpeg", width: 40, height: 20, other: [0, 0, 0, 255] },
  "an AVIF without a type": { type: "image/jpeg", width: 4, height: 6, colour: [208, 32, 64, 255] },
  "an SVG": { type: "image/jpeg", width: 64, height: 32, other: blue },
  "a PNG that is announced as text": { type: "image/png", width: 20, height: 10, kept: true },
  "an animated WebP": { type: "image/jpeg", width: 8, height: 4 },
})) {
  test(`${name} is uploaded`, async () => {
    const sent = await upload(name);
    assert.deepEqual([sent.refused, sent.type, sent.width, sent.height, sent.problems], [undefined, type, width, height, []]);
    assert.match(sent.entry, /^upload:[0-9a-v]{26}$/);
    assert.equal(sent.entry, `upload:${sent.id}`);
    assert.ok(sent.before >= from << 20 && sent.bytes <= 10 << 20, `${sent.before} became ${sent.bytes}`);
    assert.equal(sent.bytes === sent.before, kept, "what the API takes is sent as it is");
    assert.ok(near(sent[corner], colour), `${sent[corner]}`);
    if (other) assert.ok(near(sent.middle, other), `${sent.middle}`);
    if (right) assert.deepEqual(sent.topRight, right);
    if (clear) assert.ok(sent.middle[3] > 100 && sent.middle[3] < 160, `${sent.middle}`);
    checkConsole();
  });
}

for (const [name, message, ...refusals] of [
  ["an SVG of which nothing is visible", "This is an SVG file. Save it as PNG and try again.", 422],
  ["an HEIC without a type", "This is an HEIC file. Save it as JPEG and try again.", 422],
  ["a TIFF", "This is a TIFF file. Save it as PNG and try again.", 422],
  ["an empty file", "This file is empty. Choose another one and try again.", 422],
  ["a text file", "This is a text file. Choose a picture and try again.", 422],
  ["a text file that is called a PNG", "This is a text file. Choose a picture and try again."],
  ["a video of 60 MB", "This is an MP4 video. Save one picture of it as JPEG and try again.", 422],
  ["the first half of a JPEG", "The end of this picture is missing. Upload the whole file again."],
  ["nothing of 11 MB that is called a JPEG", "This file is larger than 10 MB. Make the picture smaller and try again.", 422],
]) {
  test(`${name} is refused with what to do`, async () => {
    const { refused, opened } = await upload(name);
    assert.deepEqual([refused.code, refused.message, refused.hint, refused.temporary], ["unusable_picture", message, "", false]);
    if (name.startsWith("a video")) assert.equal(opened, 0, "a gigabyte is not read in vain");
    checkConsole(...refusals);
  });
}

test("a worker, which has no document, uploads and converts too", async () => {
  const sent = await inWorker("a BMP");
  assert.deepEqual([sent.failed, sent.type, sent.width, sent.height, sent.problems], [undefined, "image/jpeg", 40, 20, []]);
  checkConsole();
});

test("a file that disappears after it was chosen is explained", async () => {
  await page.evaluate(() => { document.body.innerHTML = '<input type="file">'; });
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-upload-"));
  await writeFile(join(folder, "a.png"), "some bytes");
  await page.locator("input").setInputFiles(join(folder, "a.png"));
  await rm(folder, { recursive: true });
  const refused = await page.evaluate(async ([url, token]) => {
    const { ImagesClient } = await import("/dist/index.js");
    const { code, message, hint } = await new ImagesClient({ url, token }).upload(document.querySelector("input").files[0]).catch((error) => error);
    return { code, message, hint };
  }, [local.base, token]);
  assert.deepEqual(refused, { code: "unusable_picture", message: "This file cannot be read.", hint: "It may have been moved or changed. Choose it again." });
  checkConsole();
});

/** A PNG of the simulator's, and a client. */
let made;
async function withPNG() {
  const c = new ImagesClient({ url: local.base, token });
  made ??= c.create({ prompt: "A picture to upload" }).then(({ id }) => c.wait(id)).then(({ images }) => fetch(images[0].url)).then((answer) => answer.blob());
  return { c, file: await made };
}

test("Node uploads what the API takes, and says what to do with everything else", async () => {
  const { c, file } = await withPNG();
  const { entry, picture } = await c.upload(file);
  assert.equal(picture.type, "image/png");
  const edit = await c.create({ prompt: "Paint it blue", imageUrls: [entry] });
  assert.equal((await c.wait(edit.id)).inputs.length, 1);
  await assert.rejects(c.upload(new Blob(["GIF89a, and so on"])), { code: "unusable_picture", message: "This is a GIF file. Save it as PNG and try again." });
  await assert.rejects(c.upload(new Blob([new Uint8Array(11 << 20)], { type: "image/png" })), { code: "unusable_picture", message: "This file is larger than 10 MB. Make the picture smaller and try again." });
});

test("an upload whose answer is lost is repeated, and taken once", async () => {
  const { file } = await withPNG();
  const puts = [];
  const c = new ImagesClient({ url: local.base, token, fetch: async (url, init) => {
    const answer = await fetch(url, init);
    if (init.method !== "PUT") return answer;
    puts.push(answer.status);
    if (puts.length === 1) throw new TypeError("fetch failed");
    return answer;
  } });
  const { entry } = await c.upload(file);
  assert.deepEqual(puts, [200, 412]);
  assert.deepEqual((await c.quote({ prompt: "x", imageUrls: [entry] })).problems, []);
});

test("what goes wrong during an upload is a sentence", async () => {
  const { file } = await withPNG();
  const answering = (put) => new ImagesClient({ url: local.base, token, tries: 2, fetch: (url, init) => init.method === "PUT" ? put(url, init) : fetch(url, init) });
  await assert.rejects(answering(() => Promise.reject(new TypeError("fetch failed"))).upload(file),
    { code: "no_connection", temporary: true, message: "The connection broke during the upload.", hint: "Check your internet connection and try again." });
  const other = (url, init) => fetch(url, { ...init, body: "other bytes" });
  await assert.rejects(answering(other).upload(file), (error) => {
    assert.deepEqual([error.code, error.status, error.temporary, error.message], ["upload_failed", 403, false, "The picture could not be uploaded."]);
    return /^[A-Z].*\.$/.test(error.hint);
  });
  let sent = 0;
  const busy = () => { sent++; return Promise.resolve(new Response("<Error><Code>SlowDown</Code></Error>", { status: 503 })); };
  await assert.rejects(answering(busy).upload(file), { code: "upload_failed", status: 503, temporary: true });
  assert.equal(sent, 2);

  const stop = new AbortController();
  const never = (_, { signal }) => new Promise((_, reject) => { signal.addEventListener("abort", () => reject(signal.reason)); stop.abort(new Error("another picture was chosen")); });
  await assert.rejects(answering(never).upload(file, { signal: stop.signal }), { message: "another picture was chosen" });
});
