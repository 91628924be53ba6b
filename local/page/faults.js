// What is wrong with the form, shown at its fields.

import { byId, el, explain } from "./api.js";
import { startFrom } from "./inputs.js";

const form = byId("composer");

/** The form control that a fault belongs to. */
const control = (place) => place.closest(".field").querySelector("textarea, select, input");

/** The message of a fault; of several pictures to start from it names the faulty one. */
function named(pointer, message) {
  const input = startFrom().length > 1 && startFrom()[/^\/imageUrls\/(\d+)$/.exec(pointer)?.[1]];
  return input ? `${input.label}: ${message}` : message;
}

/** Shows each fault at its field, instead of those shown before. It returns the messages of those that have no field. */
function mark(faults) {
  for (const place of form.querySelectorAll("[data-fault]")) place.replaceChildren();
  for (const faulty of form.querySelectorAll("[aria-invalid]")) faulty.removeAttribute("aria-invalid");
  const rest = [];
  for (const { pointer, message } of faults) {
    const place = form.querySelector(`[data-fault="${CSS.escape("/" + pointer.split("/")[1])}"]`);
    if (place && !place.closest("[hidden]")) {
      place.append(el("span", { className: "line" }, named(pointer, message)));
      control(place).setAttribute("aria-invalid", "true");
    } else rest.push(message);
  }
  return rest;
}

/** Shows why an order was refused, with the next step above the button; null hides it. */
export function showRefusal(refusal) {
  showAdvice([]);
  const problem = byId("problem");
  problem.hidden = !refusal;
  problem.dataset.unclear = Boolean(refusal?.unclear);
  if (!refusal) return;
  const rest = mark(refusal.faults);
  explain(problem, refusal, {
    message: refusal.faults.length ? rest.join(" ") : refusal.message,
    more: refusal.unclear ? "Your prompt is still here. Press the button again: you are charged at most once." : "",
  });
  problem.scrollIntoView({ block: "nearest" });
  const first = form.querySelector("[data-fault]:not(:empty)");
  if (first) control(first).focus();
}

/** Shows, after a reload, that the order in the form was sent and has no answer. */
export function showUnanswered() {
  const problem = byId("problem");
  problem.textContent = "Your last order has no answer yet. Press the button again: you are charged at most once.";
  problem.dataset.unclear = true;
  problem.hidden = false;
}

/** Shows calmly, before the order, what would speak against it: the problems of a quote. */
export function showAdvice(problems) {
  const rest = mark(problems.flatMap((problem) => problem.errors || []));
  const general = problems.filter((problem) => !problem.errors).map((problem) => `${problem.detail} ${problem.hint}`);
  byId("advice").textContent = [...rest, ...general].join(" ");
  byId("form-news").textContent = problems.map((problem) => problem.detail).join(" ");
}
