// One long poll for everything that is waited for, however many callers wait.
import { ImagesError, retrySeconds, unreadable } from "./error.js";
import { type Answer, beforeNext, pause, type Requests } from "./request.js";
import type { Task, TaskPage } from "./types.js";

/** The API's limits of `ids`, of `wait`, and of a prompt in a list. */
const groupSize = 50, longestWait = 20, shownPrompt = 300;

/** Several groups take turns, and news of the last comes this many seconds late at most. */
const round = 10;

/** A wait fails after this many times `tries` failures in a row: two minutes or more. */
const patience = 4;

interface Waiter {
  change(task: Task): void;
  end(task: Task): void;
  fail(error: unknown): void;
}

interface Followed {
  group: Group;
  waiters: Set<Waiter>;
  task?: Task;
  /** What is visible of `task`, to tell news from a repetition. */
  seen?: string;
}

/** Tasks that are asked for together. */
interface Group {
  ids: Set<string>;
  /** Whether the state of all of them is known: only then a request may wait. */
  known: boolean;
  etag?: string;
}

export class Follower {
  readonly #requests: Requests;
  readonly #followed = new Map<string, Followed>();
  #groups: Group[] = []; // the next in turn is the first
  #running = false;
  #turn = new AbortController(); // ends the request or pause in progress
  #resting = false; // it only waits for news: a new task ends it
  #failures = 0;

  constructor(requests: Requests) {
    this.#requests = requests;
  }

  /** Follows tasks until all have ended, and resolves to them in the order of their ids. */
  follow(ids: readonly string[], onChange?: (task: Task) => void, signal?: AbortSignal): Promise<Task[]> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const running = new Set(ids), ended = new Map<string, Task>();
      const stop = () => waiter.fail(signal?.reason);
      const resolveIfEnded = () => {
        if (running.size > 0) return;
        signal?.removeEventListener("abort", stop);
        resolve(ids.map((id) => ended.get(id)!));
      };
      const waiter: Waiter = {
        change: (task) => { try { onChange?.(task); } catch (error) { waiter.fail(error); } },
        end: (task) => {
          ended.set(task.id, task);
          running.delete(task.id);
          this.#leave(task.id, waiter);
          resolveIfEnded();
        },
        fail: (error) => {
          signal?.removeEventListener("abort", stop);
          for (const id of running) this.#leave(id, waiter);
          reject(error);
        },
      };
      signal?.addEventListener("abort", stop);
      for (const id of running) this.#join(id, waiter);
      resolveIfEnded();
    });
  }

  #join(id: string, waiter: Waiter) {
    const followed = this.#followed.get(id);
    if (followed) {
      followed.waiters.add(waiter);
      const { task } = followed;
      if (task) queueMicrotask(() => { if (followed.waiters.has(waiter) && followed.task === task) waiter.change(task); });
      return;
    }
    let group = this.#groups.find(({ ids }) => ids.size < groupSize);
    if (!group) this.#groups.push(group = { ids: new Set(), known: false });
    group.ids.add(id);
    group.known = false;
    this.#followed.set(id, { group, waiters: new Set([waiter]) });
    if (this.#resting) this.#turn.abort();
    if (!this.#running) void this.#run();
  }

  #leave(id: string, waiter: Waiter) {
    const followed = this.#followed.get(id);
    if (!followed?.waiters.delete(waiter) || followed.waiters.size > 0) return;
    this.#followed.delete(id);
    followed.group.ids.delete(id);
    followed.group.known = false;
    if (this.#followed.size === 0) this.#turn.abort();
    if (this.#groups.length > Math.ceil(this.#followed.size / groupSize)) this.#regroup();
  }

  /** Uses as few groups as possible. */
  #regroup() {
    const all = [...this.#followed];
    this.#groups = [];
    for (let i = 0; i < all.length; i += groupSize) {
      const part = all.slice(i, i + groupSize);
      const group: Group = { ids: new Set(part.map(([id]) => id)), known: false };
      for (const [, followed] of part) followed.group = group;
      this.#groups.push(group);
    }
  }

  async #run() {
    this.#running = true;
    await null; // so that waits that begin together share the first request
    while (this.#followed.size > 0) {
      const group = this.#next();
      this.#turn = new AbortController();
      const { signal } = this.#turn;
      try {
        await this.#ask(group, signal);
        this.#failures = 0;
      } catch (error) {
        this.#resting = false;
        if (!signal.aborted) await this.#overcome(error, group, signal);
      }
    }
    this.#running = false;
  }

  /** The group whose turn it is: one with a new task first. It goes to the end of the row. */
  #next(): Group {
    const i = Math.max(0, this.#groups.findIndex(({ known }) => !known));
    const [group] = this.#groups.splice(i, 1) as [Group];
    this.#groups.push(group);
    return group;
  }

  /** Asks for a group once, and waits for news if its state is known. */
  async #ask(group: Group, signal: AbortSignal) {
    const ids = [...group.ids];
    const waits = group.known;
    const seconds = this.#groups.length === 1 ? longestWait : Math.max(1, Math.floor(round / this.#groups.length));
    group.known = true; // until a task joins or leaves
    this.#resting = waits;
    const started = Date.now();
    const answer = await this.#requests.once<TaskPage | undefined>(
      `/v1/tasks?ids=${ids.map(encodeURIComponent).join(",")}${waits ? `&wait=${seconds}` : ""}`,
      { headers: waits && group.etag ? { "If-None-Match": group.etag } : {}, signal });
    this.#resting = false;
    group.etag = answer.headers.get("ETag") ?? undefined;
    const news = answer.body !== undefined && await this.#take(ids, answer as Answer<TaskPage>, signal);
    // WAIT_MAX or a proxy may shorten the wait: then the pause is here.
    if (!news && waits && Date.now() - started < 900 * Math.min(2, seconds)) {
      this.#resting = true;
      await pause((retrySeconds(answer.headers) ?? 3) / this.#groups.length, signal);
      this.#resting = false;
    }
  }

  /** Reports an answer to whoever waits, and returns whether anything is new in it. */
  async #take(ids: string[], { status, headers, body }: Answer<TaskPage>, signal: AbortSignal): Promise<boolean> {
    if (!Array.isArray(body.tasks)) throw unreadable(status, headers, body);
    const found = new Map(body.tasks.map((task) => [task.id, task]));
    let news = false;
    for (const id of ids) {
      const task = await this.#whole(found.get(id), signal);
      const followed = this.#followed.get(id);
      if (!followed) continue;
      const seen = task && JSON.stringify({ ...task, progress: undefined });
      if (seen !== undefined && seen === followed.seen) continue;
      news = true;
      followed.task = task;
      followed.seen = seen;
      for (const waiter of [...followed.waiters]) {
        if (!followed.waiters.has(waiter)) continue; // another one's onChange has aborted it
        if (!task) waiter.fail(gone());
        else waiter.change(task);
        if (task?.done && followed.waiters.has(waiter)) waiter.end(task);
      }
    }
    return news;
  }

  /** A task of a list; one that has ended with its whole prompt, or undefined if it is gone. */
  async #whole(task: Task | undefined, signal: AbortSignal): Promise<Task | undefined> {
    if (!task?.done || [...task.prompt].length < shownPrompt || !this.#followed.has(task.id)) return task;
    try {
      return (await this.#requests.once<Task>(`/v1/tasks/${task.id}`, { signal })).body;
    } catch (error) {
      if (error instanceof ImagesError && error.code === "not_found") return undefined;
      throw error;
    }
  }

  /** After a failure: pauses, or fails the waits that it concerns. */
  async #overcome(error: unknown, group: Group, signal: AbortSignal) {
    group.known = false;
    const temporary = error instanceof ImagesError && error.temporary;
    this.#failures = temporary ? this.#failures + 1 : 0;
    try {
      if (!temporary || this.#failures >= patience * this.#requests.tries) throw error;
      await pause(beforeNext(error, this.#failures), signal);
    } catch (final) {
      if (signal.aborted) return;
      this.#failures = 0;
      for (const id of temporary ? [...this.#followed.keys()] : [...group.ids]) {
        for (const waiter of [...this.#followed.get(id)?.waiters ?? []]) waiter.fail(final);
      }
    }
  }
}

function gone(): ImagesError {
  return new ImagesError("This picture is no longer there.", { status: 404, code: "not_found", hint: "It was deleted, or belongs to another account." });
}
