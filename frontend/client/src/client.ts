import { type ErrorCode, ImagesError } from "./error.js";
import { Follower } from "./follow.js";
import { type ClientOptions, Requests } from "./request.js";
import type { Credits, Model, NewTask, Quote, Target, Task, TaskPage } from "./types.js";
import { upload, type Uploaded } from "./upload.js";

export interface Abortable {
  signal?: AbortSignal;
}
export interface Keyed extends Abortable {
  /** The Idempotency-Key: one per click. A request is carried out and charged once per key,
   *  however often it is sent. Without it each order gets a new one, except the same order
   *  again after one whose outcome this client does not know. */
  key?: string;
}
export interface Following extends Abortable {
  /** Called soon with the task as it is, and then with each visible change. */
  onChange?: (task: Task) => void;
}
export interface Which extends Abortable {
  /** Only those of this moodboard or Showcase. */
  target?: Target;
  /** Only those created then or later. */
  since?: Date;
}
export interface Page extends Which {
  /** 1 to 100; 50 without it. */
  limit?: number;
  /** That of the page before. */
  cursor?: string;
}

/** The image functions, for browsers and servers. Make one client and share it: all waits of
 *  a client use one connection. Every method rejects with an ImagesError, or with the
 *  signal's reason if it is aborted. */
export class ImagesClient {
  readonly #requests: Requests;
  readonly #follower: Follower;
  readonly #unsettled = new Map<string, string>(); // the keys of orders whose outcome is not known

  constructor(options: ClientOptions) {
    this.#requests = new Requests(options);
    this.#follower = new Follower(this.#requests);
  }

  /** Orders pictures; with `imageUrls` it edits these. It answers at once: `wait` for them. */
  async create(request: NewTask, { key, signal }: Keyed = {}): Promise<Task> {
    const order = JSON.stringify(request);
    const sent = key ?? this.#unsettled.get(order) ?? newKey();
    this.#unsettled.delete(order); // whoever orders the same at this moment wants two
    try {
      return (await this.#requests.call<Task>("/v1/tasks", { method: "POST", body: request, headers: { "Idempotency-Key": sent }, signal })).body;
    } catch (error) {
      const refused = error instanceof ImagesError && !error.temporary;
      if (key === undefined && !refused) this.#keep(order, sent);
      throw error;
    }
  }

  /** Keeps the key of an order for the same order again: the newest hundred. */
  #keep(order: string, key: string) {
    this.#unsettled.set(order, key);
    for (const oldest of [...this.#unsettled.keys()].slice(0, -100)) this.#unsettled.delete(oldest);
  }

  /** What an order would cost, and all that speaks against it. Nothing is ordered. With the
   *  key of an earlier order it names that order's task. */
  async quote(request: NewTask, { key, signal }: Keyed = {}): Promise<Quote> {
    const { body } = await this.#requests.call<Quote>("/v1/quotes", { method: "POST", body: request, headers: key === undefined ? {} : { "Idempotency-Key": key }, signal });
    return body;
  }

  /** A task as it is now. */
  async get(id: string, { signal }: Abortable = {}): Promise<Task> {
    return (await this.#requests.call<Task>(path(id), { signal })).body;
  }

  /** Follows a task, or several, until all have ended, also if they failed: see `error` of
   *  the task. It rejects with `not_found` if one is gone. All waits of a client share one
   *  connection. `onChange` gets prompts cut to 300 characters until the task has ended. */
  wait(id: string, following?: Following): Promise<Task>;
  wait(ids: readonly string[], following?: Following): Promise<Task[]>;
  async wait(ids: string | readonly string[], { onChange, signal }: Following = {}): Promise<Task | Task[]> {
    const tasks = await this.#follower.follow([ids].flat(), onChange, signal);
    return typeof ids === "string" ? tasks[0]! : tasks;
  }

  /** A page of the user's own tasks, newest first; without `target` of all of them. A page may
   *  be short and still have a `cursor`; the last has none. Prompts are cut to 300 characters. */
  async list({ target, since, limit, cursor, signal }: Page = {}): Promise<TaskPage> {
    const query = new URLSearchParams();
    if (target) query.set("target", `${target.kind}:${target.id}`);
    if (since) query.set("since", since.toISOString());
    if (limit !== undefined) query.set("limit", String(limit));
    if (cursor) query.set("cursor", cursor);
    return (await this.#requests.call<TaskPage>(`/v1/tasks?${query}`, { signal })).body;
  }

  /** All of the user's own tasks, newest first, page by page as they are read. */
  async *all(which: Which = {}): AsyncGenerator<Task, void, undefined> {
    let cursor: string | undefined;
    do {
      const page: TaskPage = await this.list({ ...which, limit: 100, cursor });
      yield* page.tasks;
      cursor = page.cursor;
    } while (cursor);
  }

  /** Uploads a picture file, for `imageUrls` of an edit. What is too large or of another kind
   *  is drawn anew where the browser can: then it is a JPEG, or a PNG or WebP where it is
   *  transparent. Any other file rejects with `unusable_picture`, and `message` says what to
   *  do. An upload is kept for a day. */
  upload(file: Blob, { signal }: Abortable = {}): Promise<Uploaded> {
    return upload(this.#requests, file, signal);
  }

  /** The credits that are left, shared by everybody, and the user's own quota. */
  async credits({ signal }: Abortable = {}): Promise<Credits> {
    return (await this.#requests.call<Credits>("/v1/credits", { signal })).body;
  }

  /** The models and what they can do; the default is the first. */
  async models({ signal }: Abortable = {}): Promise<Model[]> {
    return (await this.#requests.call<Model[]>("/v1/models", { open: true, signal })).body;
  }

  /** Moves a task to another moodboard or Showcase. */
  async move(id: string, target: Target, { signal }: Abortable = {}): Promise<Task> {
    const { kind, id: place } = target;
    return (await this.#requests.call<Task>(`${path(id)}/target`, { method: "PUT", body: { kind, id: place }, signal })).body;
  }

  /** Deletes a task that has ended, and its pictures. */
  async delete(id: string, { signal }: Abortable = {}): Promise<void> {
    await this.#requests.call(path(id), { method: "DELETE", signal });
  }

  /** Cancels an order that still waits for the image service: nothing is charged. What is
   *  being made, or has ended, is left alone and rejects with `conflict`. */
  async cancel(id: string, { signal }: Abortable = {}): Promise<void> {
    // An API of an older release knows no cancel=1 and would delete what has ended.
    const task = await this.get(id, { signal }).catch(unless("not_found"));
    if (task?.done) throw conflict("This order has already ended.", "Nothing was changed. Delete the picture if you do not want it.");
    if (task && task.status !== "waiting") throw tooLate();
    // A task that is gone is asked for too: DELETE succeeds for the user's own, and is not_found for any other.
    const deleted = await this.#requests.call(`${path(id)}?cancel=1`, { method: "DELETE", signal }).catch(unless("conflict"));
    if (!deleted) throw tooLate();
  }
}

/** Makes undefined of an error with this code. */
const unless = (code: ErrorCode) => (error: unknown): undefined => {
  if (!(error instanceof ImagesError) || error.code !== code) throw error;
};

const conflict = (message: string, hint: string) => new ImagesError(message, { status: 409, code: "conflict", hint });
const tooLate = () => conflict("This picture is being made already.", "It cannot be stopped any more. You can delete it when it is finished.");

const path = (id: string) => `/v1/tasks/${encodeURIComponent(id)}`;

/** A new Idempotency-Key. crypto.randomUUID is missing on plain-http pages but localhost's. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
