// Orders. One that has no answer yet keeps its Idempotency-Key, in this tab and also over a
// reload, so that repeating it never costs twice.

import { call, Refusal } from "./api.js";
import { keep, kept } from "./tab.js";

/**
 * Orders pictures. Under one name, an unanswered order that is repeated unchanged keeps its key.
 * It resolves to the task, or throws a Refusal.
 */
export async function order(name, request) {
  const text = JSON.stringify(request);
  const before = kept(`order ${name}`);
  const key = before?.text === text ? before.key : crypto.randomUUID();
  keep(`order ${name}`, { key, text });
  try {
    const { body } = await call("/v1/tasks", { method: "POST", body: request, headers: { "Idempotency-Key": key } });
    keep(`order ${name}`, null);
    return body;
  } catch (error) {
    if (error instanceof Refusal && !error.unclear) keep(`order ${name}`, null);
    throw error;
  }
}

/** The text of an order that was received though its answer was lost; it will not be repeated. Otherwise "". */
export async function received(name) {
  const before = kept(`order ${name}`);
  if (!before) return "";
  const { body } = await quote(JSON.parse(before.text), { "Idempotency-Key": before.key });
  if (!body.task) return "";
  keep(`order ${name}`, null);
  return before.text;
}

/** What an order would cost and meet. */
export const quote = (request, headers = {}, signal = undefined) => call("/v1/quotes", { method: "POST", body: request, headers, signal });
