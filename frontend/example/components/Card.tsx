"use client";

import type { Image, Task } from "@preset/images";
import { useImages, type BoardView } from "@preset/images/react";

import { inCredits } from "@/lib/inCredits";
import { useAction } from "@/lib/useAction";
import type { useHidden } from "@/lib/useHidden";

import { CardActions } from "./CardActions";
import { Problem } from "./Problem";
import { Progress } from "./Progress";
import { Tile } from "./Tile";

interface Props {
  task: Task;
  board: BoardView;
  hidden: ReturnType<typeof useHidden>;
  showHidden: boolean;
  onOpen(image: Image): void;
  onEdit(image: Image): void;
}

/** One order: its pictures, how far it is, or why it failed, and what can be done with it. */
export function Card({ task, board, hidden, showHidden, onOpen, onEdit }: Props) {
  const images = useImages();
  const { run, busy, error } = useAction();
  const shown = task.images.filter(({ n }) => showHidden || !hidden.isHidden(task.id, n));

  async function orderAgain() {
    const { prompt, model, numImages, aspectRatio, resolution, imageUrls, watermark, target, metadata } = await images.get(task.id);
    const request = { prompt, model, numImages, aspectRatio, resolution, imageUrls, watermark, target, metadata };
    await board.create(request, { key: `again-${task.id}` }); // however often it is clicked
    await board.remove(task.id);
  }

  async function cancel() {
    await images.cancel(task.id);
    await board.refresh();
  }

  return (
    <li id={task.id} className="card" aria-busy={busy}>
      {task.status === "succeeded" && (
        <div className={`pictures of-${Math.min(shown.length, 4)}`}>
          {shown.map((image) => (
            <Tile
              key={image.n} task={task} image={image} isHidden={hidden.isHidden(task.id, image.n)}
              onOpen={() => onOpen(image)} onEdit={() => onEdit(image)}
              onHide={(hide) => run(() => hidden.hide(task.id, image.n, hide))}
            />
          ))}
        </div>
      )}
      {task.status === "failed" && (
        <div className="failed">
          <p><b>{task.error.message}</b></p>
          <p>{task.error.hint}</p>
        </div>
      )}
      {task.status !== "succeeded" && task.status !== "failed" && <Progress task={task} />}
      <div className="words">
        <p className="prompt">{task.prompt}</p>
        <p className="small">{facts(task).join(" · ")}</p>
        <CardActions
          task={task} busy={busy}
          onAgain={() => run(orderAgain)} onCancel={() => run(cancel)}
          onMove={(target) => run(() => board.move(task.id, target))} onDelete={() => run(() => board.remove(task.id))}
        />
        <Problem error={error} />
      </div>
    </li>
  );
}

function facts(task: Task): string[] {
  const { estimate, outcome } = task.credits;
  return [
    new Date(task.createdAt).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }),
    outcome === "returned" ? "nothing was charged" : inCredits(estimate),
    ...(task.status === "succeeded" && task.missing ? [`${task.missing} of ${task.numImages} did not come`] : []),
  ];
}
