// What edits were made from: the pictures that a task started from, and those before them.

import { call, isPicture, Refusal } from "./api.js";
import { known } from "./tasks.js";

const maxSteps = 12;

/** Reads the tasks that are still there, by id. */
async function tasksOf(ids) {
  const found = new Map();
  for (const id of ids) if (known.get(id)?.done) found.set(id, known.get(id));
  const missing = ids.filter((id) => !found.has(id)).slice(0, 50);
  if (missing.length) { // a list answers 200 if some are gone
    for (const task of (await call(`/v1/tasks?ids=${missing.join()}`)).body.tasks) found.set(task.id, task);
  }
  return found;
}

/** The id of the task that an entry of imageUrls belongs to: task:ID/N, or the link of one of this server's pictures. */
function idOf(entry) {
  if (entry.startsWith("task:")) return entry.slice("task:".length).split("/")[0];
  const path = `${location.origin}/v1/images/`;
  return entry.startsWith(path) ? entry.slice(path.length).split("/")[0] : "";
}

/**
 * The entries that a task started from, in their order: {entry, label, image?, task?}. image is
 * missing if the picture is gone or has never been kept; task is the one that made it.
 */
export async function inputsOf(task) {
  const entries = task.imageUrls || [];
  const ids = [...new Set(entries.map(idOf).filter(Boolean))];
  const tasks = await tasksOf(ids);
  return entries.map((entry, i) => {
    const source = tasks.get(idOf(entry));
    const made = source?.images.find((image) => image.url === entry || entry === `task:${source.id}/${image.n}`);
    if (made) return { entry, label: source.prompt.slice(0, 40), image: made, task: source };
    const copy = source?.inputs?.find((image) => image.url === entry) || (entry.startsWith("upload:") && task.inputs?.find((image) => image.n === i + 1));
    if (copy) return { entry, label: "Uploaded picture", image: copy };
    const label = entry.startsWith("upload:") ? "Uploaded picture" : entry.startsWith("task:") ? "Earlier picture" : entry.replace(/^https?:\/\//, "");
    return { entry, label, image: isPicture(entry) && !idOf(entry) ? { url: entry } : undefined };
  });
}

/** The pictures that a task was made from, and what the first of those was made from, and so on: the newest first. */
export async function earlier(task) {
  const found = [], seen = new Set();
  try {
    for (let at = task; at && !seen.has(at.id) && found.length < maxSteps;) {
      seen.add(at.id);
      const inputs = (await inputsOf(at)).filter((input) => input.image && isPicture(input.image.url));
      found.push(...inputs);
      at = inputs.find((input) => input.task)?.task;
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error; // what was found so far is shown
  }
  return found.slice(0, maxSteps);
}
