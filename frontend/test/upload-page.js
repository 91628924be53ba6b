// Runs in Chromium, for client-upload.test.js: makes files as users have them, uploads them, and
// says what was sent. It runs in a page and in a worker alike.
import { ImagesClient, ImagesError } from "/dist/index.js";

const MB = 1 << 20;

/** A canvas with noise, which hardly any format makes small, and a red corner at the top left. */
function noise(width, height, alpha = 255) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const part = new ImageData(width, Math.min(height, 256));
  for (let y = 0; y < height; y += part.height) {
    for (let i = 0; i < part.data.length; i += 65536) crypto.getRandomValues(part.data.subarray(i, i + 65536));
    for (let i = 3; i < part.data.length; i += 4) part.data[i] = alpha;
    context.putImageData(part, 0, y);
  }
  context.fillStyle = "#ff0000";
  context.fillRect(0, 0, width / 4, height / 4);
  return canvas;
}

const parts = (...list) => new Blob(list.map((part) => typeof part === "string" ? Uint8Array.from(part, (c) => c.charCodeAt(0)) : part));
const words = (...numbers) => numbers.map((n) => String.fromCharCode(n & 255, (n >> 8) & 255, (n >> 16) & 255, n >>> 24)).join("");

/** A JPEG whose EXIF says that its top is at the right: it is to be turned by a quarter. */
async function turned(width, height) {
  const jpeg = await noise(width, height).convertToBlob({ type: "image/jpeg", quality: 1 });
  const tiff = "II*\0" + words(8) + "\x01\0" + "\x12\x01\x03\0" + words(1, 6) + words(0);
  const exif = "Exif\0\0" + tiff, length = exif.length + 2;
  return parts(jpeg.slice(0, 2), `\xff\xe1${String.fromCharCode(length >> 8, length & 255)}`, exif, jpeg.slice(2));
}

function bmp(width, height) {
  const row = Math.ceil(width * 3 / 4) * 4;
  const pixels = new Uint8Array(row * height);
  for (let y = Math.ceil(height * 3 / 4); y < height; y++) for (let x = 0; x < width / 4; x++) pixels[y * row + x * 3 + 2] = 255; // from below, BGR
  return parts("BM" + words(54 + pixels.length, 0, 54, 40, width, height, 0x180001, 0, pixels.length, 2835, 2835, 0, 0), pixels);
}

const base64 = (text, type) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], { type });

const files = {
  "a PNG of 50 megapixels": async () => {
    const canvas = new OffscreenCanvas(10_000, 5000), context = canvas.getContext("2d");
    context.fillStyle = "#0000ff";
    context.fillRect(0, 0, 10_000, 5000);
    context.fillStyle = "#ff0000";
    context.fillRect(0, 0, 2500, 1250);
    return canvas.convertToBlob();
  },
  "a photograph of more than 12 MB that its EXIF turns": () => turned(4000, 3000),
  "a small photograph that its EXIF turns": () => turned(40, 30),
  "a transparent PNG of more than 10 MB": () => noise(2400, 1800, 128).convertToBlob(),
  "a transparent GIF": async () => base64("R0lGODlhCAAEAIAAAExpcf8AACH5BAUAAAAALAAAAAAIAAQAAAIIjAMJh8q6DiwAOw==", "image/gif"),
  "a BMP": async () => bmp(40, 20),
  "an AVIF without a type": async () => base64("AAAAHGZ0eXBhdmlmAAAAAG1pZjFhdmlmbWlhZgAAANZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAAA+gABAAAAAAAAACQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABhdjAxAAAAAA5waXRtAAAAAAABAAAAVmlwcnAAAAA4aXBjbwAAAAxhdjFDgSACAAAAABRpc3BlAAAAAAAAAAQAAAAGAAAAEHBpeGkAAAAAAwgICAAAABZpcG1hAAAAAAAAAAEAAQOBAgMAAAAsbWRhdBIACgg4BLrSAhoNIDIWHEJi5OmmmmFjYACQNY48fuR6quMHoA==", ""),
  "an SVG": async () => new Blob(['<svg xmlns="http://www.w3.org/2000/svg" width="64" height="32"><rect width="64" height="32" fill="#00f"/><rect width="16" height="8" fill="#f00"/></svg>'], { type: "image/svg+xml" }),
  "a PNG that is announced as text": async () => new Blob([await noise(20, 10).convertToBlob()], { type: "text/plain" }),
  "an animated WebP": async () => base64("UklGRoQAAABXRUJQVlA4WAoAAAACAAAABwAAAwAAQU5JTQYAAAD/////AABBTk1GKAAAAAAAAAAAAAcAAAMAAGQAAAJWUDhMDwAAAC8HwAAABxD9j/4HIqL/AQBBTk1GKAAAAAAAAAAAAAcAAAMAAGQAAABWUDhMDwAAAC8HwAAABxDR//4HIqL/AQA=", "image/webp"),

  "an SVG of which nothing is visible": async () => new Blob(['<svg xmlns="http://www.w3.org/2000/svg" width="64" height="32"></svg>'], { type: "image/svg+xml" }),
  "an HEIC without a type": async () => parts("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "x".repeat(5000)),
  "a TIFF": async () => parts("II*\0", "x".repeat(5000)),
  "an empty file": async () => new Blob([], { type: "text/plain" }),
  "a text file": async () => new Blob(["Dear Ada,"], { type: "text/plain" }),
  "a text file that is called a PNG": async () => new Blob(["Dear Ada,"], { type: "image/png" }),
  "a video of 60 MB": async () => new Blob([new Uint8Array(60 * MB)], { type: "video/mp4" }),
  "the first half of a JPEG": async () => (await noise(400, 300).convertToBlob({ type: "image/jpeg" })).slice(0, 9000),
  "nothing of 11 MB that is called a JPEG": async () => new Blob([new Uint8Array(11 * MB)], { type: "image/jpeg" }),
};

/** What a picture looks like to whoever opens it. */
async function seen(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const at = (x, y) => [...context.getImageData(Math.floor(bitmap.width * x), Math.floor(bitmap.height * y), 1, 1).data];
  return { width: bitmap.width, height: bitmap.height, topLeft: at(0.1, 0.1), topRight: at(0.9, 0.1), middle: at(0.5, 0.5) };
}

/** Uploads one of the files. */
export async function upload(url, token, name) {
  const file = await files[name]();
  let opened = 0; // how often the browser is asked to decode it
  const decode = globalThis.createImageBitmap;
  globalThis.createImageBitmap = (...args) => { opened++; return decode(...args); };
  const before = file.size;
  const images = new ImagesClient({ url, token });
  try {
    const { id, entry, picture } = await images.upload(file);
    const quote = await images.quote({ prompt: "Paint it blue", imageUrls: [entry] });
    return { id, entry, before, type: picture.type, bytes: picture.size, problems: quote.problems, ...await seen(picture) };
  } catch (error) {
    if (!(error instanceof ImagesError)) throw error;
    const { code, message, hint, status, temporary } = error;
    return { refused: { code, message, hint, status, temporary }, opened };
  } finally {
    globalThis.createImageBitmap = decode;
  }
}

if (typeof document === "undefined") onmessage = async ({ data }) => postMessage(await upload(...data).catch((error) => ({ failed: String(error) })));
else Object.assign(window, { upload });
