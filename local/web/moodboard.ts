// A task in Preset's terms.
import type { Model, NewTask, Task } from "./client.js";

export type EnhancementStatus = "pending" | "processing" | "completed" | "failed";

/** The contract's x-preset-status. A status that is missing here does not compile. */
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
  /** The picture. Like all links here it is for good; null until it is there. */
  enhanced_url: string | null;
  /** Null, too, where none could be made: draw the picture itself. */
  thumbnail_url: string | null;
  width: number | null;
  height: number | null;
  /** What it was made from; null where that is words alone, or not to be seen from here. */
  original_url: string | null;
}

/** The items of a moodboard's tasks: one for each picture, or one that stands for those to
 *  come or that failed. `task:ID/N` is looked up among these very tasks. */
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
  const [, id, n] = /^task:([0-9a-v]{26})\/(\d+)$/.exec(first) ?? [];
  if (id === undefined) return /^https?:/.test(first) ? first : null;
  return among.find((t) => t.id === id)?.images.find((image) => image.n === Number(n))?.url ?? null;
}

/** How far a running task seems to be, from 0 to below 1: at two thirds when it should be
 *  done, and ever slower after. Only `done` says that it is. */
export function share(task: Task): number {
  if (task.done) return 1;
  const { elapsedSeconds, expectedSeconds } = task.progress;
  return elapsedSeconds / (elapsedSeconds + expectedSeconds / 2);
}

/** What a model cannot do of a wish, before it is sent; by `GET /v1/models`, so that what a
 *  new release can do needs none of this client. The server judges all the same. */
export function faults(wish: NewTask, models: Model[]): string[] {
  const model = wish.model === undefined ? models[0] : models.find((m) => m.id === wish.model);
  if (!model) return [`There is no model ${wish.model}.`];
  const found: string[] = [];
  const prompt = [...wish.prompt.trim()].length; // characters, not UTF-16 units
  if (prompt < 1 || prompt > model.maxPrompt) found.push(`Describe it in 1 to ${model.maxPrompt} characters.`);
  const n = wish.numImages ?? 1;
  if (!Number.isInteger(n) || n < 1 || n > model.maxImages) found.push(`${model.title} makes 1 to ${model.maxImages} pictures at a time.`);
  if ((wish.imageUrls?.length ?? 0) > model.maxInputs) found.push(`${model.title} starts from at most ${model.maxInputs} pictures.`);
  if (wish.aspectRatio && !model.aspectRatios.includes(wish.aspectRatio)) found.push(`${model.title} offers ${model.aspectRatios.join(" ")}.`);
  if (wish.resolution && !model.resolutions?.includes(wish.resolution)) {
    found.push(model.resolutions ? `${model.title} offers ${model.resolutions.join(" ")}.` : `${model.title} has no resolution to choose.`);
  }
  return found;
}

/** What a wish costs, in the image service's credits; undefined where it cannot be had. */
export function price(wish: NewTask, models: Model[]): number | undefined {
  const model = wish.model === undefined ? models[0] : models.find((m) => m.id === wish.model);
  const each = model?.credits[wish.resolution ?? model.resolutions?.[0] ?? ""];
  return each === undefined ? undefined : each * (wish.numImages ?? 1);
}
