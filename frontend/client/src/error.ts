// Refusals: the functions send a Problem, the gateway itself {"message"}.
import type { components } from "./openapi.js";

type Schemas = components["schemas"];
type Problem = Schemas["Problem"];
type GatewayMessage = Schemas["GatewayMessage"];

/** A refused request. `message` and `hint` are for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** The Problem's code, or "gateway" if the functions did not answer. */
    readonly code: Schemas["ProblemCode"] | "gateway",
    message: string,
    readonly hint = "",
    /** The invalid fields. */
    readonly fields: Schemas["ProblemField"][] = [],
    readonly requestId = "",
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Whether it is worth repeating the same request with the same Idempotency-Key. A 429
   *  for the day's quota is not temporary. */
  get temporary(): boolean {
    return this.status >= 500 || (this.status === 429 && this.code !== "quota_exceeded");
  }
}

/** Reads a refusal, from the functions or the gateway. */
export async function refusal(answer: Response): Promise<ApiError> {
  let body: unknown;
  try {
    body = await answer.json();
  } catch {
    body = undefined; // a proxy's page, or part of an answer
  }
  if (isProblem(body)) {
    return new ApiError(answer.status, body.code, body.detail, body.hint, body.errors, body.requestId);
  }
  return new ApiError(answer.status, "gateway", isMessage(body) ? body.message : `The server answered ${answer.status}.`);
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "code" in body && "detail" in body;
}

function isMessage(body: unknown): body is GatewayMessage {
  return typeof body === "object" && body !== null && "message" in body && typeof body.message === "string";
}
