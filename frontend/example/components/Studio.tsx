"use client";

import type { Image, NewTask, Target, Task } from "@preset/images";
import { useBoard } from "@preset/images/react";
import { useEffect, useRef, useState } from "react";

import { useHidden } from "@/lib/useHidden";
import { useNews } from "@/lib/useNews";
import { useStarts } from "@/lib/useStarts";

import { Composer } from "./Composer";
import { Gallery } from "./Gallery";
import { Header } from "./Header";
import { Viewer } from "./Viewer";

/** A board with the form that orders pictures for it; without a target, everything. */
export function Studio({ target }: { target?: Target }) {
  const board = useBoard(target);
  const hidden = useHidden();
  const starts = useStarts();
  const news = useNews(board.tasks);
  const promptRef = useRef<HTMLTextAreaElement>(null);

  const [ordered, setOrdered] = useState<string>();
  useEffect(() => {
    if (ordered) document.getElementById(ordered)?.scrollIntoView({ block: "nearest" }); // on a phone it is below the form
  }, [ordered]);

  async function create(request: NewTask, options: { key: string }) {
    const task = await board.create(request, options);
    setOrdered(task.id);
    return task;
  }

  const [open, setOpen] = useState<{ id: string; n: number }>();
  const opened = board.tasks.find(({ id }) => id === open?.id);
  const image = opened?.images.find(({ n }) => n === open?.n);

  function edit(task: Task, image: Image) {
    starts.edit(task, image);
    setOpen(undefined);
    promptRef.current?.focus();
  }

  return (
    <>
      <Header target={target} />
      <main className="studio">
        <aside aria-label="New pictures">
          <Composer target={target} starts={starts} create={create} promptRef={promptRef} />
        </aside>
        <Gallery board={board} hidden={hidden} onOpen={(task, { n }) => setOpen({ id: task.id, n })} onEdit={edit} />
      </main>
      {opened?.status === "succeeded" && image && (
        <Viewer
          key={`${opened.id}/${image.n}`} task={opened} image={image} hidden={hidden}
          onEdit={() => edit(opened, image)} onClose={() => setOpen(undefined)}
        />
      )}
      <p className="visually-hidden" role="status">{news}</p>
    </>
  );
}
