// Which moodboard is shown, and which others this browser has seen.

import { byId, el } from "./api.js";

const select = byId("board");
const dialog = byId("new-board");
const another = "\n"; // which no board is called
let boards = [];
let now = "";

/** Where new pictures go, and whose are listed. */
export const target = () => ({ kind: "moodboard", id: now });

/** Shows the board that was shown last; first is there from the start. changed is called after another is chosen. */
export function startBoards(first, changed) {
  boards = [...new Set([first, ...remembered("boards", [])])];
  now = remembered("board", first);
  if (!boards.includes(now)) now = first;
  show();

  const go = (id) => {
    if (id !== now) {
      now = id;
      if (!boards.includes(id)) boards.push(id);
      remember("boards", boards);
      remember("board", now);
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
  select.value = now;
}

/** Keeps it for the next visit, where the browser lets one. */
function remember(name, value) {
  try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* then it is for this one */ }
}

/** What was kept under this name, as far as it can be read. */
function remembered(name, otherwise) {
  try {
    const kept = JSON.parse(localStorage.getItem(name));
    return typeof kept === typeof otherwise && kept !== null && Array.isArray(kept) === Array.isArray(otherwise) ? kept : otherwise;
  } catch {
    return otherwise;
  }
}
