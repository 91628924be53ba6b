"use client";

import type { Image, SucceededTask } from "@preset/images";
import { useImage } from "@preset/images/react";
import { useEffect, useRef, type CSSProperties } from "react";

import { titleOf } from "@/lib/boards";
import { useAction } from "@/lib/useAction";
import type { useHidden } from "@/lib/useHidden";
import { useOriginal } from "@/lib/useOriginal";

import { BeforeAfter } from "./BeforeAfter";
import { Problem } from "./Problem";

interface Props {
  task: SucceededTask;
  image: Image;
  hidden: ReturnType<typeof useHidden>;
  onEdit(): void;
  onClose(): void;
}

/** A picture at its full size, for an edit with a slider between before and after. */
export function Viewer({ task, image, hidden, onEdit, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { dialog.current?.showModal(); }, []);
  const { task: whole } = useImage(task.id); // a board has only the first 300 characters of the prompt
  const before = useOriginal(task);
  const { run, busy, error } = useAction();
  const isHidden = hidden.isHidden(task.id, image.n);

  return (
    <dialog ref={dialog} aria-label="Picture" onClose={onClose} onClick={(event) => {
      if (event.target === event.currentTarget) event.currentTarget.close(); // beside the picture
    }}>
      <div className="viewer" style={{ "--ratio": image.width / image.height } as CSSProperties}>
        {before ? <BeforeAfter before={before} after={image} /> : <img src={image.url} alt={task.prompt} width={image.width} height={image.height} />}
        <div className="words">
          <p>{whole?.prompt ?? task.prompt}</p>
          <p className="small">
            {image.width} × {image.height} · {titleOf(task.target)} · made with AI
            {image.damaged && " · this file arrived incomplete"}
          </p>
          <div className="actions">
            <button className="primary" autoFocus onClick={onEdit}>Edit this</button>
            <button disabled={busy} onClick={() => run(() => hidden.hide(task.id, image.n, !isHidden))}>{isHidden ? "Show" : "Hide"}</button>
            <a className="button" href={`${image.url}?download=1`}>Download</a>
            <button onClick={() => dialog.current?.close()}>Close</button>
          </div>
          <Problem error={error} />
        </div>
      </div>
    </dialog>
  );
}
