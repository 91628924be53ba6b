// Before and after: an edited picture and those it was made from, one over the other, with a
// slider between them.

import { byId, el, small } from "./api.js";
import { earlier } from "./origins.js";

const frame = byId("lightbox-frame"), over = byId("lightbox-before"), slider = byId("lightbox-cut");
let turn = 0; // grows with each picture, so that answers for an earlier one are dropped

export function startCompare() {
  slider.addEventListener("input", cut);
  over.addEventListener("error", () => {
    if (!over.getAttribute("src")) return;
    over.hidden = byId("lightbox-compare").hidden = true; // it is gone, or not a picture
    slider.value = 0;
    cut();
  });
  frame.addEventListener("pointerdown", drag);
  frame.addEventListener("pointermove", drag);
}

/** Offers the pictures that a task was made from for comparison; the one it edits first. */
export async function compare(task) {
  const mine = ++turn;
  byId("lightbox-compare").hidden = over.hidden = true;
  byId("lightbox-steps").replaceChildren(byId("lightbox-steps").firstElementChild);
  slider.value = 0;
  cut();
  const steps = await earlier(task);
  if (mine !== turn || !steps.length) return;
  over.hidden = byId("lightbox-compare").hidden = false;
  choose(steps[0]);
  if (steps.length > 1) byId("lightbox-steps").append(...steps.map((step, i) => choice(step, i, steps.length)).reverse()); // the oldest first
}

function choose(step) {
  Object.assign(over, { src: step.image.url, alt: `Before: ${step.label}`, referrerPolicy: "no-referrer" });
}

/** A choice of the picture to compare with. */
function choice(step, i, many) {
  const input = el("input", { type: "radio", name: "step", checked: i === 0, ariaLabel: `${many - i} of ${many}: ${step.label}` });
  input.addEventListener("change", () => {
    choose(step);
    if (Number(slider.value) === 0) slider.value = 50; // so that the choice can be seen
    cut();
  });
  const picture = el("img", { src: small(step.image), alt: "", width: 44, height: 44, referrerPolicy: "no-referrer" });
  const label = el("label", { className: "step", title: step.label }, input, picture);
  picture.addEventListener("error", () => label.remove());
  return label;
}

/** Shows as much of the picture before as the slider says, from the left. */
function cut() {
  const share = Number(slider.value);
  frame.style.setProperty("--cut", `${share}%`);
  frame.classList.toggle("cut", share > 0 && share < 100);
  byId("before-label").hidden = share === 0;
  byId("after-label").hidden = share === 0 || share === 100;
  slider.ariaValueText = `${slider.value} % before`;
}

/** With a mouse, the picture itself is the slider. */
function drag(event) {
  if (event.pointerType !== "mouse" || event.buttons !== 1 || over.hidden) return;
  const { left, width } = frame.getBoundingClientRect();
  slider.value = Math.round((100 * (event.clientX - left)) / width);
  cut();
}
