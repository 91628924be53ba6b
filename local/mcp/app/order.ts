// Orders: what is paid for. A press of a button has one requestKey, which is kept until the
// order has a task; so a repeated press after a lost answer orders and pays nothing twice.
import { call, NoAnswer, problemOf, taskIdOf } from "./host.js";
import type { Order, Problem } from "./types.js";

const keys = new Map<string, string>(); // requestKey, by the order without a task yet

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `page-${Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("")}`;
}

const lost: Problem = {
  code: "unavailable", message: "No answer came.", hint: "Press the button again: it is made and paid for at most once.", retryable: true,
};

/** Orders once, and returns the task's id or why there is none. */
export async function order(args: Order): Promise<{ taskId: string } | { problem: Problem }> {
  const what = JSON.stringify(args);
  const requestKey = keys.get(what) ?? newKey();
  keys.set(what, requestKey);
  let result;
  try {
    result = await call("generate_image", { ...args, requestKey });
  } catch (error) {
    if (error instanceof NoAnswer) return { problem: lost };
    throw error;
  }
  const problem = problemOf(result);
  const taskId = problem ? undefined : taskIdOf(result);
  if (taskId || problem?.code === "idempotency_key_reused") keys.delete(what);
  return taskId ? { taskId } : { problem: problem ?? lost };
}

/** Does what costs nothing and may be repeated. It returns why not, if it failed. */
export async function change(tool: string, args: Record<string, unknown>): Promise<Problem | undefined> {
  try {
    return problemOf(await call(tool, args));
  } catch (error) {
    if (error instanceof NoAnswer) return { ...lost, hint: "Press the button again." };
    throw error;
  }
}
