"use client";

import { newKey, type Image, type Task } from "@preset/images";
import { useImages } from "@preset/images/react";
import { useState } from "react";

import { nameOfPicture } from "./hidden";

/** A picture that an edit starts from. */
export interface Start {
  id: string;
  name: string;
  preview: string;
  /** What `imageUrls` gets; absent while it is uploaded. */
  entry?: string;
}

/** The pictures that the next order starts from: a picture of a board, or the user's own files. */
export function useStarts() {
  const images = useImages();
  const [starts, setStarts] = useState<Start[]>([]);
  const [error, setError] = useState<{ name: string; error: unknown }>();

  const remove = (id: string) => setStarts((all) => all.filter((start) => start.id !== id));

  function edit(task: Task, image: Image) {
    const entry = nameOfPicture(task.id, image.n);
    setError(undefined);
    setStarts([{ id: entry, entry, name: task.prompt, preview: image.thumbnailUrl ?? image.url }]);
  }

  async function uploadOne(file: File) {
    const id = newKey();
    setStarts((all) => [...all, { id, name: file.name, preview: URL.createObjectURL(file) }]);
    try {
      const { entry } = await images.upload(file);
      setStarts((all) => all.map((start) => (start.id === id ? { ...start, entry } : start)));
    } catch (error) {
      remove(id);
      setError({ name: file.name, error });
    }
  }

  function upload(files: File[]) {
    setError(undefined);
    files.forEach(uploadOne);
  }

  return {
    starts, error, edit, remove, upload,
    entries: starts.flatMap(({ entry }) => entry ?? []),
    uploading: starts.some(({ entry }) => !entry),
    /** Removes those that were ordered; a file that was added meanwhile stays. */
    clear: () => starts.forEach(({ id }) => remove(id)),
  };
}
