// The studio page's pictures from this machine: dropped, picked or pasted, and made to fit.
import assert from "node:assert/strict";
import { test } from "node:test";

import { finished, local, make, requestId, studio, submitPrompt, tile } from "./studio-page.js";

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
  await page.getByRole("button", { name: "Do not start from mine.png" }).focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "pick");
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

test("a pasted picture is uploaded; pasted text stays text, but a link in its field is added", async (t) => {
  const server = await local(t);
  const page = await studio(server);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.route("https://pictures.example.com/**", (route) => route.fulfill({ contentType: "image/svg+xml", body: '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>' }));
  const copy = (text, picture) => page.evaluate(async ([text, picture]) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 256, height: 256 });
    canvas.getContext("2d").fillRect(0, 0, 99, 99);
    const png = await new Promise((resolve) => canvas.toBlob(resolve));
    await navigator.clipboard.write([new ClipboardItem({ ...(text && { "text/plain": new Blob([text], { type: "text/plain" }) }), ...(picture && { "image/png": png }) })]);
  }, [text, picture]);
  const prompt = page.getByLabel("What would you like to see?");
  const chips = page.locator("#inputs li");

  await copy("https://pictures.example.com/1.png", true); // as a browser or an office program copies both
  await prompt.focus();
  await page.keyboard.press("Control+V");
  assert.equal(await prompt.inputValue(), "https://pictures.example.com/1.png");
  assert.equal(await chips.count(), 0);
  await page.locator("#link").focus();
  await page.keyboard.press("Control+V");
  await chips.filter({ hasText: "pictures.example.com/1.png" }).waitFor();
  assert.equal(await page.locator("#link").inputValue(), "");
  await page.getByRole("button", { name: /^Do not start from/ }).click();

  await copy("", true);
  await prompt.fill("On paper");
  await page.keyboard.press("Control+V");
  await chips.filter({ hasText: "Pasted picture" }).waitFor();
  assert.equal(await prompt.inputValue(), "On paper");
  await page.locator("#submit").click();
  await (await finished(page, "On paper")).getByText("An edit of a picture of your own").waitFor();
});

/** Makes a file of noise in the page, prepares it, and returns what became of it. */
const prepared = (page, given) => page.evaluate(async ({ type, side, square, clear, turned }) => {
  const { prepare } = await import("/shrink.js");
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: square ? side : side / 2 });
  const context = canvas.getContext("2d");
  const noise = context.createImageData(canvas.width, canvas.height);
  for (let at = 0; at < noise.data.length; at += 65536) crypto.getRandomValues(noise.data.subarray(at, at + 65536));
  for (let i = 3; i < noise.data.length; i += 4) noise.data[i] = 255;
  context.putImageData(noise, 0, 0);
  if (clear) context.clearRect(0, 0, canvas.width / 2, canvas.height);
  let file = await new Promise((resolve) => canvas.toBlob(resolve, type, 1));
  if (turned) { // EXIF's orientation 6: the picture has to be turned to the right
    const exif = Uint8Array.from([0xff, 0xe1, 0, 34, ...new TextEncoder().encode("Exif\0\0MM"), 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
    file = new Blob([file.slice(0, 2), exif, file.slice(2)], { type });
  }
  const answer = await prepare(new File([file], "big", { type }), "big");
  const bitmap = await createImageBitmap(answer.file);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return {
    before: file.size, bytes: answer.file.size, type: answer.file.type, size: [bitmap.width, bitmap.height], note: answer.note,
    alpha: context.getImageData(5, 5, 1, 1).data[3], same: answer.file.size === file.size,
  };
}, given);

test("what is too large is made smaller, upright and with its transparency", async (t) => {
  const page = await studio(await local(t));
  const limit = 10 << 20;
  const photo = await prepared(page, { type: "image/jpeg", side: 5000, turned: true });
  assert.ok(photo.before > limit && photo.bytes <= limit, `${photo.before} and ${photo.bytes}`);
  assert.equal(photo.type, "image/jpeg");
  assert.ok(photo.size[1] / photo.size[0] > 1.9 && photo.size[1] <= 4096, `${photo.size}`);
  assert.equal(photo.note, `big was too large. A copy of ${photo.size[0]} × ${photo.size[1]} pixels is used.`);

  const rough = await prepared(page, { type: "image/jpeg", side: 4000, square: true }); // too large as a JPEG of 4000 pixels, too
  assert.ok(rough.bytes <= limit && rough.size[0] < 4000 && rough.size[0] > 1500, `${rough.bytes} and ${rough.size}`);

  const clear = await prepared(page, { type: "image/png", side: 3600, clear: true });
  assert.ok(clear.before > limit && clear.bytes <= limit, `${clear.before} and ${clear.bytes}`);
  assert.deepEqual([clear.alpha, clear.type], [0, "image/webp"]);

  const fits = await prepared(page, { type: "image/png", side: 400 });
  assert.deepEqual([fits.same, fits.type, fits.note], [true, "image/png", undefined]);
});

test("a large picture and one of another kind are uploaded as copies, and the form says so", async (t) => {
  const page = await studio(await local(t), { refusals: [422] });
  const notes = page.locator("#upload-notes");
  const gif = Buffer.from("R0lGODlhQABAAIAAAP8AAAAAACwAAAAAQABAAAACRoSPqcvtD6OctNqLs968+w+G4kiW5omm6sq27gvH8kzX9o3n+s73/g8MCofEovGITCqXzKbzCY1Kp9Sq9YrNarfcrvcLCisAADs=", "base64");
  await page.locator("#file").setInputFiles({ name: "drawing.gif", mimeType: "image/gif", buffer: gif });
  await notes.filter({ hasText: "drawing.gif was converted to WEBP." }).waitFor();
  await page.locator("#inputs li", { hasText: "drawing.gif" }).waitFor();

  const large = await page.evaluateHandle(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 2000, height: 2000 });
    const noise = new ImageData(2000, 2000);
    for (let at = 0; at < noise.data.length; at += 65536) crypto.getRandomValues(noise.data.subarray(at, at + 65536));
    for (let i = 3; i < noise.data.length; i += 4) noise.data[i] = 255;
    canvas.getContext("2d").putImageData(noise, 0, 0);
    const data = new DataTransfer();
    data.items.add(new File([await new Promise((resolve) => canvas.toBlob(resolve))], "large.png", { type: "image/png" }));
    return data;
  });
  await page.dispatchEvent("#composer", "drop", { dataTransfer: large });
  await notes.filter({ hasText: "large.png was too large. A copy of 2000 × 2000 pixels is used." }).waitFor();
  await page.getByRole("button", { name: "Do not start from drawing.gif" }).click();
  await submitPrompt(page, "Less noise");
  await finished(page, "Less noise");

  const svg = Buffer.from("<html>no picture</html>");
  await page.locator("#file").setInputFiles({ name: "page.html", mimeType: "text/html", buffer: svg });
  await page.locator("#upload-fault", { hasText: /^page\.html: \S.*\./ }).waitFor();
});
