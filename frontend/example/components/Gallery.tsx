"use client";

import type { Image, Task } from "@preset/images";
import type { BoardView } from "@preset/images/react";
import { useState } from "react";

import type { useHidden } from "@/lib/useHidden";

import { Card } from "./Card";
import { Problem } from "./Problem";

interface Props {
  board: BoardView;
  hidden: ReturnType<typeof useHidden>;
  onOpen(task: Task, image: Image): void;
  onEdit(task: Task, image: Image): void;
}

/** The orders of a board, newest first, without the pictures that are hidden. */
export function Gallery({ board, hidden, onOpen, onEdit }: Props) {
  const [showHidden, setShowHidden] = useState(false);
  const hiddenCount = board.tasks.reduce((count, task) => count + task.images.filter(({ n }) => hidden.isHidden(task.id, n)).length, 0);
  const loading = board.loading || hidden.loading;
  const tasks = hidden.loading ? [] : board.tasks // else what is hidden would be seen for a moment
    .filter((task) => showHidden || task.images.length === 0 || !task.images.every(({ n }) => hidden.isHidden(task.id, n)));

  return (
    <section aria-label="Pictures" aria-busy={loading}>
      <Problem error={board.error} />
      <Problem error={hidden.error} />
      {hiddenCount > 0 && (
        <label className="show-hidden">
          <input type="checkbox" checked={showHidden} onChange={(event) => setShowHidden(event.target.checked)} />
          Show hidden pictures ({hiddenCount})
        </label>
      )}
      {tasks.length === 0 && !loading && !board.error && (
        <div className="empty">
          <h2>{hiddenCount > 0 ? "Everything here is hidden" : "Nothing here yet"}</h2>
          <p>{hiddenCount > 0 ? "Tick the box above to see it." : "Describe a picture, or start from one of your own."}</p>
        </div>
      )}
      <ul className="cards">
        {tasks.length === 0 && loading && [1, 2, 3].map((n) => <li key={n} className="card skeleton" />)}
        {tasks.map((task) => (
          <Card
            key={task.id} task={task} board={board} hidden={hidden} showHidden={showHidden}
            onOpen={(image) => onOpen(task, image)} onEdit={(image) => onEdit(task, image)}
          />
        ))}
      </ul>
      {board.hasMore && <button className="more" disabled={board.loading} onClick={() => void board.more()}>Show more</button>}
    </section>
  );
}
