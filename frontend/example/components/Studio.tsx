"use client";

import type { Image, Target, Task } from "@preset/images";
import { useBoard } from "@preset/images/react";
import { useRef, useState } from "react";

import { useHidden } from "@/lib/useHidden";
import { useNews } from "@/lib/useNews";
import { useStarts } from "@/lib/useStarts";

import { Card } from "./Card";
import { Composer } from "./Composer";
import { Header } from "./Header";
import { Problem } from "./Problem";
import { Viewer } from "./Viewer";

/** A board with the form that orders pictures for it; without a target, everything. */
export function Studio({ target }: { target?: Target }) {
  const board = useBoard(target);
  const hidden = useHidden();
  const starts = useStarts();
  const news = useNews(board.tasks);
  const [showHidden, setShowHidden] = useState(false);
  const [open, setOpen] = useState<{ id: string; n: number }>();
  const promptRef = useRef<HTMLTextAreaElement>(null);

  function edit(task: Task, image: Image) {
    starts.edit(task, image);
    setOpen(undefined);
    promptRef.current?.focus();
  }

  const pictures = board.tasks.filter((task) => task.status === "succeeded").flatMap((task) => task.images.map((image) => ({ task, image })));
  const hiddenCount = pictures.filter(({ task, image }) => hidden.isHidden(task.id, image.n)).length;
  const isShown = (task: Task, image: Image) => showHidden || !hidden.isHidden(task.id, image.n);
  const shown = board.tasks.filter((task) => task.status !== "succeeded" || task.images.some((image) => isShown(task, image)));
  const opened = pictures.find(({ task, image }) => task.id === open?.id && image.n === open.n);

  return (
    <>
      <Header target={target} />
      <main className="studio">
        <aside>
          <Composer target={target} starts={starts} create={board.create} promptRef={promptRef} />
        </aside>
        <section aria-label="Pictures" aria-busy={board.loading}>
          <Problem error={board.error} />
          <Problem error={hidden.error} />
          {hiddenCount > 0 && (
            <label className="show-hidden">
              <input type="checkbox" checked={showHidden} onChange={(event) => setShowHidden(event.target.checked)} />
              Show hidden pictures ({hiddenCount})
            </label>
          )}
          {shown.length === 0 && !board.loading && !board.error && <Empty hiddenCount={hiddenCount} />}
          <ul className="cards">
            {board.loading && shown.length === 0 && [1, 2, 3].map((n) => <li key={n} className="card skeleton" />)}
            {shown.map((task) => (
              <Card
                key={task.id} task={task} board={board} hidden={hidden} showHidden={showHidden}
                onOpen={(n) => setOpen({ id: task.id, n })} onEdit={(image) => edit(task, image)}
              />
            ))}
          </ul>
          {board.hasMore && <button className="more" disabled={board.loading} onClick={() => void board.more()}>Show more</button>}
        </section>
      </main>
      {opened && (
        <Viewer
          key={`${open?.id}/${open?.n}`} {...opened} hidden={hidden}
          onEdit={() => edit(opened.task, opened.image)} onClose={() => setOpen(undefined)}
        />
      )}
      <p className="visually-hidden" role="status">{news}</p>
    </>
  );
}

function Empty({ hiddenCount }: { hiddenCount: number }) {
  return (
    <div className="empty">
      <h2>{hiddenCount > 0 ? "Everything here is hidden" : "Nothing here yet"}</h2>
      <p>{hiddenCount > 0 ? "Tick the box above to see it." : "Describe a picture, or start from one of your own."}</p>
    </div>
  );
}
