// The tasks that the page has read.

import { call } from "./api.js";

export const known = new Map(); // id -> task, also before its card is built: an edit may be listed before its parent

/** A task with its whole prompt, of which lists have the first 300 characters. */
export async function fullTask(task) {
  return [...task.prompt].length < 300 ? task : (await call(`/v1/tasks/${task.id}`)).body;
}
