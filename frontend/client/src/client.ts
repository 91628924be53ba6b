// An example client for Preset's frontend. Its types are generated from openapi.yaml, so
// it compiles only if what it sends and reads matches the contract.
import type { components } from "./openapi.js";
import { ApiError, refusal } from "./error.js";

type Schemas = components["schemas"];
export type Task = Schemas["Task"];
export type Model = Schemas["Model"];
export type NewTask = Schemas["NewTask"];
export type Target = Schemas["Target"];
export type Quote = Schemas["Quote"];
type Listed = Schemas["TaskList"];

export interface Options {
  /** The API's address, without a slash at the end. */
  base: string;
  /** Returns the session's token. It is called before each request, since Supabase renews
   *  the token:
   *  `async () => (await supabase.auth.getSession()).data.session?.access_token ?? ""` */
  token: () => Promise<string>;
  /** How often a request is sent while its outcome is unclear or the service is down. */
  tries?: number;
}

export class Client {
  readonly #options: Required<Options>;

  constructor(options: Options) {
    this.#options = { tries: 5, ...options };
  }

  /** Requests pictures. Make one key per click with `crypto.randomUUID()`, and repeat a
   *  request with the same key: then it is carried out and charged once. */
  async submit(request: NewTask, key: string, signal?: AbortSignal): Promise<{ task: Task; replayed: boolean }> {
    const answer = await this.#call("/v1/tasks", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(request),
      signal,
    });
    const task = await body<Task>(answer);
    return { task, replayed: answer.headers.get("Idempotency-Replayed") === "true" };
  }

  /** What a request would cost, and all that speaks against it. Nothing is ordered. With the
   *  key of an earlier request it names that request's task. */
  async quote(request: NewTask, key?: string, signal?: AbortSignal): Promise<Quote> {
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (key) headers["Idempotency-Key"] = key;
    return body<Quote>(await this.#call("/v1/quotes", { method: "POST", headers, body: JSON.stringify(request), signal }));
  }

  /** Follows a task until it has ended. `onChange` is called at once and with each change. */
  async wait(id: string, onChange?: (task: Task) => void, signal?: AbortSignal): Promise<Task> {
    let etag = "";
    for (;;) {
      const started = Date.now();
      const headers: Record<string, string> = etag ? { "If-None-Match": etag } : {};
      // The first request does not wait, so that there is something to show.
      const answer = await this.#call(`/v1/tasks/${id}${etag ? "?wait=20" : ""}`, { headers, signal });
      const unchanged = answer.status === 304;
      if (!unchanged) {
        const task = await body<Task>(answer);
        onChange?.(task);
        if (task.done) return task;
      }
      // WAIT_MAX or a proxy may shorten the wait; then pause here.
      if (etag && unchanged && Date.now() - started < 2000) await pause(seconds(answer) ?? 3, signal);
      etag = answer.headers.get("ETag") ?? "";
    }
  }

  /** The user's own tasks, newest first: those of a moodboard or Showcase, or without a
   *  target all of them; with `since` only those created then or later. */
  async *list(target?: Target, { since, signal }: { since?: Date; signal?: AbortSignal } = {}): AsyncGenerator<Task> {
    let cursor: string | undefined;
    do {
      const query = new URLSearchParams({ limit: "100" });
      if (target) query.set("target", `${target.kind}:${target.id}`);
      if (since) query.set("since", since.toISOString());
      if (cursor) query.set("cursor", cursor);
      const page = await body<Listed>(await this.#call(`/v1/tasks?${query}`, { signal }));
      yield* page.tasks;
      cursor = page.cursor; // even a short or empty page may have a cursor
    } while (cursor);
  }

  /** The models; `faults` checks a request with them. */
  async models(signal?: AbortSignal): Promise<Model[]> {
    return body<Model[]>(await this.#call("/v1/models", { signal }));
  }

  /** Sends a request, and repeats it while that can help. Nothing is charged twice. */
  async #call(path: string, init: RequestInit): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      let failure: unknown;
      let after: number | undefined;
      try {
        const headers = new Headers(init.headers);
        headers.set("Authorization", `Bearer ${await this.#options.token()}`);
        // Longer than the gateway's 30 s: an answer after that does not come.
        const timeout = AbortSignal.timeout(40_000);
        const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
        const answer = await fetch(this.#options.base + path, { ...init, headers, signal });
        if (answer.ok || answer.status === 304) return answer;
        const refused = await refusal(answer);
        if (!refused.temporary) throw refused;
        [failure, after] = [refused, seconds(answer)];
      } catch (error) {
        if (error instanceof ApiError || init.signal?.aborted) throw error;
        failure = error; // no answer came
      }
      if (attempt >= this.#options.tries) throw failure;
      await pause(after ?? Math.min(2 ** attempt / 4, 8), init.signal);
    }
  }
}

async function body<T>(answer: Response): Promise<T> {
  return (await answer.json()) as T;
}

function seconds(answer: Response): number | undefined {
  const header = answer.headers.get("Retry-After");
  return header === null ? undefined : Number(header);
}

function pause(seconds: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal?.reason); };
    const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
  });
}
