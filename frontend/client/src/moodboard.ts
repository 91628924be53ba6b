// Tasks as items of Preset's moodboards.
import type { Task } from "./types.js";

export type EnhancementStatus = "pending" | "processing" | "completed" | "failed";

/** The contract's x-preset-status. It compiles only if no status is missing. */
export const presetStatus: Record<Task["status"], EnhancementStatus> = {
  submitting: "pending",
  waiting: "pending",
  unconfirmed: "processing",
  generating: "processing",
  storing: "processing",
  succeeded: "completed",
  failed: "failed",
};

export interface MoodboardItem {
  source: "ai-enhanced";
  enhancement_task_id: string;
  enhancement_status: EnhancementStatus;
  /** The picture's lasting link; null until the picture is stored. */
  enhanced_url: string | null;
  /** Also null if there is no thumbnail: show the picture itself. */
  thumbnail_url: string | null;
  width: number | null;
  height: number | null;
  /** What the picture was made from; null if that is only a prompt, not among the tasks, or
   *  an upload without a copy. */
  original_url: string | null;
}

/** The items of a moodboard's tasks: one per picture, or one for a task without pictures
 *  yet or that failed. `task:ID/N` is looked up among the same tasks. */
export function moodboardItems(tasks: Task[]): MoodboardItem[] {
  return tasks.flatMap((task) => {
    const item: MoodboardItem = {
      source: "ai-enhanced",
      enhancement_task_id: task.id,
      enhancement_status: presetStatus[task.status],
      enhanced_url: null, thumbnail_url: null, width: null, height: null,
      original_url: original(task, tasks),
    };
    if (task.status !== "succeeded") return [item];
    return task.images.map(({ url, thumbnailUrl, width, height }) =>
      ({ ...item, enhanced_url: url, thumbnail_url: thumbnailUrl ?? null, width, height }));
  });
}

function original(task: Task, among: Task[]): string | null {
  const first = task.imageUrls?.[0];
  if (first === undefined) return null;
  if (first.startsWith("upload:")) return (task.status === "succeeded" && task.inputs?.find((i) => i.n === 1)?.url) || null;
  const [, id, n] = /^task:([0-9a-v]{26})\/(\d+)$/.exec(first) ?? [];
  if (id === undefined) return /^https?:/.test(first) ? first : null;
  return among.find((t) => t.id === id)?.images.find((image) => image.n === Number(n))?.url ?? null;
}

/** How far a task seems to be, from 0 to below 1: two thirds at the expected time, then ever
 *  slower. It is 1 exactly if the task has ended. `since` is how many seconds ago the task
 *  was read: a bar that moves by itself counts them. */
export function share(task: Task, since = 0): number {
  if (task.status === "succeeded" || task.status === "failed") return 1;
  const elapsed = task.progress.elapsedSeconds + since;
  return elapsed / (elapsed + task.progress.expectedSeconds / 2);
}
