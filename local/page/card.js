// A task's card: its pictures, its words, its state, and what can be done with it.

import { againButtons } from "./again.js";
import { el, isPicture, small } from "./api.js";
import { boardAddress, boardName, target } from "./board.js";
import { priceText, ratio } from "./models.js";
import { known } from "./tasks.js";

/** Builds the card of a task. actions says what its buttons do. */
export function build(task, actions) {
  const card = el("li", { className: `task ${task.status}` });
  card.dataset.id = task.id;
  const [w, h] = ratio(task.aspectRatio);
  card.style.setProperty("--ratio", `${w} / ${h}`);
  if (task.images.length || !task.done) card.append(task.images.length ? pictures(task, actions) : waiting(task));
  const words = el("div", { className: "words" }, el("p", { className: "prompt", title: task.prompt }, task.prompt));
  if (task.parent || task.inputs) words.append(origin(task));
  words.append(state(task));
  if (!task.done) {
    words.append(el("p", { className: "time" }));
    showTime(task, words);
  }
  if (task.missing) words.append(el("p", { className: "hint" }, `${task.missing} of ${task.numImages} pictures are missing.`));
  const damaged = task.images.filter((image) => image.damaged);
  if (damaged.length) words.append(el("p", { className: "hint" }, damagedHint(task, damaged)));
  if (task.error) words.append(failure(task));
  const problem = el("p", { className: "fault", role: "alert" });
  words.append(place(task, () => actions.move(task, problem)));
  const row = el("p", { className: "row" }, ...againButtons(task, actions, problem));
  if (task.status === "waiting") row.append(removal(task, actions, "Cancel", "Cancel this picture? Nothing is charged.", problem));
  if (task.status === "failed") row.append(removal(task, actions, "Delete", "Delete this task?", problem));
  words.append(row, problem);
  card.append(words);
  return card;
}

const boxOf = (n) => el("div", { className: `pictures ${n > 1 ? "many" : ""}` });

/** As many places as pictures are being made, so that nothing moves when they arrive. */
function waiting(task) {
  const box = boxOf(task.numImages);
  for (let n = 0; n < task.numImages; n++) box.append(el("div", { className: "waiting" }));
  return box;
}

function pictures(task, actions) {
  const shown = task.images.filter((i) => isPicture(small(i)) && isPicture(i.url));
  const box = boxOf(shown.length);
  for (const image of shown) {
    const label = task.images.length > 1 ? `Picture ${image.n}: ${task.prompt}` : task.prompt;
    const picture = el("img", { src: small(image), alt: label.slice(0, 300), width: image.width, height: image.height, loading: "lazy" });
    const open = el("button", { type: "button", className: "picture", ariaLabel: `Open ${label.slice(0, 120)}` }, picture);
    picture.addEventListener("error", () => picture.replaceWith(el("span", { className: "plain" }, "No preview")));
    open.dataset.n = image.n;
    open.style.aspectRatio = `${image.width} / ${image.height}`;
    open.addEventListener("click", () => actions.open(task, image));
    box.append(open);
  }
  return box;
}

/** Names the damaged pictures. */
function damagedHint(task, damaged) {
  const which = task.images.length > 1 ? `Picture ${damaged.map((image) => image.n).join(", ")}` : "This picture";
  return `${which} arrived damaged. Part of it may be missing.`;
}

/** What became of a task's credits, in the API's words. */
export const costText = ({ credits: { estimate, outcome } }) => `${priceText(estimate)} ${{ returned: "returned to you" }[outcome] || outcome}`;

function state(task) {
  const text = el("span", {}, task.done && !task.error ? new Date(task.completedAt).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : task.statusText);
  return el("p", { className: "state" }, text, el("span", {}, costText(task)));
}

/** Which board a task is on, where everything is shown, and a button that moves it. */
function place(task, move) {
  const board = task.target ? [el("span", {}, "On ", el("a", { href: boardAddress(task.target) }, boardName(task.target)))] : ["On no board"];
  return el("p", { className: "place" }, ...(target() ? [] : board), action(task, "Move…", move, "link"));
}

/** Shows how long a task has been running, by the server's clock, and how long such tasks usually take. */
export function showTime(task, card) {
  const place = task.progress && card.querySelector(".time");
  if (!place) return;
  const elapsed = task.progress.elapsedSeconds + Math.floor((performance.now() - task.seenAt) / 1000);
  place.textContent = `${duration(elapsed)}, usually about ${duration(task.progress.expectedSeconds).replace(/ s$/, elapsed < 60 ? "" : " s")}`;
}

/** A number of seconds in words: 23 s, 2 min 5 s. */
export function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const rest = seconds % 60;
  return `${Math.floor(seconds / 60)} min${rest ? ` ${rest} s` : ""}`;
}

/** The picture that a task edits: of its parent, or the copy of an upload. */
function edited(task, parent) {
  if (!task.parent) return task.inputs?.[0];
  const n = (task.imageUrls || []).find((entry) => entry.startsWith(`task:${task.parent}/`))?.split("/")[1];
  return parent?.images.find((image) => image.n === Number(n)) || parent?.images[0];
}

function origin(task) {
  const image = edited(task, known.get(task.parent));
  const picture = image ? el("img", { src: small(image), alt: "", width: 28, height: 28 }) : null;
  picture?.addEventListener("error", () => picture.remove());
  return el("p", { className: "parent" }, picture, task.parent ? "An edit of an earlier picture" : "An edit of a picture of your own");
}

function failure(task) {
  return el("div", { className: "error" }, el("b", {}, task.error.message), el("span", {}, task.error.hint), " ",
    el("small", { className: "request" }, "Task ", el("code", {}, task.id)));
}

/** A button of a card. */
function action(task, text, run, className = "quiet") {
  const button = el("button", { type: "button", className, ariaLabel: `${text.replace("…", "")}: ${task.prompt.slice(0, 120)}` }, text);
  button.addEventListener("click", () => run(button));
  return button;
}

/** A button that cancels or deletes a task; problem is where an error is shown. */
const removal = (task, actions, text, question, problem) =>
  action(task, text, (button) => actions.remove(task, question, button, problem));
