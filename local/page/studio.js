// The studio: a composer, a gallery, and switches for the simulator.

import { byId, call, el, onSignIn, Refusal, signIn } from "./api.js";
import { addInput, fill, startComposer } from "./composer.js";
import { addTask, remove, startGallery } from "./gallery.js";
import { startSimulator } from "./simulator.js";

/** Asks for a token, where the server has none to give. */
async function askToken() {
  const dialog = byId("sign-in");
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return byId("token").value.trim();
}

const reasons = {
  insufficient_credits: "The service has no credits left.",
  quota_exceeded: "Your pictures of today are used up.",
};

async function showCredits() {
  try {
    const { body } = await call("/v1/credits");
    const parts = [el("b", {}, body.balance.toLocaleString()), " credits"];
    if (body.quota.limit > 0) parts.push(` · ${body.quota.used} of ${body.quota.limit} pictures today`);
    const word = body.reason ? reasons[body.reason] || "Nothing can be made now." : body.low ? "Running low." : "";
    if (word) parts.push(" ", el("span", { className: "low" }, word));
    byId("credits").replaceChildren(...parts);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    byId("credits").textContent = "The balance is not known just now.";
  }
}

// What a picture cost shows a little later: the balance is checked now and then.
setInterval(() => { if (!document.hidden) showCredits(); }, 15_000);

// ---- the lightbox

const lightbox = byId("lightbox");
let shown = null; // {task, image}

function open(task, image) {
  shown = { task, image };
  const picture = byId("lightbox-image");
  Object.assign(picture, { src: image.url, alt: task.prompt.slice(0, 300), width: image.width, height: image.height });
  byId("lightbox-prompt").textContent = task.prompt;
  const size = image.bytes < 1e6 ? `${Math.ceil(image.bytes / 1000)} kB` : `${(image.bytes / 1e6).toFixed(1)} MB`;
  byId("lightbox-facts").textContent = `${image.width} × ${image.height} · ${size} · ${image.contentType.replace("image/", "").toUpperCase()}`;
  byId("lightbox-download").href = `${image.url}?download=1`;
  byId("lightbox-copy").textContent = "Copy link";
  byId("lightbox-problem").textContent = "";
  lightbox.showModal();
}

function edit() {
  const { task, image } = shown;
  lightbox.close();
  addInput({ entry: `task:${task.id}/${image.n}`, picture: image.thumbnailUrl, label: task.prompt.slice(0, 40) });
  fill({});
}

async function removeShown() {
  const { task } = shown;
  const many = task.images.length > 1;
  const question = many ? `Delete these ${task.images.length} pictures for good? Their links will lead nowhere.` : "Delete this picture for good? Its link will lead nowhere.";
  if (await remove(task, question, byId("lightbox-delete"), byId("lightbox-problem"))) lightbox.close();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(shown.image.url);
    byId("lightbox-copy").textContent = "Copied";
  } catch {
    byId("lightbox-copy").textContent = "Copying is not allowed here";
  }
}

byId("lightbox-edit").addEventListener("click", edit);
byId("lightbox-copy").addEventListener("click", copy);
byId("lightbox-delete").addEventListener("click", removeShown);
byId("lightbox-close").addEventListener("click", () => lightbox.close());
lightbox.addEventListener("click", (event) => { if (event.target === lightbox) lightbox.close(); });

/** Fills the composer with what a failed task wished for. */
function again(task) {
  const inputs = (task.imageUrls || []).map((entry) => ({ entry, label: entry.replace(/^https?:\/\//, "").slice(0, 60) }));
  fill({ ...task, inputs });
}

onSignIn(askToken);
const session = await signIn(askToken);
await startComposer((task) => { addTask(task); showCredits(); });
await Promise.all([
  startGallery({ fill, again, open, ended: showCredits }),
  showCredits(),
  session.simulator ? startSimulator() : null,
]);
