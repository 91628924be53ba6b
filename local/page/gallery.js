// The pictures: one card per task, the newest first. One long poll follows what runs; the list is read
// again from time to time, for what other tabs and programs make, move and delete.

import { byId, call, el, explain, Refusal } from "./api.js";
import { askBoard, boardName, know, target } from "./board.js";
import { build, showTime } from "./card.js";
import { startMasonry } from "./masonry.js";
import { known } from "./tasks.js";

const cards = new Map(); // id -> {task, card}
const list = byId("tasks");
let order = []; // the ids of the tasks that are loaded, the newest first
let held = new Set(); // those of them that arrived while the user looks at older ones: not shown yet
let cursor = ""; // where the next page begins
let floor = ""; // when the oldest task of the loaded pages was made
let loaded = false; // whether the first page is there
let changes = 0; // grows whenever the tasks or the board change, so that older answers are dropped
let boardTurn = 0; // grows when another board is shown
let poll = null; // the AbortController of the long poll
let polled = ""; // the ids that it names
let actions = {};

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export async function startGallery(given) {
  actions = { ...given, move, remove };
  startMasonry(list);
  byId("more").addEventListener("click", load);
  byId("arrived").addEventListener("click", () => { list.scrollIntoView({ block: "start" }); release(); });
  addEventListener("scroll", () => { if (held.size && !passed()) release(); }, { passive: true });
  for (const words of ["A lighthouse at dusk, warm light, film grain", "A still life of lemons, oil on linen", "A quiet street in Lisbon, isometric, pastel"]) {
    const example = el("button", { type: "button", className: "quiet" }, words);
    example.addEventListener("click", () => actions.example(words));
    byId("examples").append(el("li", {}, example));
  }
  addEventListener("focus", refresh);
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, 10_000);
  setInterval(() => { for (const { task, card } of cards.values()) showTime(task, card); }, 1000);
  await load();
  follow();
}

/** Replaces the pictures with another board's, or with everything. */
export async function switchBoard() {
  boardTurn++;
  changes++;
  order = [];
  held.clear();
  cursor = floor = "";
  loaded = false;
  render();
  byId("more").hidden = byId("empty").hidden = true;
  showProblem("load", null);
  await load();
}

// ---- what is loaded

/** Reads one page of the list. */
async function page(parameters) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  const board = target();
  if (board) query.set("target", `${board.kind}:${board.id}`);
  return (await call(`/v1/tasks?${query}`)).body;
}

/** Loads the first page, or the next one. */
async function load() {
  const turn = boardTurn;
  let body;
  try {
    do { // a page may be empty although others follow
      body = await page({ limit: 50, cursor });
      if (turn !== boardTurn) return;
      cursor = body.cursor || "";
    } while (cursor && !body.tasks.length);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (turn !== boardTurn) return;
    showProblem("load", error);
    byId("more").hidden = false;
    return;
  }
  showProblem("load", null);
  loaded = true;
  changes++;
  floor = body.tasks.at(-1)?.createdAt || floor;
  put(body.tasks);
  order = [...new Set([...order, ...body.tasks.map((task) => task.id)])];
  render();
}

/** Whether there are older tasks than the list shows. */
export const hasMore = () => !byId("more").hidden;

/** Adds older tasks to the list. */
export const loadMore = () => load();

let refreshing = false;
let misses = 0; // how often in turn the list could not be read again

/** Reads what is loaded again, unless nobody looks. */
async function refresh() {
  if (document.hidden || refreshing) return;
  refreshing = true;
  try {
    if (loaded) await readAgain();
    else await load();
    misses = 0;
    showProblem("refresh", null);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (++misses > 1) showProblem("refresh", error, "The page tries again by itself.");
  } finally {
    refreshing = false;
  }
}

async function readAgain() {
  let seen, tasks;
  do { // what was read while the page changed may be older than what is shown
    seen = changes;
    tasks = [];
    let next = "";
    do {
      const body = await page({ limit: 100, cursor: next, since: cursor && floor });
      tasks.push(...body.tasks);
      next = body.cursor || "";
    } while (next && changes === seen);
  } while (changes !== seen && loaded);
  if (loaded) merge(tasks);
}

/** Takes over the list as it is now. */
function merge(tasks) {
  const before = new Set(order);
  if (cursor) tasks = tasks.filter((task) => task.createdAt !== floor || before.has(task.id)); // those made at that very moment may be on the next page
  const arrived = tasks.filter((task) => !before.has(task.id));
  put(tasks);
  order = tasks.map((task) => task.id);
  const newest = order.slice(0, Math.max(0, order.findIndex((id) => before.has(id)))); // before all that were there
  held = new Set(passed() ? [...held, ...newest].filter((id) => order.includes(id)) : []);
  render();
  if (arrived.length) announce(arrived.length > 1 ? `${arrived.length} new pictures` : `New: ${arrived[0].prompt.slice(0, 80)}`);
}

/** Whether the user has scrolled past the newest pictures: whatever comes before them would move what the user looks at. */
const passed = () => list.getBoundingClientRect().top < 0;

/** Shows what was held back. */
function release() {
  held.clear();
  render();
}

/** Keeps tasks as they are now. */
function put(tasks) {
  for (const task of tasks) {
    task.seenAt = performance.now(); // when its progress was read
    known.set(task.id, task);
  }
  know(tasks.flatMap((task) => task.target || []));
}

/** Shows a task that was just submitted. */
export function addTask(task) {
  put([task]);
  const board = target();
  if (board && (task.target?.kind !== board.kind || task.target.id !== board.id)) return; // it was submitted from another board
  changes++;
  held.clear();
  order = [task.id, ...order.filter((id) => id !== task.id)];
  render();
  announce(`${task.statusText}: ${task.prompt.slice(0, 80)}`);
  reveal(cards.get(task.id).card);
}

/** Scrolls to a card that is not wholly in the window, as on a phone, where the form is above it. */
function reveal(card) {
  const { top, bottom } = card.getBoundingClientRect();
  const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (top < 0 || bottom > innerHeight) card.scrollIntoView({ block: "start", behavior: smooth ? "smooth" : "instant" });
}

/** Removes tasks from the page. */
function drop(ids) {
  changes++;
  order = order.filter((id) => !ids.includes(id));
  for (const id of ids) known.delete(id);
  render();
}

/** The tasks that are listed, in their order on the page. */
export const listed = () => [...list.children].map((card) => cards.get(card.dataset.id)?.task).filter(Boolean);

/** Moves the focus to one picture of a task, if it is listed. */
export function focusPicture(task, image) {
  cards.get(task.id)?.card.querySelector(`.picture[data-n="${image.n}"]`)?.focus();
}

// ---- what is shown

const announce = (text) => { byId("news").textContent = text; };

/** Makes the cards those of the loaded tasks. A card that stays the same is not touched. */
function render() {
  const ids = order.filter((id) => !held.has(id));
  const wanted = new Set(ids);
  const focus = focusIn();
  for (const [id, { card }] of cards) {
    if (wanted.has(id)) continue;
    card.remove();
    cards.delete(id);
  }
  const now = ids.map((id) => update(known.get(id)));
  let next = list.firstElementChild;
  for (const card of now) {
    if (card === next) next = next.nextElementSibling;
    else list.insertBefore(card, next);
  }
  focus();
  byId("empty").hidden = order.length > 0 || Boolean(cursor);
  byId("more").hidden = !cursor;
  byId("arrived").hidden = !held.size;
  byId("arrived").textContent = held.size === 1 ? "Show 1 new picture" : `Show ${held.size} new pictures`;
  if (running().join() !== polled) poll?.abort();
}

/** The card of a task as it is now. */
function update(task) {
  const before = cards.get(task.id);
  const same = (name) => JSON.stringify(before.task[name]) === JSON.stringify(task[name]); // the statusText may change while the status does not
  if (before && ["status", "statusText", "updatedAt", "target"].every(same)) {
    before.task = task;
    showTime(task, before.card);
    return before.card;
  }
  const card = build(task, actions);
  cards.set(task.id, { task, card });
  if (!before) return card;
  before.card.replaceWith(card);
  if (before.task.status !== task.status || before.task.statusText !== task.statusText) {
    announce(`${task.error?.message || task.statusText}: ${task.prompt.slice(0, 80)}`);
  }
  if (task.done && !before.task.done) actions.ended(task);
  return card;
}

/**
 * Notes which control of which card has the focus. The function that it returns gives the focus back:
 * to the same control, or if its card is gone, to the next card.
 */
function focusIn() {
  const focused = document.activeElement;
  const card = focused.closest?.(".task");
  if (!card) return () => {};
  const nth = [...card.querySelectorAll("button, a")].findIndex((control) => control === focused);
  const { ariaLabel, textContent } = focused;
  const after = [...list.children].slice([...list.children].indexOf(card));
  const before = card.previousElementSibling;
  return () => {
    if (document.activeElement === focused) return;
    const now = cards.get(card.dataset.id)?.card;
    const controls = [...now?.querySelectorAll("button, a") || []];
    const alike = controls.find((control) => control.ariaLabel === ariaLabel && control.textContent === textContent) || controls[nth] || controls[0];
    const neighbour = [...after, before].find((other) => other?.isConnected)?.querySelector("button");
    (alike || neighbour || byId("prompt")).focus({ preventScroll: Boolean(alike) });
  };
}

const problems = { load: null, poll: null, refresh: null };

/** Shows what keeps one of these from being read, or that nothing does. */
function showProblem(kind, refusal, more = "") {
  problems[kind] = refusal && { refusal, more };
  const first = Object.values(problems).find(Boolean);
  byId("gallery-problem").hidden = !first;
  if (first) explain(byId("gallery-problem"), first.refusal, { more: first.more });
}

// ---- what is done to a task

const tooLate = { message: "It is too late to cancel this picture.", hint: "It is being made, or it is finished: then you can delete it." };

/**
 * Asks the user, then deletes a task that has ended, or cancels one that has not. It resolves to
 * whether the task is gone.
 */
export async function remove(task, question, button, problem) {
  const cancels = !task.done; // it may end before the user has answered: then its pictures stay
  problem.textContent = "";
  if (!confirm(question)) return false;
  const hadFocus = document.activeElement === button; // disabling the button takes the focus away
  button.disabled = true;
  try {
    await call(`/v1/tasks/${task.id}${cancels ? "?cancel=1" : ""}`, { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status !== 404) { // it is already gone
      if (cancels && error.status === 409) Object.assign(error, tooLate);
      explain(problem.isConnected ? problem : byId("gallery-problem"), error); // the card may have changed meanwhile
      return false;
    }
  } finally {
    button.disabled = false;
    if (hadFocus) button.focus();
  }
  drop([task.id]);
  actions.ended(task);
  return true;
}

/** Asks for a board and moves a task there. */
async function move(task, problem) {
  problem.textContent = "";
  const board = await askBoard("Move to a moodboard", "A new id starts a new moodboard.", "Move");
  if (!board) return;
  try {
    put([(await call(`/v1/tasks/${task.id}/target`, { method: "PUT", body: board })).body]);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    explain(problem, error);
    return;
  }
  changes++;
  const shown = target();
  if (shown && (shown.kind !== board.kind || shown.id !== board.id)) drop([task.id]);
  else render();
  announce(`Moved to ${boardName(board)}: ${task.prompt.slice(0, 80)}`);
}

// ---- the long poll: one request for all running tasks, another one when they change

const running = () => order.filter((id) => !known.get(id).done).slice(0, 50);

async function follow() {
  for (let etag = null, failures = 0; ; ) {
    const ids = running();
    poll = new AbortController();
    const changed = new Promise((resolve) => poll.signal.addEventListener("abort", resolve, { once: true }));
    if (polled !== ids.join()) { polled = ids.join(); etag = null; }
    if (!ids.length) { await changed; continue; }
    try {
      const begun = performance.now();
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await call(`/v1/tasks?ids=${polled}&wait=20`, { headers, signal: poll.signal });
      const news = answer.etag !== etag;
      etag = answer.etag;
      if (answer.body) take(ids, answer.body.tasks);
      if (failures) showProblem("poll", null);
      failures = 0;
      // A server that does not wait says when to ask again.
      if (!news && performance.now() - begun < 500 && running().join() === polled) await Promise.race([pause(answer.retryAfter || 2), changed]);
    } catch (error) {
      if (error.name === "AbortError") continue;
      if (!(error instanceof Refusal)) throw error;
      failures++;
      if (failures > 1) showProblem("poll", error, "The page tries again by itself.");
      await Promise.race([pause(error.retryAfter || Math.min(30, 2 ** failures)), changed]);
    }
  }
}

/** Shows what the poll for ids has found. */
function take(ids, tasks) {
  changes++;
  put(tasks.filter((task) => order.includes(task.id)));
  const found = tasks.map((task) => task.id);
  drop(ids.filter((id) => !found.includes(id))); // deleted elsewhere
}
