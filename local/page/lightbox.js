// The lightbox: one picture, large, with its facts and what can be done with it.

import { byId, el, explain, Refusal, small } from "./api.js";
import { startEdit } from "./composer.js";
import { costText, duration } from "./card.js";
import { remove } from "./gallery.js";
import { title } from "./models.js";
import { earlier } from "./origins.js";
import { fullTask } from "./tasks.js";

const lightbox = byId("lightbox");
let shown = null; // {task, image}

/** Shows the picture that an edit started from next to the result. */
async function showBefore(opened) {
  byId("lightbox-before").hidden = byId("lightbox-after").hidden = true;
  const [step] = await earlier(opened.task);
  if (shown !== opened || !step) return;
  const { image } = step;
  Object.assign(byId("lightbox-before-image"), { src: image.url, alt: "The picture before it was edited", width: image.width, height: image.height });
  byId("lightbox-before").hidden = byId("lightbox-after").hidden = false;
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

/** Opens the lightbox with one picture of a task. */
export function open(task, image) {
  const opened = shown = { task, image };
  const picture = byId("lightbox-image");
  Object.assign(picture, { src: image.url, alt: task.prompt.slice(0, 300), width: image.width, height: image.height, hidden: false });
  byId("lightbox-facts").replaceChildren(...facts(task, image));
  byId("lightbox-download").href = `${image.url}?download=1`;
  byId("lightbox-copy").textContent = "Copy link";
  byId("lightbox-problem").textContent = "";
  showPrompt(opened);
  showBefore(opened);
  lightbox.showModal();
}

// Some browsers cannot show some pictures that we store.
byId("lightbox-image").addEventListener("error", () => {
  if (!shown) return;
  byId("lightbox-image").hidden = true;
  byId("lightbox-problem").textContent = "This browser cannot show the file. Download it and open it with another program.";
});

function edit() {
  const { task, image } = shown;
  lightbox.close();
  startEdit({ entry: `task:${task.id}/${image.n}`, picture: small(image), label: task.prompt.slice(0, 40) }, task.aspectRatio);
}

async function removeShown() {
  const { task } = shown;
  const many = task.images.length > 1;
  const question = many ? `Delete these ${task.images.length} pictures for good? Their links will stop working.` : "Delete this picture for good? Its link will stop working.";
  if (await remove(task, question, byId("lightbox-delete"), byId("lightbox-problem"))) lightbox.close();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(shown.image.url);
    byId("lightbox-copy").textContent = "Copied";
  } catch {
    byId("lightbox-copy").textContent = "The browser does not allow copying";
  }
}

byId("lightbox-edit").addEventListener("click", edit);
byId("lightbox-copy").addEventListener("click", copy);
byId("lightbox-delete").addEventListener("click", removeShown);
byId("lightbox-close").addEventListener("click", () => lightbox.close());
lightbox.addEventListener("click", (event) => { if (event.target === lightbox) lightbox.close(); });
