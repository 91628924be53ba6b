"use client";

import { share, type RunningTask } from "@preset/images";
import { useEffect, useState } from "react";

/** How far a running task seems to be. It goes on by itself between two answers of the API. */
export function Progress({ task }: { task: RunningTask }) {
  const [seconds, setSeconds] = useState(0); // since the answer
  useEffect(() => {
    const start = Date.now();
    const count = () => setSeconds((Date.now() - start) / 1000);
    count();
    const timer = setInterval(count, 1000);
    return () => clearInterval(timer);
  }, [task]);

  const elapsedSeconds = task.progress.elapsedSeconds + seconds;
  return (
    <div className="running">
      <p>{task.statusText}…</p>
      <progress aria-label="Progress" value={share({ ...task, progress: { ...task.progress, elapsedSeconds } })} />
      <p className="small">{Math.round(elapsedSeconds)} s, usually about {task.progress.expectedSeconds}</p>
    </div>
  );
}
