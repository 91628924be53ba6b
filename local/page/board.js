// The moodboard that is shown, and those that this browser knows.

import { byId, el } from "./api.js";

const select = byId("board");
const dialog = byId("new-board");
const another = "\n"; // cannot be a board's id
let boards = [];
let current = "";

/** The target of new pictures and of the list. */
export const target = () => ({ kind: "moodboard", id: current });

/** Shows the board that was shown last, or first. changed is called when the user chooses another. */
export function startBoards(first, changed) {
  boards = [...new Set([first, ...remembered("boards", [])])];
  current = remembered("board", first);
  if (!boards.includes(current)) current = first;
  show();

  const go = (id) => {
    if (id !== current) {
      current = id;
      if (!boards.includes(id)) boards.push(id);
      remember("boards", boards);
      remember("board", current);
      changed();
    }
    show();
  };
  select.addEventListener("change", () => {
    if (select.value !== another) return go(select.value);
    show();
    byId("board-id").value = byId("board-fault").textContent = "";
    dialog.showModal();
  });
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = byId("board-id").value.trim();
    if (!/^[^\s\p{C}]{1,128}$/u.test(id)) {
      byId("board-fault").textContent = "An id has 1 to 128 visible characters, and no spaces.";
      byId("board-id").focus();
      return;
    }
    dialog.close();
    go(id);
  });
  byId("board-cancel").addEventListener("click", () => dialog.close());
}

function show() {
  select.replaceChildren(...boards.map((id) => el("option", { value: id }, id)), el("option", { value: another }, "Another…"));
  select.value = current;
}

/** Stores a value for the next visit, if the browser allows it. */
function remember(name, value) {
  try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* then it lasts for this visit */ }
}

/** The value stored under this name, or otherwise if there is none of that type. */
function remembered(name, otherwise) {
  try {
    const kept = JSON.parse(localStorage.getItem(name));
    return typeof kept === typeof otherwise && kept !== null && Array.isArray(kept) === Array.isArray(otherwise) ? kept : otherwise;
  } catch {
    return otherwise;
  }
}
