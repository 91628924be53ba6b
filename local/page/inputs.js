// The pictures that the next order starts from.

import { byId, el, isPicture } from "./api.js";

let inputs = []; // {entry, label, picture?, thumb?}: thumb is a small JPEG in base64, for a preview that outlives a reload
let changed = () => {};

export function startInputs(onChange) {
  changed = onChange;
  byId("add-link").addEventListener("click", addLink);
  byId("link").addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); addLink(); }
  });
  byId("link").addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain").trim();
    if (byId("link").value || !/^https?:\/\/\S+$/.test(text)) return;
    event.preventDefault();
    byId("link").value = text;
    addLink();
  });
}

export const startFrom = () => inputs;

export function setInputs(next) {
  inputs = next;
  show();
}

/** Adds a picture to start from. */
function addInput(input) {
  if (!inputs.some((i) => i.entry === input.entry)) setInputs([...inputs, input]);
}

function addLink() {
  const link = byId("link").value.trim();
  if (!link) return;
  byId("link").value = "";
  addInput({ entry: link, label: link.replace(/^https?:\/\//, ""), picture: isPicture(link) ? link : "" });
}

function show() {
  byId("inputs").replaceChildren(...inputs.map((input) => {
    const remove = el("button", { type: "button", ariaLabel: `Do not start from ${input.label}` }, "×");
    remove.addEventListener("click", () => {
      const at = inputs.indexOf(input);
      setInputs(inputs.filter((i) => i !== input));
      (byId("inputs").querySelectorAll("button")[at] || byId("pick")).focus();
    });
    return el("li", { className: "chip" }, preview(input), el("span", {}, input.label), remove);
  }));
  changed();
}

function preview({ picture, thumb }) {
  if (!picture && !thumb) return null;
  const bytes = thumb && Uint8Array.from(atob(thumb), (c) => c.charCodeAt(0));
  const src = thumb ? URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) : picture;
  const img = el("img", { src, alt: "", width: 36, height: 36, referrerPolicy: "no-referrer" });
  if (thumb) img.addEventListener("load", () => URL.revokeObjectURL(src));
  img.addEventListener("error", () => img.remove());
  return img;
}
