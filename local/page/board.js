// Which pictures are shown: everything, or those of one board. The address says which.

import { byId, el } from "./api.js";

const select = byId("board");
const dialog = byId("board-dialog");
const another = "\n"; // cannot be a board
const form = /^[a-z][a-z0-9-]{0,31}:[^\s\p{C}]{1,128}$/u; // KIND:ID, as the API names a target
let boards = []; // those that can be chosen, as KIND:ID
let opened = []; // those of them that this browser remembers
let current = ""; // KIND:ID, or empty for everything

const parse = (board) => ({ kind: board.split(":", 1)[0], id: board.slice(board.indexOf(":") + 1) });
const write = ({ kind, id }) => `${kind}:${id}`;

/** The target of the list and of new pictures, or undefined: everything is shown, and new pictures are on no board. */
export const target = () => (current ? parse(current) : undefined);

/** A board's name for people. */
export const boardName = ({ kind, id }) => (kind === "moodboard" ? id : `${kind} ${id}`);

/** The address of a board, or of everything. */
export const boardAddress = (board) => (board ? `#/${board.kind}/${encodeURIComponent(board.id)}` : "#/");

/** The board in an address as KIND:ID, empty for everything, or null if it names none. */
function boardIn(hash) {
  if (["", "#", "#/"].includes(hash)) return "";
  const parts = /^#\/([^/]+)\/([^/]+)$/.exec(hash);
  try {
    const board = parts && `${parts[1]}:${decodeURIComponent(parts[2])}`;
    return board && form.test(board) ? board : null;
  } catch { // a stray %
    return null;
  }
}

/**
 * Shows the board in the address, and again whenever it changes. first is a board that can always be
 * chosen. changed is called after each change, with a sentence if the address names no board.
 */
export function startBoards(first, changed) {
  opened = remembered();
  boards = [...new Set([write(first), ...opened])];
  addEventListener("hashchange", () => { const before = current; const fault = read(); if (current !== before || fault) changed(fault); });
  select.addEventListener("change", choose);
  dialog.querySelector("form").addEventListener("submit", answer);
  byId("board-cancel").addEventListener("click", () => dialog.close());
  return read();
}

/** Takes the board from the address. It returns a sentence if that names none. */
function read() {
  const named = boardIn(location.hash);
  if (named === null) history.replaceState(null, "", boardAddress());
  current = named || "";
  if (current && !opened.includes(current)) remember([...opened, current]);
  know(current ? [parse(current)] : []);
  select.value = current;
  return named === null ? "The address of this page names no board, so everything is shown." : "";
}

async function choose() {
  const chosen = select.value;
  select.value = current;
  const board = chosen === another ? await askBoard("Open a moodboard", "A new id starts a new moodboard.", "Open") : chosen && parse(chosen);
  if (board !== null) location.hash = boardAddress(board);
}

/** Adds boards to those that can be chosen. */
export function know(targets) {
  boards = [...new Set([...boards, ...targets.map(write)])];
  if (select.options.length === boards.length + 2) return;
  const options = boards.map((board) => el("option", { value: board }, boardName(parse(board))));
  const group = el("optgroup", { label: "Boards" }, ...options, el("option", { value: another }, "Another…"));
  select.replaceChildren(el("option", { value: "" }, "Everything"), group);
  select.value = current;
}

/** Asks for a moodboard. It resolves to its target, or to null if the user cancels. */
export function askBoard(title, hint, button) {
  byId("board-title").textContent = title;
  byId("board-hint").textContent = `Enter its id, up to 128 characters. ${hint}`;
  byId("board-ok").textContent = button;
  byId("board-id").value = byId("board-fault").textContent = dialog.returnValue = "";
  const moodboards = boards.map(parse).filter(({ kind }) => kind === "moodboard");
  byId("board-ids").replaceChildren(...moodboards.map(({ id }) => el("option", { value: id })));
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue ? parse(dialog.returnValue) : null), { once: true });
  });
}

function answer(event) {
  event.preventDefault();
  const board = `moodboard:${byId("board-id").value.trim()}`;
  if (form.test(board)) return dialog.close(board);
  byId("board-fault").textContent = "An id has 1 to 128 visible characters, and no spaces.";
  byId("board-id").focus();
}

/** Stores the opened boards for the next visit, if the browser allows it. */
function remember(boards) {
  opened = boards;
  try { localStorage.setItem("opened", JSON.stringify(boards)); } catch { /* then they last for this visit */ }
}

function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem("opened"));
    return Array.isArray(kept) ? kept.filter((board) => typeof board === "string" && form.test(board)) : [];
  } catch {
    return [];
  }
}
