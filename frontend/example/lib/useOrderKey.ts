"use client";

import { ImagesError, newKey, type NewTask } from "@preset/images";
import { useRef } from "react";

/**
 * Sends an order with its Idempotency-Key. The key stays the same while the same order is tried
 * again and its outcome is not clear, so that no picture is made and paid twice.
 */
export function useOrderKey() {
  const last = useRef<{ order: string; key: string }>(null);

  return async function withKey<T>(request: NewTask, send: (key: string) => Promise<T>): Promise<T> {
    const order = JSON.stringify(request);
    if (last.current?.order !== order) last.current = { order, key: newKey() };
    try {
      const answer = await send(last.current.key);
      last.current = null; // the same again is a new order
      return answer;
    } catch (error) {
      if (error instanceof ImagesError && !error.temporary) last.current = null; // refused: the key may be used up
      throw error;
    }
  };
}
