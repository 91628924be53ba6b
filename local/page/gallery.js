// The pictures: one card per task, kept up to date by one long poll.

import { againButtons } from "./again.js";
import { byId, call, el, explain, isPicture, Refusal, small } from "./api.js";
import { target } from "./board.js";
import { ratio } from "./models.js";
import { known } from "./tasks.js";

const cards = new Map(); // id -> {task, card}
const list = byId("tasks");
let cursor = "";
let boardTurn = 0; // grows with each switch, so that answers for an earlier board are dropped
let poll = null; // the AbortController of the long poll
let actions = {};

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export async function startGallery(given) {
  actions = given;
  byId("more").addEventListener("click", load);
  for (const words of ["A lighthouse at dusk, warm light, film grain", "A still life of lemons, oil on linen", "A quiet street in Lisbon, isometric, pastel"]) {
    const example = el("button", { type: "button", className: "quiet" }, words);
    example.addEventListener("click", () => actions.example(words));
    byId("examples").append(el("li", {}, example));
  }
  document.addEventListener("visibilitychange", restart);
  setInterval(() => { for (const { task, card } of cards.values()) showTime(task, card); }, 1000);
  await load();
  follow();
}

/** Replaces the pictures with another board's. */
export async function switchBoard() {
  boardTurn++;
  cards.clear();
  list.replaceChildren();
  cursor = "";
  byId("more").hidden = true;
  byId("empty").hidden = true;
  showProblem(null);
  restart();
  await load();
}

/** Whether there are older tasks than the list shows. */
export const hasMore = () => !byId("more").hidden;

/** Adds older tasks to the list. */
export const loadMore = () => load();

async function load() {
  const { kind, id } = target();
  const turn = boardTurn;
  const query = new URLSearchParams({ target: `${kind}:${id}`, limit: "50" });
  if (cursor) query.set("cursor", cursor);
  let body;
  try {
    ({ body } = await call(`/v1/tasks?${query}`));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (turn === boardTurn) {
      showProblem(error);
      byId("more").hidden = false;
    }
    return;
  }
  if (turn !== boardTurn) return;
  showProblem(null);
  for (const task of body.tasks) known.set(task.id, task);
  for (const task of body.tasks) show(task, false);
  cursor = body.cursor || "";
  byId("more").hidden = !cursor;
  byId("empty").hidden = cards.size > 0;
  restart();
}

/** Shows a task that was just submitted. */
export function addTask(task) {
  known.set(task.id, task);
  if (task.target?.id !== target().id) return; // it was submitted from an earlier board
  byId("empty").hidden = true;
  show(task, true);
  restart();
  reveal(cards.get(task.id).card);
}

/** Scrolls to a card that is not wholly in the window, as on a phone, where the form is above it. */
function reveal(card) {
  const { top, bottom } = card.getBoundingClientRect();
  const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (top < 0 || bottom > innerHeight) card.scrollIntoView({ block: "start", behavior: smooth ? "smooth" : "instant" });
}

/** The tasks that are listed, in their order on the page. */
export const listed = () => [...list.children].map((card) => cards.get(card.dataset.id)?.task).filter(Boolean);

/** Moves the focus to one picture of a task, if it is listed. */
export function focusPicture(task, image) {
  cards.get(task.id)?.card.querySelector(`.picture[data-n="${image.n}"]`)?.focus();
}

function show(task, first) {
  const before = cards.get(task.id);
  task.seenAt = performance.now(); // when its progress was read
  const same = (name) => before.task[name] === task[name]; // the statusText may change while the status does not
  if (before && ["status", "statusText", "updatedAt"].every(same)) {
    before.task = task;
    showTime(task, before.card);
    return;
  }
  known.set(task.id, task);
  const card = build(task);
  if (before) {
    const hadFocus = before.card.contains(document.activeElement);
    before.card.replaceWith(card);
    if (hadFocus) card.querySelector("button")?.focus();
  } else if (first) list.prepend(card);
  else list.append(card);
  cards.set(task.id, { task, card });
  if (before || first) byId("news").textContent = `${task.error?.message || task.statusText}: ${task.prompt.slice(0, 80)}`;
  if (before && task.done) actions.ended(task);
}

/** Removes a task from the page. */
function drop(id) {
  const gone = cards.get(id);
  if (!gone) return;
  const next = gone.card.nextElementSibling || gone.card.previousElementSibling;
  const hadFocus = gone.card.contains(document.activeElement);
  gone.card.remove();
  cards.delete(id);
  known.delete(id);
  byId("empty").hidden = cards.size > 0 || Boolean(cursor);
  if (hadFocus) (next?.querySelector("button") || byId("prompt")).focus();
  restart();
}

/** Asks the user, then deletes or cancels a task. It resolves to whether the task is gone. */
export async function remove(task, question, button, problem) {
  problem.textContent = "";
  if (!confirm(question)) return false;
  const hadFocus = document.activeElement === button; // disabling the button takes the focus away
  button.disabled = true;
  try {
    await call(`/v1/tasks/${task.id}`, { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status !== 404) { // it is already gone
      explain(problem, error);
      return false;
    }
  } finally {
    button.disabled = false;
    if (hadFocus) button.focus();
  }
  drop(task.id);
  actions.ended(task);
  return true;
}

// ---- the long poll: one request for all running tasks, restarted when they change

const running = () => [...cards.values()].filter((c) => !c.task.done).map((c) => c.task.id).slice(0, 50);

function restart() { poll?.abort(); }

async function follow() {
  for (let etag = null, polled = "", failures = 0; ; ) {
    const ids = running();
    poll = new AbortController();
    const changed = new Promise((resolve) => poll.signal.addEventListener("abort", resolve, { once: true }));
    if (!ids.length || document.hidden) { await changed; continue; }
    if (polled !== ids.join()) { polled = ids.join(); etag = null; }
    try {
      const begun = performance.now();
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await call(`/v1/tasks?ids=${polled}&wait=20`, { headers, signal: poll.signal });
      const news = answer.etag !== etag;
      etag = answer.etag;
      for (const task of answer.body?.tasks || []) if (cards.has(task.id)) show(task, false);
      const found = answer.body?.tasks.map((task) => task.id);
      if (found) ids.filter((id) => !found.includes(id)).forEach(drop); // deleted elsewhere
      if (failures) showProblem(null);
      failures = 0;
      // A server that does not wait says when to ask again.
      if (!news && performance.now() - begun < 500 && running().join() === polled) await Promise.race([pause(answer.retryAfter || 2), changed]);
    } catch (error) {
      if (error.name === "AbortError") continue;
      if (!(error instanceof Refusal)) throw error;
      failures++;
      if (failures > 1) showProblem(error, "The page tries again by itself.");
      await Promise.race([pause(error.retryAfter || Math.min(30, 2 ** failures)), changed]);
    }
  }
}

function showProblem(refusal, more = "") {
  byId("gallery-problem").hidden = !refusal;
  if (refusal) explain(byId("gallery-problem"), refusal, { more });
}

// ---- cards

function build(task) {
  const card = el("li", { className: `task ${task.status}` });
  card.dataset.id = task.id;
  const [w, h] = ratio(task.aspectRatio);
  card.style.setProperty("--ratio", `${w} / ${h}`);
  card.append(task.images.length ? pictures(task) : el("div", { className: "waiting", hidden: task.done }));
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
  const row = el("p", { className: "row" }, ...againButtons(task, actions, problem));
  if (task.status === "waiting") row.append(removal(task, "Cancel", "Cancel this picture? Nothing is charged.", problem));
  if (task.status === "failed") row.append(removal(task, "Delete", "Delete this task?", problem));
  words.append(row, problem);
  card.append(words);
  return card;
}

function pictures(task) {
  const box = el("div", { className: `pictures ${task.images.length > 1 ? "many" : ""}` });
  for (const image of task.images.filter((i) => isPicture(small(i)) && isPicture(i.url))) {
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

const outcomes = { held: "held", spent: "spent", returned: "not charged to you" };

function state(task) {
  const text = el("span", {}, task.done && !task.error ? new Date(task.completedAt).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : task.statusText);
  const side = el("span", {}, `${task.credits.estimate} credits ${outcomes[task.credits.outcome] || ""}`);
  return el("p", { className: "state" }, text, side);
}

/** Shows how long a task has been running, by the server's clock, and how long such tasks usually take. */
function showTime(task, card) {
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

/** A button that cancels or deletes a task; problem is where an error is shown. */
function removal(task, text, question, problem) {
  const button = el("button", { type: "button", className: "quiet", ariaLabel: `${text}: ${task.prompt.slice(0, 120)}` }, text);
  button.addEventListener("click", () => remove(task, question, button, problem));
  return button;
}
