// A picture of the user's own: made fit, put into its place, and checked.
import { ImagesError } from "./error.js";
import { redrawn, typeOf } from "./picture.js";
import type { Requests } from "./request.js";
import type { NewTask, Quote, Upload } from "./types.js";

export interface Uploaded {
  id: string;
  /** What to put into `imageUrls`. */
  entry: `upload:${string}`;
  /** The picture as it was sent, to show it: browsers cannot draw every file that they get. */
  picture: Blob;
}

/** What the API takes; it names every other kind of file. */
const takenTypes = ["image/png", "image/jpeg", "image/webp"];
const takenBytes = 10 << 20;

/** Faults that a picture does not have any more once it is drawn anew. */
const curable = ["too_many_pixels", "unusual_jpeg", "animated"];

/** Seconds for 10 MiB over a slow connection. The place is open for 15 minutes. */
const putTimeout = 600;

export async function upload(requests: Requests, file: Blob, signal?: AbortSignal): Promise<Uploaded> {
  signal?.throwIfAborted();
  const picture = await fit(file);
  signal?.throwIfAborted();
  try {
    return await send(requests, picture, signal);
  } catch (error) {
    // The API knows which pictures it cannot use. It does not take such a one twice.
    if (!(error instanceof ImagesError) || !error.fields.some(({ code }) => curable.includes(code))) throw error;
    const anew = await redrawn(picture, takenBytes);
    signal?.throwIfAborted();
    if (!anew) throw error;
    return send(requests, anew, signal);
  }
}

/** The file in memory if the API takes it, or else what the browser can make of it. */
async function fit(file: Blob): Promise<Blob> {
  try {
    const type = await typeOf(file);
    if (takenTypes.includes(type) && file.size <= takenBytes) return new Blob([await file.arrayBuffer()], { type });
    const drawable = type === "" || type.startsWith("image/"); // and no video of a gigabyte
    return (drawable && file.size > 0 && await redrawn(file, takenBytes)) || file.slice(0, file.size, type);
  } catch (cause) {
    throw new ImagesError("This file cannot be read.", { status: 0, code: "unusable_picture", hint: "It may have been moved or changed. Choose it again.", cause });
  }
}

async function send(requests: Requests, picture: Blob, signal?: AbortSignal): Promise<Uploaded> {
  const place = await announced(requests, picture, signal);
  await requests.repeat((attempt) => put(requests, place, picture, attempt, signal), signal);
  const entry: Uploaded["entry"] = `upload:${place.id}`;
  const body: NewTask = { prompt: "a prompt that comes later", imageUrls: [entry] };
  const { body: quote } = await requests.call<Quote>("/v1/quotes", { method: "POST", body, signal });
  for (const { status, errors, requestId } of quote.problems) {
    const fault = errors?.find(({ pointer }) => pointer.startsWith("/imageUrls"));
    if (fault) throw new ImagesError(fault.message, { status, code: "unusable_picture", fields: [fault], requestId });
  }
  return { id: place.id, entry, picture };
}

async function announced(requests: Requests, picture: Blob, signal?: AbortSignal): Promise<Upload> {
  // The kind comes first among the faults, but of an empty file it does not matter.
  const contentType = picture.size === 0 ? "image/png" : picture.type || "application/octet-stream";
  try {
    return (await requests.call<Upload>("/v1/uploads", { method: "POST", body: { contentType, bytes: picture.size }, signal })).body;
  } catch (error) {
    if (!(error instanceof ImagesError) || error.status !== 422) throw error;
    const { message, status, fields, requestId } = error;
    throw new ImagesError(fields[0]?.message ?? message, { status, code: "unusable_picture", fields, requestId, cause: error });
  }
}

async function put(requests: Requests, { uploadUrl, headers }: Upload, picture: Blob, attempt: number, signal?: AbortSignal): Promise<void> {
  let status: number, text: string;
  try {
    ({ status, text } = await requests.exchange(uploadUrl, { method: "PUT", headers, body: picture }, putTimeout, signal));
  } catch (error) {
    if (!(error instanceof ImagesError)) throw error;
    throw new ImagesError("The connection broke during the upload.", { status: 0, code: error.code, hint: "Check your internet connection and try again.", cause: error.cause });
  }
  if (status >= 200 && status <= 299) return;
  if (status === 412 && attempt > 1) return; // an earlier attempt has arrived, but its answer has not
  throw new ImagesError("The picture could not be uploaded.", { status, code: "upload_failed", hint: "Try again. If that does not help, choose another picture.", cause: text.slice(0, 500) });
}
