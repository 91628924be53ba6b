// Makes a picture fit for upload in the browser: smaller if it is too large, another format if
// the service does not take its own.

const types = ["image/png", "image/jpeg", "image/webp"];
const maxBytes = 10 << 20, maxPixels = 40e6; // of an upload
const longest = 4096; // of a copy that is made smaller

/**
 * Prepares a file, which people know by name. It resolves to {file, thumb?, note?}: note says what was changed, thumb is a
 * small JPEG in base64. A file that the browser cannot decode stays as it is: the server names
 * what is wrong with it.
 */
export async function prepare(file, name) {
  if (file.type && !file.type.startsWith("image/")) return { file }; // a film of some gigabytes, say
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // upright, by the file's orientation
  } catch {
    return { file };
  }
  try {
    const thumb = draw(bitmap, 96, "#fff").toDataURL("image/jpeg", 0.8).split(",")[1];
    const large = file.size > maxBytes || bitmap.width * bitmap.height > maxPixels;
    if (!large && types.includes(file.type)) return { file, thumb };
    const copy = await smaller(bitmap, file.type);
    const size = `${copy.width} × ${copy.height} pixels`;
    const note = large ? `${name} was too large. A copy of ${size} is used.` : `${name} was converted to ${kind(copy.blob)}.`;
    return { file: new File([copy.blob], file.name, { type: copy.blob.type }), thumb, note };
  } finally {
    bitmap.close();
  }
}

const kind = (blob) => blob.type.replace("image/", "").toUpperCase();

/** A copy within the limits. It keeps transparency where the original may have some. */
async function smaller(bitmap, type) {
  const opaque = /^image\/(jpeg|hei[cf]|bmp)$/.test(type);
  for (let side = Math.min(longest, Math.max(bitmap.width, bitmap.height)); ; side = Math.round(side * 0.7)) {
    const canvas = draw(bitmap, side);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, opaque ? "image/jpeg" : "image/webp", 0.92));
    if (blob.size <= maxBytes) return { blob, width: canvas.width, height: canvas.height };
  }
}

/** A canvas with the picture, no longer than side. */
function draw(bitmap, side, ground = "") {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  if (ground) {
    context.fillStyle = ground;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}
