// The lightbox: one picture, large, with its facts and what can be done with it. The arrow keys,
// buttons and swipes go through all pictures of the list.

import { againButtons } from "./again.js";
import { byId, el, explain, isPicture, Refusal, small } from "./api.js";
import { costText, duration } from "./card.js";
import { compare, startCompare } from "./compare.js";
import { startEdit, useAgain } from "./composer.js";
import { focusPicture, hasMore, listed, loadMore, remove } from "./gallery.js";
import { title } from "./models.js";
import { fullTask } from "./tasks.js";

const lightbox = byId("lightbox");
const swipe = 50; // px
let shown = null; // {task, image, at}: at is its place in the list
let ordered = () => {};

export function startLightbox(onOrdered) {
  ordered = onOrdered;
  startCompare();
  byId("lightbox-edit").addEventListener("click", edit);
  byId("lightbox-copy").addEventListener("click", copy);
  byId("lightbox-delete").addEventListener("click", removeShown);
  byId("lightbox-close").addEventListener("click", () => lightbox.close());
  byId("lightbox-previous").addEventListener("click", () => go(-1));
  byId("lightbox-next").addEventListener("click", () => go(1));
  lightbox.addEventListener("click", (event) => { if (event.target === lightbox) lightbox.close(); });
  lightbox.addEventListener("close", () => { if (shown) focusPicture(shown.task, shown.image); });
  lightbox.addEventListener("keydown", onKey);
  startSwipes(byId("lightbox-stage"));
}

/** Opens the lightbox with one picture of a task. */
export function open(task, image) {
  show(task, image);
  lightbox.showModal();
}

// ---- from picture to picture

/** All pictures of the list, in its order. */
const pictures = () => listed().flatMap((task) => task.images.filter((image) => isPicture(image.url)).map((image) => ({ task, image })));

/** Where the shown picture is among all; if it is gone, where it was. */
function place(all) {
  const at = all.findIndex(({ task, image }) => task.id === shown.task.id && image.n === shown.image.n);
  return at < 0 ? Math.min(shown.at, all.length) - 0.5 : at;
}

async function go(by) {
  let all = pictures();
  if (by > 0 && place(all) + by >= all.length && hasMore()) {
    await loadMore();
    all = pictures();
  }
  step(all, by > 0 ? Math.floor(place(all) + by) : Math.ceil(place(all) + by));
}

function step(all, at) {
  const next = all[Math.max(0, Math.min(at, all.length - 1))];
  if (next && lightbox.open) show(next.task, next.image);
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input")) return; // the slider has the same keys
  const action = { ArrowLeft: () => go(-1), ArrowRight: () => go(1), Home: () => step(pictures(), 0), End: () => step(pictures(), Infinity) }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** Calls go for each sideways swipe of one finger. */
function startSwipes(stage) {
  let start = null;
  stage.addEventListener("pointerdown", (event) => { start = event.pointerType === "touch" && event.isPrimary ? event : null; });
  stage.addEventListener("pointercancel", () => { start = null; });
  stage.addEventListener("pointerup", (event) => {
    if (!start || !event.isPrimary) return;
    const x = event.clientX - start.clientX, y = event.clientY - start.clientY;
    start = null;
    if (Math.abs(x) > swipe && Math.abs(x) > 2 * Math.abs(y)) go(x < 0 ? 1 : -1);
  });
}

// ---- one picture

function show(task, image) {
  const all = pictures();
  shown = { task, image, at: 0 };
  shown.at = Math.max(0, Math.floor(place(all)));
  byId("lightbox-place").replaceChildren(`Picture ${shown.at + 1} of ${all.length}`, el("span", { className: "visually-hidden" }, `: ${task.prompt.slice(0, 80)}`));
  byId("lightbox-previous").ariaDisabled = String(shown.at === 0);
  byId("lightbox-next").ariaDisabled = String(shown.at >= all.length - 1 && !hasMore());
  for (const near of [all[shown.at - 1], all[shown.at + 1]]) if (near) new Image().src = near.image.url; // ready when it is wanted
  showPicture(task, image);
  byId("lightbox-facts").replaceChildren(...facts(task, image));
  byId("lightbox-download").href = `${image.url}?download=1`;
  byId("lightbox-copy").textContent = "Copy link";
  byId("lightbox-problem").textContent = byId("lightbox-ordered").textContent = "";
  const actions = { fill: (words) => { shown = null; lightbox.close(); useAgain(words); }, ordered: onOrder };
  byId("lightbox-again").replaceChildren(...againButtons(task, actions, byId("lightbox-problem")));
  showPrompt(shown);
  compare(task);
}

/** Shows the picture, over its thumbnail until it is loaded. */
function showPicture(task, image) {
  const picture = el("img", { id: "lightbox-image", alt: task.prompt.slice(0, 300), width: image.width, height: image.height, draggable: false });
  const frame = byId("lightbox-frame");
  frame.style.setProperty("--width", image.width);
  frame.style.setProperty("--height", image.height);
  picture.style.backgroundImage = `url(${JSON.stringify(small(image))})`;
  picture.addEventListener("load", () => { picture.style.backgroundImage = ""; });
  picture.addEventListener("error", () => { // some browsers cannot show some pictures that we store
    picture.hidden = true;
    byId("lightbox-problem").textContent = "This browser cannot show the file. Download it and open it with another program.";
  });
  picture.src = image.url;
  byId("lightbox-image")?.remove();
  frame.prepend(picture);
}

/** Shows the whole prompt; lists cut it. */
async function showPrompt(opened) {
  byId("lightbox-prompt").textContent = opened.task.prompt;
  try {
    const task = await fullTask(opened.task);
    if (shown === opened) byId("lightbox-prompt").textContent = task.prompt;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (shown === opened) explain(byId("lightbox-problem"), error);
  }
}

function facts(task, image) {
  const size = image.bytes < 1e6 ? `${Math.ceil(image.bytes / 1000)} kB` : `${(image.bytes / 1e6).toFixed(1)} MB`;
  const took = Math.max(1, Math.round((Date.parse(task.completedAt) - Date.parse(task.createdAt)) / 1000));
  return Object.entries({
    Picture: `${image.width} × ${image.height} · ${size} · ${image.contentType.replace("image/", "").toUpperCase()}`,
    Model: [title(task.model), task.resolution, task.aspectRatio].filter(Boolean).join(" · "),
    Made: `${new Date(task.completedAt).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}, in ${duration(took)}`,
    Cost: `${costText(task)}${task.numImages > 1 ? ` for ${task.numImages} pictures` : ""}`,
    Origin: origin(image.provenance),
    ...(image.damaged && { Damaged: "The file arrived incomplete. Part of it may be missing." }),
    Task: task.id,
  }).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

function origin({ digitalSourceType, c2pa }) {
  const made = digitalSourceType.endsWith("/trainedAlgorithmicMedia") ? "Made by AI" : "Made by AI with a picture from outside";
  return c2pa === "present" ? `${made} · the file has a C2PA manifest, not verified` : made;
}

// ---- what can be done with it

function onOrder(task) {
  ordered(task);
  byId("lightbox-ordered").textContent = "Ordered. The new picture comes first in the list.";
}

function edit() {
  const { task, image } = shown;
  shown = null; // the focus goes to the form
  lightbox.close();
  startEdit({ entry: `task:${task.id}/${image.n}`, picture: small(image), label: task.prompt.slice(0, 40) }, task.aspectRatio);
}

/** Deletes the shown picture's task; then the next picture is shown, if there is one. */
async function removeShown() {
  const { task, image } = shown;
  const many = task.images.length > 1;
  const question = many ? `Delete these ${task.images.length} pictures for good? Their links will stop working.` : "Delete this picture for good? Its link will stop working.";
  if (!await remove(task, question, byId("lightbox-delete"), byId("lightbox-problem"))) return;
  shown.at -= task.images.indexOf(image); // where the next task's pictures are now
  if (pictures().length) return go(1);
  lightbox.close();
  byId("prompt").focus();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(shown.image.url);
    byId("lightbox-copy").textContent = "Copied";
  } catch {
    byId("lightbox-copy").textContent = "The browser does not allow copying";
  }
}
