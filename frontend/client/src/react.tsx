"use client";
// React hooks for the pictures. They keep what they show up to date while somebody looks at it:
// a hidden page sends nothing, and reads again when it is seen again.
import { createContext, type ReactElement, type ReactNode, useCallback, useContext, useMemo, useSyncExternalStore } from "react";

import { BoardSource, type BoardState, emptyBoard } from "./board.js";
import type { Credits, ImagesClient, ImagesError, Keyed, Model, NewTask, Target, Task } from "./index.js";
import { Live } from "./live.js";
import { CreditsSource, type CreditsState, ImageSource, type ImageState, ModelsSource, type ModelsState } from "./single.js";
import type { Source, State } from "./source.js";

const Context = createContext<ImagesClient | undefined>(undefined);

/** Passes a client on to the hooks below it. Make one client for each signed-in user, outside
 *  of components or with useMemo: hooks of the same client share their connection and what they
 *  know. */
export function ImagesProvider({ client, children }: { client: ImagesClient; children?: ReactNode }): ReactElement {
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client of the ImagesProvider above. */
export function useImages(): ImagesClient {
  const client = useContext(Context);
  if (!client) throw new Error("There is no client here: put <ImagesProvider client={…}> around the components that use these hooks.");
  return client;
}

/** One task, followed until it has ended. Without an id there is nothing to show yet. */
export function useImage(id: string | null | undefined): { task: Task | undefined; error: ImagesError | undefined; loading: boolean } {
  const { task, error, loading } = useSource<ImageState>(id ? `image ${id}` : undefined, (live) => new ImageSource(live, id!), waiting);
  return { task, error, loading };
}

/** A board: what it shows, and what can be done with it. */
export interface BoardView {
  /** The tasks, newest first. */
  tasks: readonly Task[];
  /** Why the newest reading failed; undefined after the next good one. */
  error: ImagesError | undefined;
  /** Whether the first tasks, or more of them, are being read. */
  loading: boolean;
  /** Whether there are older tasks. */
  hasMore: boolean;
  /** Reads older tasks. */
  more(): Promise<void>;
  /** Reads everything that is shown again, now. */
  refresh(): Promise<void>;
  /** Orders pictures for this board and puts the task in front. With the same key it may be
   *  called again: that orders nothing new. */
  create(request: NewTask, options?: Keyed): Promise<Task>;
  /** Deletes a finished task with its pictures, then takes it off the board. */
  remove(id: string): Promise<void>;
  /** Moves a task to another board, then takes it off this one. */
  move(id: string, target: Target): Promise<Task>;
}

/** The tasks of a moodboard or Showcase, or without a target all of the user's. It reads again
 *  when the page gets the focus and every 15 s, and follows the tasks that are running. */
export function useBoard(target?: Target | null): BoardView {
  const client = useImages();
  const key = target ? `board ${target.kind}:${target.id}` : "board";
  const { tasks, error, loading, hasMore } = useSource<BoardState>(key, (live) => new BoardSource(live, target ?? undefined), emptyBoard);
  const actions = useMemo(() => {
    const live = Live.of(client);
    return {
      more: async () => live.source(key)?.ask("more"),
      refresh: async () => live.source(key)?.ask("refresh"),
      create: (request: NewTask, options?: Keyed) => create(live, target ? { ...request, target: request.target ?? target } : request, options),
      remove: (id: string) => remove(live, id),
      move: (id: string, to: Target) => move(live, id, to),
    };
  }, [client, key]); // the key says all about the target
  return { tasks, error, loading, hasMore, ...actions };
}

async function create(live: Live, request: NewTask, options?: Keyed): Promise<Task> {
  try {
    const task = await live.client.create(request, options);
    live.did(task);
    return task;
  } finally {
    // Also after an order that was refused or failed at once: that can be how the service learns of the balance.
    void live.source("credits")?.ask("refresh");
  }
}

async function move(live: Live, id: string, target: Target): Promise<Task> {
  const task = await live.client.move(id, target);
  live.did(task);
  return task;
}

async function remove(live: Live, id: string): Promise<void> {
  try {
    await live.client.delete(id);
  } catch (error) {
    if ((error as ImagesError).code !== "not_found") throw error; // else it is gone, as wished
  }
  live.deleted(id);
}

/** The balance and the user's quota: read again when an order begins or ends, and every minute. */
export function useCredits(): { credits: Credits | undefined; error: ImagesError | undefined; loading: boolean; refresh(): Promise<void> } {
  const client = useImages();
  const { credits, error, loading } = useSource<CreditsState>("credits", (live) => new CreditsSource(live), waiting);
  const refresh = useCallback(async () => Live.of(client).source("credits")?.ask("refresh"), [client]);
  return { credits, error, loading, refresh };
}

/** What can be ordered, with its options and prices. */
export function useModels(): { models: Model[] | undefined; error: ImagesError | undefined; loading: boolean } {
  const { models, error, loading } = useSource<ModelsState>("models", (live) => new ModelsSource(live), waiting);
  return { models, error, loading };
}

const waiting: State = { loading: true };
const nothing: State = { loading: false };

/** The state of the source with this key, which make makes; `first` before it exists. */
function useSource<S extends State>(key: string | undefined, make: (live: Live) => Source<S>, first: S): S {
  const client = useImages();
  const subscribe = useCallback(
    (listener: () => void) => (key === undefined ? () => {} : Live.of(client).subscribe(key, make, listener)),
    [client, key], // make makes the same for the same key
  );
  const initial = key === undefined ? (nothing as S) : first;
  const snapshot = () => (key === undefined ? undefined : Live.of(client).source<S>(key)?.snapshot) ?? initial;
  return useSyncExternalStore(subscribe, snapshot, () => initial);
}
