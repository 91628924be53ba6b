// The tasks of a moodboard or Showcase, or all of a user's tasks, newest first.
import type { Task, Target } from "./index.js";
import { type Live, newer } from "./live.js";
import { everySeconds, Source, type State, type Wishes } from "./source.js";

export interface BoardState extends State {
  /** The tasks read so far, newest first. */
  tasks: readonly Task[];
  /** Whether there are older ones: `more` reads them. */
  hasMore: boolean;
}

const pageSize = 50;

/** A place in the list: its order is that of the server. */
type Place = Pick<Task, "createdAt" | "id">;

/** A board is read again from its newest task to the newest one of the reading before, and from
 *  time to time as deep as it is shown, since older tasks can be moved or deleted elsewhere. */
export class BoardSource extends Source<BoardState> {
  readonly #tasks = new Map<string, Task>();
  readonly #followed = new Set<string>();
  #front: Place | undefined; // the newest task of the last reading
  #end: Place | undefined; // the oldest task that was read
  #cursor: string | undefined; // the page after #end
  #readings = 0;

  constructor(live: Live, readonly target?: Target) {
    super(live, emptyBoard);
  }

  protected async read(wishes: Wishes, signal: AbortSignal): Promise<Partial<BoardState>> {
    if (wishes.has("more") && this.#cursor) await this.#readOn(signal);
    if (!wishes.has("more") || wishes.has("refresh")) {
      // The deeper the board, the more seldom all of it is read.
      const pages = Math.ceil(this.#tasks.size / pageSize);
      await this.#readAgain(wishes.has("refresh") || ++this.#readings % pages === 0, signal);
    }
    return this.#shown();
  }

  protected pause(): number {
    return everySeconds;
  }

  override changed(task: Task): void {
    const known = this.#tasks.get(task.id);
    if (!this.#holds(task)) this.#tasks.delete(task.id);
    else if (known) this.#tasks.set(task.id, newer(known, task));
    else if (this.#covers(task)) this.#tasks.set(task.id, task);
    this.#follow(task);
    this.set(this.#shown());
  }

  override gone(id: string): void {
    this.#tasks.delete(id);
    this.set(this.#shown());
  }

  /** Reads the next page: a page can be empty although it is not the last. */
  async #readOn(signal: AbortSignal): Promise<void> {
    const { found, cursor } = await this.#list(this.#cursor, undefined, signal);
    [this.#cursor, this.#end] = [cursor, found.at(-1) ?? this.#end];
    this.#take(found);
  }

  async #readAgain(deep: boolean, signal: AbortSignal): Promise<void> {
    const { found, cursor } = await this.#list(undefined, deep ? this.#end : this.#front, signal);
    const last = found.at(-1);
    const ids = new Set(found.map(({ id }) => id));
    // What is missing is deleted, moved, or so new that the list does not have it yet.
    const missing = [...this.#tasks.values()].filter((task) => !ids.has(task.id) && !(cursor && last && order(last, task) < 0));
    this.#front = found[0];
    if (!cursor || !this.#end || !last || order(this.#end, last) <= 0) [this.#cursor, this.#end] = [cursor, last];
    this.#take(found);
    for (const task of this.#tasks.values()) if (!this.#covers(task)) this.#tasks.delete(task.id);
    for (const task of missing) this.#follow(task, true);
  }

  /** Lists from a page on until a place is reached, or, without one, until something is found. */
  async #list(from: string | undefined, until: Place | undefined, signal: AbortSignal): Promise<{ found: Task[]; cursor: string | undefined }> {
    const found: Task[] = [];
    let cursor = from;
    do {
      const page = await this.live.client.list({ limit: pageSize, signal, ...(this.target && { target: this.target }), ...(cursor && { cursor }) });
      found.push(...page.tasks);
      cursor = page.cursor;
    } while (cursor && (found.length === 0 || (until && order(found.at(-1)!, until) < 0)));
    return { found, cursor };
  }

  #take(found: Task[]): void {
    for (const listed of found) {
      const task = this.live.newest(listed);
      if (!task || !this.#holds(task)) {
        this.#tasks.delete(listed.id);
        continue;
      }
      const known = this.#tasks.get(task.id);
      this.#tasks.set(task.id, known ? newer(known, task) : task);
      this.#follow(task);
    }
  }

  /** Follows a task that is running; a missing one to see what became of it. */
  #follow(task: Task, missing = false): void {
    const signal = this.visit;
    if (!signal || this.#followed.has(task.id) || !(missing || (!task.done && this.#tasks.has(task.id)))) return;
    this.#followed.add(task.id);
    // After a failure the next reading tries again.
    this.live.follow(task.id, signal).catch(() => {}).finally(() => this.#followed.delete(task.id));
  }

  #holds({ target }: Task): boolean {
    return !this.target || (target?.kind === this.target.kind && target.id === this.target.id);
  }

  /** Whether a task's place is among those that were read. */
  #covers(task: Task): boolean {
    return !this.#cursor || !this.#end || order(task, this.#end) <= 0;
  }

  #shown(): Partial<BoardState> {
    const tasks = [...this.#tasks.values()].sort(order);
    const { tasks: shown } = this.snapshot;
    const same = tasks.length === shown.length && tasks.every((task, i) => task === shown[i]);
    return { tasks: same ? shown : tasks, hasMore: this.#cursor !== undefined };
  }
}

export const emptyBoard: BoardState = { tasks: [], hasMore: false, loading: true };

/** The server's order: newest first, and of the same millisecond the greatest id first. */
function order(a: Place, b: Place): number {
  return Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
