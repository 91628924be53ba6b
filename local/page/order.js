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

/** Whether this order was sent and has no answer. */
export const unanswered = (name, request) => kept(`order ${name}`)?.text === JSON.stringify(request);

/** Whether the unanswered order was received all the same. Then it is no longer repeated. */
export async function received(name) {
  const { key, text } = kept(`order ${name}`);
  const { body } = await quote(JSON.parse(text), { "Idempotency-Key": key });
  if (body.task && kept(`order ${name}`)?.key === key) keep(`order ${name}`, null); // and not an order that was sent meanwhile
  return Boolean(body.task);
}

/** Makes a button that orders do so once for a double click, and for a key that is held down. */
export function oncePerPress(button) {
  button.addEventListener("click", (event) => {
    if (event.detail < 2) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  button.addEventListener("keydown", (event) => { if (event.repeat) event.preventDefault(); });
}

/** What an order would cost and meet. */
export const quote = (request, headers = {}, signal = undefined) => call("/v1/quotes", { method: "POST", body: request, headers, signal });
