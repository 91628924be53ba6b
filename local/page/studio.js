// The studio: a composer, a gallery, and switches for the simulator.

import { byId, call, el, explain, onSignIn, Refusal, signIn, small } from "./api.js";
import { startBoards } from "./board.js";
import { addInput, fill, startComposer, title } from "./composer.js";
import { addTask, before, duration, fullTask, remove, startGallery, switchBoard } from "./gallery.js";
import { startSimulator } from "./simulator.js";
import { showTroubles } from "./troubles.js";

/** Asks the user for a token. command prints one; it is empty if the tokens come from another identity provider. */
async function askToken(command) {
  byId("sign-in-paid").hidden = !command;
  byId("sign-in-other").hidden = Boolean(command);
  byId("sign-in-command").textContent = command;
  const dialog = byId("sign-in");
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return byId("token").value.trim();
}

const reasons = {
  insufficient_credits: "The service has no credits left.",
  quota_exceeded: "You have used up today's pictures.",
};

const clock = (time) => new Date(time).toLocaleTimeString([], { timeStyle: "short" });

async function showCredits() {
  try {
    const { body } = await call("/v1/credits");
    const parts = [el("b", {}, body.balance.toLocaleString()), " credits"];
    if (body.quota.limit > 0) parts.push(` · ${body.quota.used} of ${body.quota.limit} pictures today`);
    const warning = body.reason ? reasons[body.reason] || "No pictures can be made now." : body.low ? "Credits are running low." : "";
    if (warning) parts.push(" ", el("span", { className: "low" }, warning));
    if (body.reason === "quota_exceeded") parts.push(` The next are available at ${clock(body.quota.resetsAt)}.`);
    byId("credits").replaceChildren(...parts);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    explain(byId("credits"), error, { message: `Cannot read the balance now. ${error.message}` });
  }
}

// The server checks the balance and reports errors from time to time, so both are
// read again regularly.
const showState = () => Promise.all([showCredits(), showTroubles()]);
setInterval(() => { if (!document.hidden) showState(); }, 15_000);

// ---- the lightbox

const lightbox = byId("lightbox");
let shown = null; // {task, image}

/** Shows the picture that an edit started from next to the result. */
async function showBefore(opened) {
  byId("lightbox-before").hidden = byId("lightbox-after").hidden = true;
  const image = await before(opened.task);
  if (shown !== opened || !image) return;
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
    Cost: `${task.credits.estimate} credits${task.numImages > 1 ? ` for ${task.numImages} pictures` : ""}`,
    Origin: origin(image.provenance),
    ...(image.damaged && { Damaged: "The file arrived incomplete. Part of it may be missing." }),
    Task: task.id,
  }).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

function origin({ digitalSourceType, c2pa }) {
  const made = digitalSourceType.endsWith("/trainedAlgorithmicMedia") ? "Made by AI" : "Made by AI with a picture from outside";
  return c2pa === "present" ? `${made} · the file has a C2PA manifest, not verified` : made;
}

function open(task, image) {
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
  addInput({ entry: `task:${task.id}/${image.n}`, picture: small(image), label: task.prompt.slice(0, 40) });
  fill({});
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

/** Fills the composer with the request of a failed task. */
async function retry(short, problem) {
  problem.textContent = "";
  let task;
  try {
    task = await fullTask(short);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    explain(problem, error);
    return;
  }
  const inputs = (task.imageUrls || []).map((entry) => ({ entry, label: entry.replace(/^https?:\/\//, "").slice(0, 60) }));
  fill({ ...task, inputs });
}

onSignIn(askToken);
try {
  const session = await signIn(askToken);
  startBoards(session.target.id, switchBoard);
  await startComposer((task) => { addTask(task); showState(); });
  await Promise.all([
    startGallery({ fill, retry, open, ended: showState }),
    showState(),
    session.simulator ? startSimulator() : null,
  ]);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  explain(byId("gallery-problem"), error, { more: "Then reload the page." });
}
