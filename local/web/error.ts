// What a refusal looks like: ours is a Problem, the gateway's own is {"message"}.
import type { components } from "./generated/openapi.js";

type Schemas = components["schemas"];
type Problem = Schemas["Problem"];
type GatewayMessage = Schemas["GatewayMessage"];

/** A refusal. `message` and `hint` are for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    /** A Problem's code; "gateway" where it was not our functions that answered. */
    readonly code: Schemas["ProblemCode"] | "gateway",
    message: string,
    readonly hint = "",
    /** The fields at fault. */
    readonly fields: Schemas["ProblemField"][] = [],
    readonly requestId = "",
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** It passes by itself: the same call, with the same Idempotency-Key, is worth repeating.
   *  A 429 of ours is the day's quota, which does not. */
  get passes(): boolean {
    return this.status >= 500 || (this.status === 429 && this.code !== "quota_exceeded");
  }
}

/** Reads a refusal, whoever it is from. */
export async function refusal(answer: Response): Promise<ApiError> {
  let said: unknown;
  try {
    said = await answer.json();
  } catch {
    said = undefined; // a proxy's page, or half an answer
  }
  if (isProblem(said)) {
    return new ApiError(answer.status, said.code, said.title, said.hint, said.errors, said.requestId);
  }
  return new ApiError(answer.status, "gateway", isMessage(said) ? said.message : `The server answered ${answer.status}.`);
}

function isProblem(said: unknown): said is Problem {
  return typeof said === "object" && said !== null && "code" in said && "title" in said;
}

function isMessage(said: unknown): said is GatewayMessage {
  return typeof said === "object" && said !== null && "message" in said && typeof said.message === "string";
}
