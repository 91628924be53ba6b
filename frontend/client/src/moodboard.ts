// Tasks as items of Preset's moodboards.
import type { Model, NewTask, Task } from "./client.js";

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

/** How far a running task seems to be, from 0 to below 1: two thirds at the expected time,
 *  then ever slower. Only `done` means that it is finished. */
export function share(task: Task): number {
  if (task.status === "succeeded" || task.status === "failed") return 1;
  const { elapsedSeconds, expectedSeconds } = task.progress;
  return elapsedSeconds / (elapsedSeconds + expectedSeconds / 2);
}

/** What a model does not support in a request, found before it is sent. It uses
 *  `GET /v1/models`, so this client need not change with the models. The server checks too. */
export function faults(request: NewTask, models: Model[]): string[] {
  const model = request.model === undefined ? models[0] : models.find((m) => m.id === request.model);
  if (!model) return [`There is no model ${request.model}.`];
  const found: string[] = [];
  const prompt = [...request.prompt.trim()].length; // characters, not UTF-16 units
  if (prompt < 1 || prompt > model.maxPrompt) found.push(`Describe it in 1 to ${model.maxPrompt} characters.`);
  const n = request.numImages ?? 1;
  if (!Number.isInteger(n) || n < 1 || n > model.maxImages) found.push(`${model.title} makes ${model.maxImages === 1 ? "one picture" : `1 to ${model.maxImages} pictures`} at a time.`);
  if ((request.imageUrls?.length ?? 0) > model.maxInputs) found.push(`${model.title} starts from at most ${model.maxInputs} pictures.`);
  if (request.aspectRatio && !model.aspectRatios.includes(request.aspectRatio)) found.push(`${model.title} offers ${model.aspectRatios.join(" ")}.`);
  if (request.resolution && !model.resolutions?.includes(request.resolution)) {
    found.push(model.resolutions ? `${model.title} offers ${model.resolutions.join(" ")}.` : `${model.title} has no resolution to choose.`);
  }
  return found;
}

/** What a request costs, in the image service's credits; undefined if the model does not offer it. */
export function price(request: NewTask, models: Model[]): number | undefined {
  const model = request.model === undefined ? models[0] : models.find((m) => m.id === request.model);
  const each = model?.credits[request.resolution ?? model.resolutions?.[0] ?? "default"];
  return each === undefined ? undefined : each * (request.numImages ?? 1);
}
