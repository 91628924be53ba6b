"use client";

import { createContext, useCallback, useContext, useEffect, useRef, useState } from "react";

import { hiddenInBrowser, nameOfPicture, type HiddenPictures } from "./hidden";

export const HiddenContext = createContext<HiddenPictures>(hiddenInBrowser);

/** What the owner has hidden; read again when the page is looked at, and every 15 s. */
export function useHidden() {
  const pictures = useContext(HiddenContext);
  const [names, setNames] = useState<ReadonlySet<string>>(); // undefined until they are known
  const [error, setError] = useState<unknown>();
  const newest = useRef(0); // an answer is dropped if a newer one has been asked for

  const refresh = useCallback(async () => {
    const mine = ++newest.current;
    try {
      const read = await pictures.read();
      if (mine !== newest.current) return;
      setNames(new Set(read));
      setError(undefined);
    } catch (error) {
      if (mine === newest.current) setError(error);
    }
  }, [pictures]);

  useEffect(() => {
    const look = () => { if (document.visibilityState === "visible") void refresh(); };
    look();
    const timer = setInterval(look, 15_000);
    window.addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      newest.current++;
      clearInterval(timer);
      window.removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, [refresh]);

  const isHidden = (task: string, n: number) => names?.has(nameOfPicture(task, n)) ?? false;
  async function hide(task: string, n: number, hidden: boolean) {
    await pictures.set(task, n, hidden);
    await refresh();
  }
  return { isHidden, hide, error, loading: !names && !error };
}
