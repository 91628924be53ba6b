// What the hooks show, outside of React: a source is read while somebody looks at it.
import type { ImagesError, Task } from "./index.js";
import type { Live } from "./live.js";

/** How often a source is read again after a failure, and a board always. */
export const everySeconds = 15;

/** The window's events after which what is shown may be old. */
const returning = ["focus", "online"];

/** Why a source is read now; none: its time has come. */
export type Wishes = ReadonlySet<"refresh" | "more">;

export interface State {
  /** Why the newest reading failed; undefined after the next good answer. */
  error?: ImagesError | undefined;
  /** Whether there is nothing to show yet, or more was asked for. */
  loading: boolean;
}

/** A state that is read from the API while it has listeners and the page is visible. */
export abstract class Source<S extends State> {
  readonly #listeners = new Set<() => void>();
  #asked = { wishes: new Set<"refresh" | "more">(), answer: [] as (() => void)[] };
  #active: AbortController | undefined;
  #wake: (() => void) | undefined; // ends the pause between two readings

  constructor(protected readonly live: Live, public snapshot: S) {}

  /** Reads the state. The signal is aborted when nobody looks any more. */
  protected abstract read(wishes: Wishes, signal: AbortSignal): Promise<Partial<S>>;

  /** The seconds until the next reading; Infinity: only when asked for. */
  protected abstract pause(error?: ImagesError): number;

  /** A task is as given now. */
  changed(_task: Task): void {}

  /** A task does not exist. */
  gone(_id: string): void {}

  get idle(): boolean {
    return this.#listeners.size === 0;
  }

  subscribe(listener: () => void): void {
    if (this.idle) {
      globalThis.document?.addEventListener("visibilitychange", this.#look);
      for (const event of returning) globalThis.addEventListener?.(event, this.#return);
    }
    this.#listeners.add(listener);
    this.#look();
  }

  unsubscribe(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Stops a source that is idle. */
  stop(): void {
    globalThis.document?.removeEventListener("visibilitychange", this.#look);
    for (const event of returning) globalThis.removeEventListener?.(event, this.#return);
    this.#look();
    for (const done of this.#asked.answer.splice(0)) done();
  }

  /** Reads again, now or after the reading that is under way. Resolves when that has ended;
   *  if it fails, `error` says why. */
  ask(wish: "refresh" | "more"): Promise<void> {
    this.#asked.wishes.add(wish);
    if (wish === "more") this.set({ loading: true } as Partial<S>);
    return new Promise((resolve) => {
      this.#asked.answer.push(resolve);
      this.#wake?.();
    });
  }

  /** The signal of the present visit; undefined while nobody looks. */
  protected get visit(): AbortSignal | undefined {
    return this.#active?.signal;
  }

  protected set(part: Partial<S>): void {
    const now = { ...this.snapshot, ...part };
    if (Object.keys(part).every((key) => now[key as keyof S] === this.snapshot[key as keyof S])) return;
    this.snapshot = now;
    for (const listener of [...this.#listeners]) listener();
  }

  readonly #return = (): void => {
    if (!this.#wake) return; // it is being read at this moment, or nobody looks
    this.#asked.wishes.add("refresh");
    this.#wake();
  };

  readonly #look = (): void => {
    const wanted = !this.idle && globalThis.document?.visibilityState !== "hidden";
    if (wanted === (this.#active !== undefined)) return;
    this.#active?.abort();
    this.#active = wanted ? new AbortController() : undefined;
    if (this.#active) void this.#run(this.#active.signal);
  };

  async #run(signal: AbortSignal): Promise<void> {
    this.#asked.wishes.add("refresh");
    while (!signal.aborted) {
      const { wishes, answer } = this.#asked;
      this.#asked = { wishes: new Set(), answer: [] };
      let error: ImagesError | undefined;
      try {
        const part = await this.read(wishes, signal);
        if (!signal.aborted) this.set({ ...part, error: undefined, loading: false });
      } catch (failure) {
        error = failure as ImagesError;
        if (!signal.aborted) this.set({ error, loading: false } as Partial<S>);
      }
      if (signal.aborted) { // whoever looks next gets what was asked for
        for (const wish of wishes) this.#asked.wishes.add(wish);
        this.#asked.answer.unshift(...answer);
        if (this.idle) this.stop();
        return;
      }
      for (const done of answer) done();
      await this.#sleep(this.pause(error), signal);
    }
  }

  #sleep(seconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.#wake = undefined;
        resolve();
      };
      const timer = Number.isFinite(seconds) ? setTimeout(end, seconds * 1000) : undefined;
      signal.addEventListener("abort", end);
      this.#wake = end;
      if (signal.aborted || this.#asked.wishes.size > 0) end();
    });
  }
}
