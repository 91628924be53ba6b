// Why a request failed, in sentences for people: the functions send a Problem, the gateway
// {"message"}, a proxy its own page, and a broken connection nothing.
import type { components } from "./openapi.js";

type Schemas = components["schemas"];

/** The Problem's code, or where no Problem came:
 *  - `gateway`: the gateway or a proxy answered instead of the functions
 *  - `no_connection`, `timeout`: no answer came
 *  - `unreadable`: the answer is not what the API sends
 *  - `no_token`: the `token` function failed
 *  - `unusable_picture`, `upload_failed`: the file of `upload` */
export type ErrorCode = Schemas["ProblemCode"]
  | "gateway" | "no_connection" | "timeout" | "unreadable" | "no_token" | "unusable_picture" | "upload_failed";

/** One fault of a request, with its place: a form shows `message` next to that field. */
export type ProblemField = Schemas["ProblemField"];

interface Details {
  /** The HTTP status; 0 if no answer came. */
  status: number;
  code: ErrorCode;
  hint?: string;
  fields?: ProblemField[];
  requestId?: string;
  retryAfter?: number;
  cause?: unknown;
}

/** A request that failed. `message` and `hint` are sentences for people: show both. */
export class ImagesError extends Error {
  /** The HTTP status; 0 if no answer came. */
  readonly status: number;
  /** A word for programs. */
  readonly code: ErrorCode;
  /** What to do now. */
  readonly hint: string;
  /** The faults of the request, each with its place. */
  readonly fields: ProblemField[];
  /** For a report to whoever runs the API; empty if the functions did not answer. */
  readonly requestId: string;
  /** Seconds to wait before the same request can succeed, if the answer says so. */
  readonly retryAfter?: number;

  constructor(message: string, { status, code, hint = "", fields = [], requestId = "", retryAfter, cause }: Details) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ImagesError";
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.fields = fields;
    this.requestId = requestId;
    if (retryAfter !== undefined) this.retryAfter = retryAfter;
  }

  /** Whether the same request, with the same key, may succeed later. A 429 for the day's
   *  quota is not temporary, nor is a file that cannot be used. */
  get temporary(): boolean {
    if (this.code === "unusable_picture") return false;
    return this.status === 0 || this.status >= 500 || this.code === "unreadable" || (this.status === 429 && this.code !== "quota_exceeded");
  }
}

const again = "Try again in a few seconds. Nothing is charged twice.";

/** The error of an answer that is neither 2xx nor 304. */
export function refusal(status: number, headers: Headers, text: string): ImagesError {
  const retryAfter = retrySeconds(headers);
  const requestId = headers.get("X-Request-Id") ?? "";
  const body = parsed(text);
  if (isProblem(body)) {
    return new ImagesError(body.detail, { status, code: body.code, hint: body.hint, fields: body.errors, requestId: body.requestId || requestId, retryAfter });
  }
  const [message, hint] = byStatus(status);
  return new ImagesError(message, { status, code: "gateway", hint, requestId, retryAfter, cause: text.slice(0, 500) || undefined });
}

/** What the gateway's or a proxy's own answer means to people. */
function byStatus(status: number): [message: string, hint: string] {
  switch (status) {
    case 401: return ["Please sign in.", "Your session may have ended. Sign in and try again."];
    case 403: return ["This is not allowed from here.", "A network or firewall on the way may refuse it. Try another network."];
    case 404: return ["The image service has no such address.", "Tell whoever runs this site: the service's address may be set wrong."];
    case 408: case 504: return ["The image service took too long to answer.", again];
    case 413: return ["This request is too large.", "Use a shorter description or fewer pictures."];
    case 429: return ["There are too many requests at this moment.", again];
  }
  return status >= 500 ? ["The image service does not answer at this moment.", again]
    : [`The image service refused this with status ${status}.`, "Tell whoever runs this site."];
}

/** The error of a request to which no answer came. */
export function unanswered(cause: unknown, timedOut: boolean): ImagesError {
  return timedOut
    ? new ImagesError("The image service took too long to answer.", { status: 0, code: "timeout", hint: again, cause })
    : new ImagesError("The image service cannot be reached.", { status: 0, code: "no_connection", hint: "Check your internet connection and try again. Nothing is charged twice.", cause });
}

/** The error of a 2xx answer that is not what the API sends: cut, or a page of a proxy. */
export function unreadable(status: number, headers: Headers, cause: unknown): ImagesError {
  return new ImagesError("The answer of the image service could not be read.", { status, code: "unreadable", hint: again, requestId: headers.get("X-Request-Id") ?? "", cause });
}

/** The seconds of Retry-After, which may be a number or a date. */
export function retrySeconds(headers: Headers): number | undefined {
  const header = headers.get("Retry-After")?.trim();
  if (!header) return undefined;
  if (/^\d+$/.test(header)) return Number(header);
  const at = Date.parse(header);
  // The server's clock, where it is sent, since ours may be wrong.
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - (Date.parse(headers.get("Date") ?? "") || Date.now())) / 1000));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isProblem(body: unknown): body is Schemas["Problem"] {
  return typeof body === "object" && body !== null && "code" in body && typeof body.code === "string" && "detail" in body && typeof body.detail === "string";
}
