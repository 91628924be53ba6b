import type { Target, Task } from "@preset/images";
import { useState } from "react";

import { boards, nameOf, titleOf } from "@/lib/boards";

interface Props {
  task: Task;
  busy: boolean;
  onAgain(): void;
  onCancel(): void;
  onMove(target: Target): void;
  onDelete(): void;
}

/** The buttons of an order. A finished one can be moved and deleted, one that waits canceled. */
export function CardActions({ task, busy, onAgain, onCancel, onMove, onDelete }: Props) {
  const [asking, setAsking] = useState<boolean>(); // false: it was asked, and is kept
  if (asking) {
    return (
      <div className="actions">
        <span>{task.images.length > 1 ? `Delete all ${task.images.length} pictures?` : "Delete it for ever?"}</span>
        <button className="danger" onClick={onDelete} disabled={busy}>Delete</button>
        <button autoFocus onClick={() => setAsking(false)}>Keep</button>
      </div>
    );
  }
  return (
    <div className="actions">
      {task.status === "failed" && task.error.retryable && <button onClick={onAgain} disabled={busy}>Try again</button>}
      {task.status === "waiting" && <button onClick={onCancel} disabled={busy}>Cancel</button>}
      <MoveTo target={task.target} busy={busy} onMove={onMove} />
      {task.done && <button autoFocus={asking === false} onClick={() => setAsking(true)} disabled={busy}>Delete</button>}
    </div>
  );
}

function MoveTo({ target, busy, onMove }: { target?: Target; busy: boolean; onMove(target: Target): void }) {
  const current = target && nameOf(target);
  const known = boards.some((board) => nameOf(board.target) === current);
  return (
    <label className="move">
      <span className="visually-hidden">Move to</span>
      <select value={current ?? ""} disabled={busy} onChange={(event) => {
        const to = boards.find((board) => nameOf(board.target) === event.target.value);
        if (to) onMove(to.target);
      }}>
        {!known && <option value={current ?? ""}>{titleOf(target)}</option>}
        {boards.map((board) => <option key={board.title} value={nameOf(board.target)}>{board.title}</option>)}
      </select>
    </label>
  );
}
