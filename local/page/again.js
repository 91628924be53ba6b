// "Use again" and "New version": a task's words and options for another order.

import { byId, el, explain, isPicture, Refusal, small } from "./api.js";
import { fullTask } from "./tasks.js";
import { price, priceText } from "./models.js";
import { oncePerPress, order, quote } from "./order.js";
import { inputsOf } from "./origins.js";

/** The request that orders the same again. */
function requestOf({ prompt, model, aspectRatio, resolution, numImages, watermark, target, imageUrls }) {
  return { prompt, model, aspectRatio, resolution, numImages, watermark, target, imageUrls }; // JSON leaves out what is undefined
}

/**
 * A task's whole words and options, and its inputs for the form. Uploads are kept for a day; then
 * the copy that a finished edit keeps is used instead.
 */
async function wordsOf(short) {
  const task = await fullTask(short);
  const inputs = await inputsOf(task);
  if (inputs.some((input) => input.entry.startsWith("upload:") && input.image)) {
    const { body } = await quote(requestOf(task));
    for (const { pointer } of body.problems.flatMap((problem) => problem.errors || [])) {
      const input = inputs[/^\/imageUrls\/(\d+)$/.exec(pointer)?.[1]];
      if (input?.image && input.entry.startsWith("upload:")) input.entry = input.image.url;
    }
  }
  const chips = inputs.map(({ entry, label, image }) => ({ entry, label, picture: image && isPicture(small(image)) ? small(image) : "" }));
  return { ...requestOf(task), imageUrls: inputs.length ? inputs.map((input) => input.entry) : undefined, inputs: chips };
}

/** The text of the button that orders the same again. */
const againText = (task) => (task.error?.retryable ? "Try again" : "New version");

/**
 * The buttons that use a task again. fill gets its words and options, ordered the new task;
 * problem is where errors are shown.
 */
export function againButtons(task, { fill, ordered }, problem) {
  const words = task.prompt.slice(0, 120);
  const use = el("button", { type: "button", className: "quiet", ariaLabel: `Use again: ${words}`, title: "Fill the form with these words and options" }, "Use again");
  const again = el("button", { type: "button", className: "quiet", title: "Order the same once more, as a new picture" }, againText(task));
  const credits = priceText(price(task));
  again.append(" ", el("span", { className: "cost" }, `· ${credits}`));
  again.ariaLabel = `${again.textContent}: ${words}`;
  oncePerPress(again);

  const run = async (button, action) => {
    problem.replaceChildren();
    button.ariaBusy = "true";
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const place = problem.isConnected ? problem : byId("gallery-problem"); // the card may have changed meanwhile
      explain(place, error, { more: button === again && error.unclear ? "Press the button again: you are charged at most once." : "" });
    } finally {
      button.ariaBusy = "false";
    }
  };
  use.addEventListener("click", () => run(use, async () => fill(await wordsOf(task))));
  again.addEventListener("click", () => {
    if (again.ariaBusy === "true") return;
    run(again, async () => {
      const { inputs, ...request } = await wordsOf(task);
      ordered(await order(`again ${task.id}`, request));
    });
  });
  return [use, again];
}
