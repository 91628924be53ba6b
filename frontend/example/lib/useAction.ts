"use client";

import { useCallback, useState } from "react";

/** Runs what a button starts: `busy` until it has ended, and `error` if it failed. */
export function useAction() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();

  /** Resolves to whether it succeeded. */
  const run = useCallback(async (action: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setError(undefined);
    try {
      await action();
      return true;
    } catch (error) {
      setError(error);
      return false;
    } finally {
      setBusy(false);
    }
  }, []);

  return { run, busy, error };
}
