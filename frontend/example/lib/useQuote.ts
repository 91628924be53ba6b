"use client";

import type { NewTask, Quote } from "@preset/images";
import { useImages } from "@preset/images/react";
import { useEffect, useState } from "react";

/**
 * What an order would cost and meet, asked for when typing has paused. Nothing is ordered.
 * Undefined until the answer is there; if none comes, the order itself will say why.
 */
export function useQuote(request: NewTask | undefined): Quote | undefined {
  const images = useImages();
  const asked = JSON.stringify(request);
  const [answer, setAnswer] = useState<{ asked: string; quote: Quote }>();

  useEffect(() => {
    if (!asked) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      images.quote(JSON.parse(asked), { signal: abort.signal }).then((quote) => setAnswer({ asked, quote }), () => {});
    }, 400);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [images, asked]);

  return answer && answer.asked === asked ? answer.quote : undefined;
}
