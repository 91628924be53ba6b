// The window's title: which board is shown, and what has ended while nobody looked.

let board = "";
const ended = { done: 0, failed: 0 };

/** Names the board in the title; empty for everything. */
export function nameBoard(name) {
  board = name;
  show();
}

/** Marks the title if a task ends while the page is hidden. The mark stays until the page is seen. */
export function markEnd(task) {
  if (!document.hidden) return;
  ended[task.error ? "failed" : "done"]++;
  show();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  ended.done = ended.failed = 0;
  show();
});

function show() {
  const mark = [ended.done && `✓ ${ended.done} done`, ended.failed && `✗ ${ended.failed} failed`].filter(Boolean).join(", ");
  document.title = [mark, board, "Studio"].filter(Boolean).join(" · ");
}
