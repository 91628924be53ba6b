// The form for a new picture. A request keeps its Idempotency-Key until it is
// answered, so that a repeated click or a lost answer never costs twice.

import { byId, call, el, explain, isPicture, Refusal } from "./api.js";
import { target } from "./board.js";
import { startUploads } from "./upload.js";

const form = byId("composer");
const field = (name) => form.elements[name];
let models = [];
let inputs = []; // {entry, picture?, label}
let uploading = 0; // how many inputs are being uploaded
let sending = false;
let pending = null; // {key, text}: the request that has no answer yet

export async function startComposer(onTask) {
  models = (await call("/v1/models")).body;
  field("model").append(...models.map((m) => el("option", { value: m.id }, m.title)));
  field("model").addEventListener("change", showModel);
  form.addEventListener("input", showState);
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(onTask); });
  field("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.requestSubmit();
  });
  byId("add-link").addEventListener("click", addLink);
  byId("link").addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); addLink(); }
  });
  startUploads({ add: addInput, busy: (n) => { uploading = n; showState(); } });
  showModel();
}

/** A model's display name. */
export const title = (id) => models.find((m) => m.id === id)?.title || id;

const model = () => models.find((m) => m.id === field("model").value);

function options(select, values, label = (v) => v) {
  const before = select.value;
  select.replaceChildren(...values.map((v) => el("option", { value: v }, label(v))));
  if (values.includes(before)) select.value = before;
}

function showModel() {
  const m = model();
  options(field("aspectRatio"), ["", ...m.aspectRatios], (v) => v || "any");
  options(field("resolution"), m.resolutions || []);
  options(field("numImages"), Array.from({ length: m.maxImages }, (_, i) => String(i + 1)));
  byId("resolution-field").hidden = !m.resolutions;
  byId("count-field").hidden = m.maxImages < 2;
  byId("model-hint").textContent = `Usually takes ${m.typicalSeconds} seconds; starts from up to ${m.maxInputs} pictures.`;
  showState();
}

const cost = () => {
  const m = model();
  const each = m.credits[m.resolutions ? field("resolution").value : "default"] ?? 0;
  return each * (Number(field("numImages").value) || 1);
};

function showState() {
  const m = model();
  const length = [...field("prompt").value.trim()].length;
  const count = byId("prompt-count");
  count.textContent = `${length.toLocaleString()} / ${m.maxPrompt.toLocaleString()}`;
  count.classList.toggle("over", length > m.maxPrompt);
  byId("submit").disabled = sending || uploading > 0;
  byId("submit-text").textContent = uploading ? "Uploading…" : inputs.length ? "Edit it" : "Make it";
  byId("cost").textContent = `· ${cost()} credits`;
  const shape = byId("shape");
  const [w, h] = ratio(field("aspectRatio").value);
  shape.style.setProperty("--ratio", `${w} / ${h}`);
  shape.style.setProperty("--shape-width", `${w >= h ? 24 : Math.max(6, 24 * w / h)}px`);
}

/** Width and height of an aspect ratio; a square if there is none. */
export function ratio(text) {
  const [w, h] = (text || "").split(":").map(Number);
  return w > 0 && h > 0 ? [w, h] : [1, 1];
}

function addLink() {
  const link = byId("link").value.trim();
  if (!link) return;
  addInput({ entry: link, label: link.replace(/^https?:\/\//, ""), picture: isPicture(link) ? link : "" });
  byId("link").value = "";
}

/** Adds a picture to start from. */
export function addInput(input) {
  if (!inputs.some((i) => i.entry === input.entry)) inputs.push(input);
  showInputs();
}

function showInputs() {
  byId("inputs").replaceChildren(...inputs.map((input) => {
    const remove = el("button", { type: "button", ariaLabel: `Do not start from ${input.label}` }, "×");
    remove.addEventListener("click", () => { inputs = inputs.filter((i) => i !== input); release(input); showInputs(); });
    const picture = input.picture ? el("img", { src: input.picture, alt: "", width: 36, height: 36, referrerPolicy: "no-referrer" }) : null;
    return el("li", { className: "chip" }, picture, el("span", {}, input.label), remove);
  }));
  showState();
}

/** Frees the memory of an uploaded file's preview. */
function release(input) {
  if (input.picture?.startsWith("blob:")) URL.revokeObjectURL(input.picture);
}

/** Fills the form; nothing is sent. */
export function fill(values) {
  if (values.model) { field("model").value = values.model; showModel(); }
  for (const name of ["prompt", "aspectRatio", "resolution", "numImages"]) {
    if (values[name] !== undefined) field(name).value = values[name];
  }
  if (values.inputs) { inputs = values.inputs; showInputs(); }
  showState();
  field("prompt").focus();
  form.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function request() {
  const m = model();
  const body = { prompt: field("prompt").value, model: m.id, target: target() };
  if (field("aspectRatio").value) body.aspectRatio = field("aspectRatio").value;
  if (m.resolutions) body.resolution = field("resolution").value;
  if (m.maxImages > 1) body.numImages = Number(field("numImages").value);
  if (inputs.length) body.imageUrls = inputs.map((i) => i.entry);
  return body;
}

async function submit(onTask) {
  if (sending || uploading) return;
  const text = JSON.stringify(request());
  // An unanswered request that is repeated unchanged keeps its key.
  if (!pending || pending.text !== text) pending = { key: crypto.randomUUID(), text };
  showFaults(null);
  sending = true;
  showState();
  try {
    const { body } = await call("/v1/tasks", { method: "POST", body: JSON.parse(text), headers: { "Idempotency-Key": pending.key } });
    pending = null;
    inputs.forEach(release);
    inputs = [];
    field("prompt").value = "";
    showInputs();
    onTask(body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (!error.unclear) pending = null;
    showFaults(error);
  } finally {
    sending = false;
    showState();
  }
}

/** Shows each fault at its field, and the rest with the next step above the button. */
function showFaults(refusal) {
  for (const place of form.querySelectorAll("[data-fault]")) place.textContent = "";
  for (const faulty of form.querySelectorAll("[aria-invalid]")) faulty.removeAttribute("aria-invalid");
  const rest = [];
  for (const fault of refusal?.faults || []) {
    const name = "/" + fault.pointer.split("/")[1];
    const place = form.querySelector(`[data-fault="${CSS.escape(name)}"]`);
    if (place) {
      place.textContent = fault.message;
      control(place).setAttribute("aria-invalid", "true");
    } else rest.push(fault.message);
  }
  const problem = byId("problem");
  problem.hidden = !refusal;
  if (refusal) {
    explain(problem, refusal, {
      message: refusal.faults.length ? rest.join(" ") : refusal.message,
      more: refusal.unclear ? "Your prompt is still here. Press the button again: you are charged at most once." : "",
    });
  }
  const first = form.querySelector("[data-fault]:not(:empty)");
  if (refusal) problem.scrollIntoView({ block: "nearest" });
  if (first) control(first).focus();
}

/** The form control that a fault belongs to. */
const control = (place) => place.closest(".field").querySelector("textarea, select, input");
