"use client";

import type { SucceededTask } from "@preset/images";
import { useImage } from "@preset/images/react";

/** The link of the picture that an edit started from: a copy of the upload, a picture of another task, or a link. */
export function useOriginal(task: SucceededTask): string | undefined {
  const first = task.imageUrls?.[0] ?? "";
  const [, id, n] = /^task:(\w+)\/(\d+)$/.exec(first) ?? [];
  const { task: parent } = useImage(id);
  if (id) return parent?.images.find((image) => image.n === Number(n))?.url;
  if (first.startsWith("upload:")) return task.inputs?.find((input) => input.n === 1)?.url;
  return first || undefined;
}
