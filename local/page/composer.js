// The form for a new picture. What is in it is kept in this tab, and what replaces it can be
// undone. Before the order it shows the price and what would speak against it.

import { byId, el, Refusal } from "./api.js";
import { target } from "./board.js";
import { ordered, replaced, startDrafts } from "./drafts.js";
import { showAdvice, showRefusal, showUnanswered } from "./faults.js";
import { setInputs, startFrom, startInputs } from "./inputs.js";
import { loadModels, modelOf, price, priceText, ratio } from "./models.js";
import { oncePerPress, order, quote, received, unanswered } from "./order.js";
import { keep, kept } from "./tab.js";
import { startUploads } from "./upload.js";

const form = byId("composer");
const field = (name) => form.elements[name];
const blank = { prompt: "", aspectRatio: "", resolution: "", numImages: "1", watermark: "" };
const wishes = { ...blank }; // of options, also of those that the chosen model does not have
const quoteAfter = 500; // ms without a change
const quoteAgain = 15_000; // ms while balance or quota speak against the order

let uploading = 0; // how many inputs are being uploaded
let sending = false;
let quoted = { text: "", timer: 0, abort: null }; // the last request that a quote was asked for

export async function startComposer(onTask) {
  const models = await loadModels();
  field("model").append(...models.map((m) => el("option", { value: m.id }, m.title)));
  field("model").addEventListener("change", showModel);
  form.addEventListener("input", ({ target: { name, value } }) => {
    if (name in wishes) wishes[name] = value;
    changed();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(onTask); });
  oncePerPress(byId("submit"));
  field("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !event.repeat) form.requestSubmit();
  });
  startInputs(changed);
  startUploads({ add: addUpload, busy: (n) => { uploading = n; showState(); } });
  write(kept("draft") || blank);
  startDrafts({ read, write });
  await settle();
}

// ---- what is in the form

/** What is in the form. */
const read = () => ({ ...wishes, prompt: field("prompt").value, model: field("model").value, watermark: field("watermark").value, inputs: startFrom() });

function write(values) {
  if (modelOf(values.model)) field("model").value = values.model;
  for (const name in wishes) {
    if (values[name] !== undefined) wishes[name] = String(values[name]);
  }
  field("prompt").value = wishes.prompt;
  field("watermark").value = wishes.watermark;
  byId("watermark-field").hidden = !wishes.watermark;
  if (values.inputs) setInputs(values.inputs);
  showModel();
}

/**
 * Fills the form; nothing is sent. Values that are not given stay. If something is lost by it, note
 * says what happened, and what was there can be brought back.
 */
export function fill(values, note) {
  const before = read();
  write(values);
  const after = read();
  const lost = Object.keys(blank).some((name) => before[name] !== after[name] && before[name].trim() !== blank[name])
    || before.inputs.some((input) => !after.inputs.includes(input));
  if (lost) replaced(before, note);
  field("prompt").focus({ preventScroll: true });
  field("prompt").scrollIntoView({ block: "nearest" });
  byId("undo-note").scrollIntoView({ block: "nearest" });
}

/** Fills the form with all words and options of an earlier order. */
export function useAgain({ prompt, model, aspectRatio = "", resolution = "", numImages, watermark = "", inputs }) {
  fill({ prompt, model, aspectRatio, resolution, numImages, watermark, inputs }, "Filled with the words and options of an earlier order.");
}

/** Starts from one more picture: one result, of the shape that was ordered for that picture. */
export function startEdit(input, aspectRatio = "") {
  const others = startFrom().filter((i) => i.entry !== input.entry);
  fill({ inputs: [...others, input], numImages: 1, aspectRatio }, "Pictures and Shape were set for this edit.");
}

/** Uploads arrive one after another, also while the form is filled. */
const addUpload = (input) => setInputs([...startFrom(), input]);

/** Finds out what became of an order that has no answer. If it was received it is not offered again. */
async function settle() {
  if (!unanswered("form", request())) return;
  showUnanswered();
  try {
    if (!await received("form")) return;
    const before = read();
    clear(before);
    replaced(before, "Your last order was received.");
    showRefusal(null);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error; // pressing the button repeats the order under its key
  }
}

// ---- options, price and problems

function options(select, values, label = (v) => v) {
  select.replaceChildren(...values.map((v) => el("option", { value: v }, label(v))));
  const wish = wishes[select.name];
  if (values.includes(wish)) select.value = wish;
}

function showModel() {
  const m = modelOf(field("model").value);
  options(field("aspectRatio"), ["", ...m.aspectRatios], (v) => v || "any");
  options(field("resolution"), m.resolutions || []);
  options(field("numImages"), Array.from({ length: m.maxImages }, (_, i) => String(i + 1)));
  byId("resolution-field").hidden = !m.resolutions;
  byId("count-field").hidden = m.maxImages < 2;
  byId("model-hint").textContent = `Usually takes ${m.typicalSeconds} seconds; starts from up to ${m.maxInputs} pictures.`;
  changed();
}

/** The order that the form stands for. */
function request() {
  const m = modelOf(field("model").value);
  const body = { prompt: field("prompt").value, model: m.id, target: target() };
  if (field("aspectRatio").value) body.aspectRatio = field("aspectRatio").value;
  if (m.resolutions) body.resolution = field("resolution").value;
  if (m.maxImages > 1) body.numImages = Number(field("numImages").value);
  if (field("watermark").value) body.watermark = field("watermark").value;
  if (startFrom().length) body.imageUrls = startFrom().map((i) => i.entry);
  return body;
}

function changed() {
  keep("draft", read());
  showState();
  askQuote();
}

function showState() {
  const m = modelOf(field("model").value);
  const length = [...field("prompt").value.trim()].length;
  const count = byId("prompt-count");
  count.textContent = `${length.toLocaleString()} / ${m.maxPrompt.toLocaleString()}`;
  count.classList.toggle("over", length > m.maxPrompt);
  byId("submit").ariaDisabled = String(sending || uploading > 0); // a disabled button would lose the focus
  byId("submit-text").textContent = uploading ? "Uploading…" : startFrom().length ? "Edit it" : "Make it";
  byId("cost").textContent = `· ${priceText(price(request()))}`;
  const shape = byId("shape");
  const [w, h] = ratio(field("aspectRatio").value);
  shape.style.setProperty("--ratio", `${w} / ${h}`);
  shape.style.setProperty("--shape-width", `${w >= h ? 24 : Math.max(6, 24 * w / h)}px`);
}

/** The order is for another board now: it is not the one that has no answer yet, nor the one that was quoted. */
export const boardChanged = () => { if (field("model").value) askQuote(); }; // else the models are still on their way

/** Asks, after a pause in typing, what would speak against the order. */
function askQuote() {
  const body = request();
  const text = JSON.stringify(body);
  if (text === quoted.text) return;
  clearTimeout(quoted.timer);
  quoted.abort?.abort();
  byId("problem").hidden = byId("problem").dataset.unclear !== "true" || !unanswered("form", body);
  quoted = { text, abort: new AbortController(), timer: setTimeout(() => showQuote(body, quoted.abort.signal), quoteAfter) };
}

async function showQuote(body, signal) {
  quoted.timer = setTimeout(() => showQuote(body, signal), quoteAgain);
  if (document.hidden || sending) return;
  const unwritten = !body.prompt.trim();
  const tooLong = [...body.prompt.trim()].length > modelOf(body.model).maxPrompt; // the count says so
  try {
    const { body: { problems } } = await quote(unwritten || tooLong ? { ...body, prompt: "words that come later" } : body, {}, signal);
    if (signal.aborted) return;
    if (problems.every((problem) => problem.errors)) clearTimeout(quoted.timer); // the order has to change
    showAdvice(problems);
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof Refusal)) throw error; // the order itself would show why
  }
}

// ---- the order

/** After an order the words and inputs go, and the next one makes one picture; model, shape and resolution stay. What was changed meanwhile stays too. */
function clear(sent) {
  const now = read();
  write({
    prompt: now.prompt === sent.prompt ? "" : now.prompt,
    watermark: now.watermark === sent.watermark ? "" : now.watermark,
    numImages: now.numImages === sent.numImages ? 1 : now.numImages,
    inputs: now.inputs.filter((input) => !sent.inputs.includes(input)),
  });
}

async function submit(onTask) {
  if (sending || uploading) return;
  const sent = read();
  clearTimeout(quoted.timer);
  quoted.abort?.abort();
  showRefusal(null);
  sending = true;
  showState();
  try {
    const task = await order("form", request());
    clear(sent);
    ordered();
    onTask(task);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    showRefusal(error);
  } finally {
    sending = false;
    showState();
  }
}
