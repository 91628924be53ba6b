// Pictures in the browser: what a file is, and a smaller or more usual one made from it.

/** How files begin that people take for pictures, and their types. */
const kinds: [RegExp, string][] = [
  [/^\x89PNG\r\n\x1a\n/, "image/png"],
  [/^\xff\xd8\xff/, "image/jpeg"],
  [/^RIFF....WEBP/s, "image/webp"],
  [/^GIF8[79]a/, "image/gif"],
  [/^BM....\0\0\0\0/s, "image/bmp"],
  [/^....ftypavi[fs]/s, "image/avif"],
  [/^....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)/s, "image/heic"],
  [/^(II\*\0|MM\0\*)/, "image/tiff"],
  [/^%PDF-/, "application/pdf"],
];

/** The type that a file's bytes show, or else the one that it is announced as: a system that
 *  does not know HEIC announces nothing. */
export async function typeOf(file: Blob): Promise<string> {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  return kinds.find(([begins]) => begins.test(start))?.[1] ?? file.type;
}

/** The longest side of a picture that is made here, in pixels. Its square is the largest
 *  canvas that every browser has. */
const longestSide = 4096;

type Canvas = OffscreenCanvas | HTMLCanvasElement;
interface Drawable { source: CanvasImageSource; width: number; height: number; close(): void }

/** The picture as a JPEG, or where it is transparent as a PNG or WebP, upright, with at most
 *  `maxBytes`; of an animation its first picture. Undefined if this browser, or a program
 *  without canvas, cannot do it. */
export async function redrawn(file: Blob, maxBytes: number): Promise<Blob | undefined> {
  const picture = await decoded(file);
  if (!picture) return undefined;
  try {
    for (let side = longestSide; side >= 256; side = Math.round(side * 0.7)) {
      const canvas = drawn(picture, side);
      if (!canvas) return undefined;
      const { visible, opaque } = opacity(canvas);
      if (!visible) return undefined; // too large for this device, which then draws nothing
      for (const type of opaque ? ["image/jpeg"] : ["image/png", "image/webp"]) {
        const blob = await encoded(canvas, type);
        if (blob?.type === type && blob.size <= maxBytes) return blob; // a browser without an encoder for it makes a PNG
      }
    }
    return undefined;
  } finally {
    picture.close();
  }
}

/** Decodes a picture, turned as its EXIF says. */
async function decoded(file: Blob): Promise<Drawable | undefined> {
  if (typeof createImageBitmap === "function") {
    try {
      const source = await createImageBitmap(file);
      return { source, width: source.width, height: source.height, close: () => source.close() };
    } catch { /* <img> may know more kinds, such as SVG, and HEIC in Safari */ }
  }
  if (typeof document === "undefined") return undefined;
  const url = URL.createObjectURL(file);
  try {
    const source = new Image();
    source.src = url;
    await source.decode();
    const { naturalWidth: width, naturalHeight: height } = source;
    return width > 0 && height > 0 ? { source, width, height, close() {} } : undefined;
  } catch {
    return undefined;
  } finally {
    URL.revokeObjectURL(url);
  }
}

function drawn({ source, width, height }: Drawable, side: number): Canvas | undefined {
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = newCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  const context = canvas && contextOf(canvas);
  if (!context) return undefined;
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function newCanvas(width: number, height: number): Canvas | undefined {
  if (typeof OffscreenCanvas === "function") return new OffscreenCanvas(width, height);
  return typeof document === "undefined" ? undefined : Object.assign(document.createElement("canvas"), { width, height });
}

const contextOf = (canvas: Canvas) => canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null;

/** Whether anything of a picture is visible, and all of it opaque. */
function opacity(canvas: Canvas): { visible: boolean; opaque: boolean } {
  const rows = 256; // at a time, which takes 4 MB
  let least = 255, most = 0;
  for (let y = 0; y < canvas.height && (least === 255 || most === 0); y += rows) {
    const { data } = contextOf(canvas)!.getImageData(0, y, canvas.width, Math.min(rows, canvas.height - y));
    for (let i = 3; i < data.length; i += 4) {
      least = Math.min(least, data[i]!);
      most = Math.max(most, data[i]!);
    }
  }
  return { visible: most > 0, opaque: least === 255 };
}

async function encoded(canvas: Canvas, type: string): Promise<Blob | null> {
  if ("convertToBlob" in canvas) return canvas.convertToBlob({ type, quality: 0.92 });
  return new Promise((resolve) => canvas.toBlob(resolve, type, 0.92));
}
