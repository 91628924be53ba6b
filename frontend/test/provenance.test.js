// What a picture's file and thumbnail state about how it was made, read with exiftool
// (Debian: libimage-exiftool-perl), from a run of bin/local.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { ImagesClient } from "../client/dist/index.js";
import { launch } from "./chromium.js";
import { startLocal } from "./local.js";

const iptc = "http://cv.iptc.org/newscodes/digitalsourcetype/";
let local, folder, images;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "nanobanana-provenance-"));
  local = await startLocal({ SWEEP_EVERY: "100ms", POLL_EVERY: "100ms" });
  images = new ImagesClient({ url: local.base, token: await local.tokenOf("ada") });
});

after(async () => {
  await local?.stop();
  await rm(folder, { recursive: true });
});

/** The finished task of an order. */
async function made(request) {
  const { id } = await images.create({ prompt: "A lighthouse", ...request });
  const done = await images.wait(id);
  assert.equal(done.status, "succeeded");
  return done;
}

/** Uploads a PNG, and returns its entry for imageUrls. */
const uploaded = async (png) => (await images.upload(new Blob([png]))).entry;

const bytesOf = async (url) => Buffer.from(await (await fetch(url)).arrayBuffer());

/** The values of exiftool's tags in a picture. */
async function tags(url, ...names) {
  const file = join(folder, "picture");
  await writeFile(file, await bytesOf(url));
  const { stdout } = await promisify(execFile)("exiftool", ["-a", "-n", "-s3", ...names.map((name) => `-${name}`), file]);
  return stdout.split("\n").filter(Boolean);
}

async function checkImage(task, made, c2pa) {
  const [image] = task.images;
  assert.deepEqual(image.provenance, { c2pa, digitalSourceType: iptc + made });
  assert.deepEqual(await tags(image.thumbnailUrl, "XMP-iptcExt:DigitalSourceType"), [iptc + made]);
  assert.deepEqual(await tags(image.thumbnailUrl, "Error", "Warning"), []);
  assert.deepEqual(await tags(image.url, "XMP:all"), [], "the picture itself is as it came");
  assert.equal((await tags(image.url, "JUMDLabel")).includes("c2pa"), c2pa === "present");
}

test("a thumbnail states how its picture was made, and the task whether the picture has a manifest", async () => {
  const words = await made({}); // a PNG
  await checkImage(words, "trainedAlgorithmicMedia", "absent");
  await checkImage(await made({ model: "nano-banana-2" }), "trainedAlgorithmicMedia", "absent"); // a JPEG
  await checkImage(await made({ imageUrls: [`task:${words.id}/1`] }), "trainedAlgorithmicMedia", "absent");
  await local.simulate({ manifest: true });
  try {
    const edit = await made({ imageUrls: [await uploaded(await bytesOf(words.images[0].url))] });
    await checkImage(edit, "compositeWithTrainedAlgorithmicMedia", "present");
    await checkImage(await made({ imageUrls: [edit.images[0].url], model: "nano-banana-2" }), "compositeWithTrainedAlgorithmicMedia", "present");
  } finally {
    await local.simulate();
  }
});

test("Chromium draws a picture of one pixel with such a mark", async () => {
  const { images } = await made({});
  const thumbnail = await bytesOf(images[0].thumbnailUrl);
  assert.deepEqual([...thumbnail.subarray(2, 4)], [0xff, 0xe1]);
  const mark = [...thumbnail.subarray(2, 4 + thumbnail.readUInt16BE(4))];
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const drawn = await page.evaluate(async (mark) => {
      const canvas = new OffscreenCanvas(1, 1);
      canvas.getContext("2d").fillRect(0, 0, 1, 1);
      const pixel = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg" })).arrayBuffer());
      const picture = new Blob([pixel.slice(0, 2), new Uint8Array(mark), pixel.slice(2)], { type: "image/jpeg" });
      const { width, height } = await createImageBitmap(picture);
      return { width, height };
    }, mark);
    assert.deepEqual(drawn, { width: 1, height: 1 });
  } finally {
    await browser.close();
  }
});
