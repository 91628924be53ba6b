// Reads a task again and again until it has ended, without a turn of the model.
import { call, NoAnswer, problemOf } from "./host.js";
import type { Problem, Watched } from "./types.js";

const first = 3, longest = 15, growth = 1.1; // seconds between two reads
const patience = 10 * 60_000; // ms, then the user is asked

export interface Watcher {
  seen(watched: Watched): void;
  gone(): void; // deleted, or not this user's
  tired(): void; // it takes longer than patience
  trouble(problem?: Problem): void; // a read failed; it goes on
}

/** Watches one task. Hidden pages do not read; they look again as soon as they are shown. */
export class Watch {
  #timer = 0;
  #pause = first;
  #until = 0;
  #reading = false;
  #ended = false;

  constructor(readonly taskId: string, readonly watcher: Watcher) {
    document.addEventListener("visibilitychange", this.#shown);
    this.again();
  }

  /** Starts anew, for another patience. */
  again(): void {
    this.#until = Date.now() + patience;
    this.#pause = first;
    void this.#read();
  }

  stop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#shown);
  }

  #shown = () => {
    clearTimeout(this.#timer);
    if (!document.hidden) void this.#read();
  };

  async #read(): Promise<void> {
    if (this.#ended || this.#reading || document.hidden) return;
    if (Date.now() >= this.#until) return this.watcher.tired();
    this.#reading = true;
    try {
      this.#take(await this.#answer());
    } finally {
      this.#reading = false;
    }
  }

  async #answer() {
    try {
      return await call("watch_image", { taskId: this.taskId });
    } catch (error) {
      if (error instanceof NoAnswer) return undefined;
      throw error;
    }
  }

  #take(result: Awaited<ReturnType<typeof call>> | undefined): void {
    if (this.#ended) return;
    const problem = result && problemOf(result);
    const watched = result?.structuredContent as unknown as Watched | undefined;
    if (problem?.code === "not_found") {
      this.stop();
      this.watcher.gone();
    } else if (!watched?.picture) {
      this.watcher.trouble(problem);
      this.#later(problem?.retryAfter);
    } else {
      if (watched.picture.done) this.stop();
      else this.#later(watched.pollSeconds);
      this.watcher.seen(watched);
    }
  }

  #later(atLeast = 0): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#read(), 1000 * Math.max(this.#pause, atLeast));
    this.#pause = Math.min(longest, this.#pause * growth);
  }
}
