// One request to the API: the token, the time limit, and repetitions while they can help.
import { ImagesError, refusal, unanswered, unreadable } from "./error.js";

export interface ClientOptions {
  /** The API's address, such as https://api.example.com. */
  url: string;
  /** The session's token, or a function that returns it. The function is called before each
   *  request, since Supabase renews the token:
   *  `async () => (await supabase.auth.getSession()).data.session?.access_token ?? ""` */
  token: string | (() => string | Promise<string>);
  /** The user's id, on a server whose `token` is a service token. Never in a browser. */
  onBehalfOf?: string;
  /** How often a request is sent while its outcome is unclear or the service is busy; 5. A
   *  wait gives up after four times as many failures in a row. */
  tries?: number;
  /** Replaces the global fetch. */
  fetch?: typeof globalThis.fetch;
}

export interface Call {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  /** Sends no token. */
  open?: boolean;
  signal?: AbortSignal;
}

export interface Answer<T> {
  status: number;
  headers: Headers;
  /** Undefined for 204 and 304. */
  body: T;
}

/** Longer than the gateway's 30 s: no answer comes after that. */
const timeout = 40;

/** The longest pause, in seconds, before a repetition. Who is asked to wait longer gets the
 *  error, with `retryAfter`. */
const longestPause = 60;

export class Requests {
  readonly #options: ClientOptions;
  readonly #url: string;
  readonly tries: number;

  constructor(options: ClientOptions) {
    if (typeof options.url !== "string") throw new TypeError("ImagesClient needs url, the API's address, such as https://api.example.com.");
    this.#options = options;
    this.#url = options.url.replace(/\/+$/, "");
    this.tries = options.tries ?? 5;
  }

  /** Sends a request, and repeats it while that can help. Every route allows that: an order
   *  has its key. */
  async call<T>(path: string, { body, ...call }: Call = {}): Promise<Answer<T>> {
    const json = body === undefined ? undefined : JSON.stringify(body); // as it is now, for all repetitions
    return this.repeat(() => this.once<T>(path, call, json), call.signal);
  }

  /** Calls send until it succeeds, fails for good, or has failed `tries` times. */
  async repeat<T>(send: (attempt: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send(attempt);
      } catch (error) {
        if (!(error instanceof ImagesError) || !error.temporary || attempt >= this.tries) throw error;
        await pause(beforeNext(error, attempt), signal);
      }
    }
  }

  /** Sends it once; again if the token was renewed meanwhile. */
  async once<T>(path: string, call: Omit<Call, "body">, json?: string): Promise<Answer<T>> {
    const token = call.open ? "" : await this.#token(call.signal);
    try {
      return await this.#send<T>(path, call, token, json);
    } catch (error) {
      if (!(error instanceof ImagesError) || error.status !== 401) throw error;
      const renewed = await this.#token(call.signal);
      if (!renewed || renewed === token) throw error;
      return this.#send<T>(path, call, renewed, json);
    }
  }

  async #send<T>(path: string, { method = "GET", headers: more, signal }: Call, token: string, json?: string): Promise<Answer<T>> {
    const headers = new Headers(more);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    if (token && this.#options.onBehalfOf) headers.set("On-Behalf-Of", this.#options.onBehalfOf);
    if (json !== undefined) headers.set("Content-Type", "application/json");
    const { status, headers: got, text } = await this.exchange(this.#url + path, { method, headers, body: json }, timeout, signal);
    if (status === 204 || status === 304) return { status, headers: got, body: undefined as T };
    if (status < 200 || status > 299) throw refusal(status, got, text);
    return { status, headers: got, body: decoded<T>(status, got, text) };
  }

  /** Fetches a whole answer, within so many seconds. */
  async exchange(url: string, init: RequestInit, seconds: number, signal?: AbortSignal): Promise<{ status: number; headers: Headers; text: string }> {
    signal?.throwIfAborted();
    const stop = new AbortController();
    const abort = () => stop.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    let timedOut = false;
    const timer = setTimeout(() => { timedOut = true; stop.abort(); }, seconds * 1000);
    try {
      const answer = await (this.#options.fetch ?? globalThis.fetch)(url, { ...init, signal: stop.signal });
      return { status: answer.status, headers: answer.headers, text: await answer.text() };
    } catch (error) {
      signal?.throwIfAborted();
      throw unanswered(error, timedOut);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  async #token(signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted();
    const { token } = this.#options;
    if (typeof token !== "function") return token;
    try {
      return await orAborted(Promise.resolve(token()), signal);
    } catch (cause) {
      signal?.throwIfAborted();
      throw new ImagesError("Your sign-in could not be checked.", { status: 0, code: "no_token", hint: "Check your internet connection, or sign in again.", cause });
    }
  }
}

/** The body, if it is what every answer of the API is: a JSON object or array. */
function decoded<T>(status: number, headers: Headers, text: string): T {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw unreadable(status, headers, error);
  }
  if (typeof body !== "object" || body === null) throw unreadable(status, headers, text.slice(0, 500));
  return body as T;
}

/** Seconds before the next attempt: what the answer asks for, or half a second, then ever
 *  longer, and not all clients at once. It throws the error if that is too long to wait. */
export function beforeNext(error: ImagesError, attempt: number): number {
  if (error.retryAfter === undefined) return Math.min(2 ** attempt / 4, 8) * (0.75 + Math.random() / 2);
  if (error.retryAfter > longestPause) throw error;
  return error.retryAfter;
}

/** Waits, and rejects with the signal's reason as soon as it is aborted. */
export async function pause(seconds: number, signal?: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await orAborted(new Promise<void>((resolve) => { timer = setTimeout(resolve, seconds * 1000); }), signal);
  } finally {
    clearTimeout(timer);
  }
}

/** The promise, or the signal's reason as soon as it is aborted. */
async function orAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
