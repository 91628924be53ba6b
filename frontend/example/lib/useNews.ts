"use client";

import type { Task } from "@preset/images";
import { useEffect, useRef, useState } from "react";

/** What a screen reader is told: which of the running tasks has ended, and how. */
export function useNews(tasks: readonly Task[]): string {
  const [news, setNews] = useState("");
  const running = useRef(new Set<string>());

  useEffect(() => {
    for (const task of tasks) {
      if (!task.done) running.current.add(task.id);
      else if (running.current.delete(task.id)) {
        setNews(task.status === "failed" ? `${task.error.message} ${task.prompt}` : `Done: ${task.prompt}`);
      }
    }
  }, [tasks]);

  return news;
}
