"use client";

import { newKey, type NewTask } from "@preset/images";
import { useRef } from "react";

/**
 * The Idempotency-Key of the next order. It stays the same while the same order is tried again
 * after a failure, so that no picture is made and paid twice.
 */
export function useOrderKey() {
  const last = useRef<{ order: string; key: string }>(null);
  return {
    keyOf(request: NewTask): string {
      const order = JSON.stringify(request);
      if (last.current?.order !== order) last.current = { order, key: newKey() };
      return last.current.key;
    },
    /** The order was accepted: the same again is a new one. */
    accepted() {
      last.current = null;
    },
  };
}
