// What the hooks of one client share.
import type { ImagesClient, ImagesError, Task } from "./index.js";
import type { Source, State } from "./source.js";

/** What one client's hooks share: hooks with the same key show the same source, and what one
 *  of them learns about a task reaches all. */
export class Live {
  static readonly #of = new WeakMap<ImagesClient, Live>();
  readonly #sources = new Map<string, Source<State>>();
  // The tasks that were ordered or moved here, and null for the deleted ones: a list that was
  // read before, or from an index that is late, knows less.
  readonly #done = new Map<string, Task | null>();

  static of(client: ImagesClient): Live {
    let live = Live.#of.get(client);
    if (!live) Live.#of.set(client, live = new Live(client));
    return live;
  }

  private constructor(readonly client: ImagesClient) {}

  source<S extends State>(key: string): Source<S> | undefined {
    return this.#sources.get(key) as Source<S> | undefined;
  }

  /** Listens to a source, which exists while it has listeners. */
  subscribe<S extends State>(key: string, make: (live: Live) => Source<S>, listener: () => void): () => void {
    let source = this.source<S>(key);
    if (!source) this.#sources.set(key, source = make(this));
    source.subscribe(listener);
    return () => {
      source.unsubscribe(listener);
      // Not at once: React's StrictMode, and a list that is drawn anew, come back immediately.
      queueMicrotask(() => {
        if (!source.idle || this.source(key) !== source) return;
        this.#sources.delete(key);
        source.stop();
      });
    };
  }

  /** Tells all sources how a task is now. */
  changed(task: Task): void {
    if (this.#done.get(task.id) === null) return;
    for (const source of [...this.#sources.values()]) source.changed(task);
  }

  /** The same for what was ordered or moved here. */
  did(task: Task): void {
    this.#done.set(task.id, task);
    this.changed(task);
  }

  /** The same for what was deleted here. */
  deleted(id: string): void {
    this.#done.set(id, null);
    this.gone(id);
  }

  /** Tells all sources that a task does not exist. */
  gone(id: string): void {
    for (const source of [...this.#sources.values()]) source.gone(id);
  }

  /** The task as it is known best; undefined if it is deleted. */
  newest(listed: Task): Task | undefined {
    const known = this.#done.get(listed.id);
    if (known === null) return undefined;
    return known === undefined ? listed : newer(known, listed);
  }

  /** Follows a task until it has ended, and tells all sources about it. It rejects if the task
   *  does not exist. */
  async follow(id: string, signal: AbortSignal): Promise<Task> {
    try {
      const task = await this.client.wait(id, { signal, onChange: (now) => this.changed(now) });
      this.changed(task);
      return task;
    } catch (error) {
      if (!signal.aborted && (error as ImagesError).code === "not_found") this.gone(id);
      throw error;
    }
  }
}

/** The later one of two states of a task, which stays the same object while nothing changes. */
export function newer(known: Task, found: Task): Task {
  const [before, now] = [Date.parse(known.updatedAt), Date.parse(found.updatedAt)];
  if (now < before || (now === before && known.done && !found.done)) return known;
  // Lists cut the prompt.
  const whole = known.prompt.startsWith(found.prompt) ? { ...found, prompt: known.prompt } : found;
  return JSON.stringify(known) === JSON.stringify(whole) ? known : whole;
}
