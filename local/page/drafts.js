// What the form held before something else replaced it. It can be brought back, also after a
// reload.

import { byId } from "./api.js";
import { keep, kept } from "./tab.js";

const most = 20;
let drafts = { states: [null], at: 0, note: "" }; // states[at] is what the form holds now, and is read when it is left
let read = () => ({}), write = () => {};

/** given.read returns what is in the form; given.write fills it. */
export function startDrafts(given) {
  ({ read, write } = given);
  drafts = kept("drafts") || drafts;
  byId("undo").addEventListener("click", () => move(-1));
  byId("redo").addEventListener("click", () => move(1));
  show();
}

/** Keeps what the form held before it was filled; note says what happened. */
export function replaced(before, note) {
  drafts.states.splice(drafts.at, drafts.states.length, before, null);
  drafts.states.splice(0, drafts.states.length - most);
  drafts.at = drafts.states.length - 1;
  say(note);
}

/** After an order, what was replaced before stays within reach. */
export const ordered = () => say("What was here before is kept.");

function move(by) {
  drafts.states[drafts.at] = read();
  drafts.at += by;
  write(drafts.states[drafts.at]);
  say(by < 0 ? "What was here before is back." : "Filled again.");
  (by < 0 ? [byId("undo"), byId("redo")] : [byId("redo"), byId("undo")]).find((button) => !button.hidden)?.focus();
}

function say(note) {
  drafts.note = note;
  keep("drafts", drafts);
  show();
}

function show() {
  const { states, at, note } = drafts;
  byId("undo").hidden = at === 0;
  byId("redo").hidden = at === states.length - 1;
  byId("undo-note").hidden = byId("undo").hidden && byId("redo").hidden;
  byId("undo-text").textContent = byId("undo-note").hidden ? "" : note;
}
