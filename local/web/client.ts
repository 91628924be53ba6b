// An example client for Preset's frontend. Its types are made from openapi.yaml: what it
// sends and reads is what the contract says, or it does not compile.
import type { components } from "./generated/openapi.js";
import { ApiError, refusal } from "./error.js";

type Schemas = components["schemas"];
export type Task = Schemas["Task"];
export type Model = Schemas["Model"];
export type NewTask = Schemas["NewTask"];
export type Target = Schemas["Target"];
type Listed = Schemas["TaskList"];

export interface Options {
  /** The API's address, without a closing slash. */
  base: string;
  /** Gives the session's token, before each call: Supabase renews it behind our back.
   *  `async () => (await supabase.auth.getSession()).data.session?.access_token ?? ""` */
  token: () => Promise<string>;
  /** How often a call is made while its outcome is unclear or the service away. */
  tries?: number;
}

export class Client {
  readonly #options: Required<Options>;

  constructor(options: Options) {
    this.#options = { tries: 5, ...options };
  }

  /** Asks for pictures. One key for each wish, `crypto.randomUUID()` at the click, the same
   *  for each repetition: whatever is repeated here, it is made and paid for once. */
  async submit(wish: NewTask, key: string, signal?: AbortSignal): Promise<{ task: Task; replayed: boolean }> {
    const answer = await this.#call("/v1/tasks", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(wish),
      signal,
    });
    const task = await body<Task>(answer);
    return { task, replayed: answer.headers.get("Idempotency-Replayed") === "true" };
  }

  /** Follows a task until it has ended. `seen` is called at first and with each change. */
  async wait(id: string, seen?: (task: Task) => void, signal?: AbortSignal): Promise<Task> {
    let etag = "";
    for (;;) {
      const asked = Date.now();
      const headers: Record<string, string> = etag ? { "If-None-Match": etag } : {};
      // The first look is for something to show: without a wait.
      const answer = await this.#call(`/v1/tasks/${id}${etag ? "?wait=20" : ""}`, { headers, signal });
      const unchanged = answer.status === 304;
      if (!unchanged) {
        const task = await body<Task>(answer);
        seen?.(task);
        if (task.done) return task;
      }
      // Waiting may be capped, by WAIT_MAX or a proxy: then the pause is ours to make.
      if (etag && unchanged && Date.now() - asked < 2000) await pause(seconds(answer) ?? 3, signal);
      etag = answer.headers.get("ETag") ?? "";
    }
  }

  /** All tasks of a moodboard or Showcase, the newest first. */
  async *list(target: Target, signal?: AbortSignal): AsyncGenerator<Task> {
    let cursor: string | undefined;
    do {
      const query = new URLSearchParams({ target: `${target.kind}:${target.id}`, limit: "100" });
      if (cursor) query.set("cursor", cursor);
      const page = await body<Listed>(await this.#call(`/v1/tasks?${query}`, { signal }));
      yield* page.tasks;
      cursor = page.cursor; // a short page, even an empty one, may have one
    } while (cursor);
  }

  /** What there is to ask for; `faults` checks a wish by it. */
  async models(signal?: AbortSignal): Promise<Model[]> {
    return body<Model[]>(await this.#call("/v1/models", { signal }));
  }

  /** Makes a call, again while that is lawful: nothing here is charged twice. */
  async #call(path: string, init: RequestInit): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      let failure: unknown;
      let after: number | undefined;
      try {
        const headers = new Headers(init.headers);
        headers.set("Authorization", `Bearer ${await this.#options.token()}`);
        // Longer than the gateway takes, which is 30 s: without an answer by then there is none.
        const late = AbortSignal.timeout(40_000);
        const signal = init.signal ? AbortSignal.any([init.signal, late]) : late;
        const answer = await fetch(this.#options.base + path, { ...init, headers, signal });
        if (answer.ok || answer.status === 304) return answer;
        const refused = await refusal(answer);
        if (!refused.passes) throw refused;
        [failure, after] = [refused, seconds(answer)];
      } catch (error) {
        if (error instanceof ApiError || init.signal?.aborted) throw error;
        failure = error; // no answer at all
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
