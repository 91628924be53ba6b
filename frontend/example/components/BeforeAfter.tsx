"use client";

import type { Image } from "@preset/images";
import { useState, type CSSProperties } from "react";

/** Lays a picture over the one that it was made from, with a slider between them. */
export function BeforeAfter({ before, after }: { before: string; after: Image }) {
  const [share, setShare] = useState(50);
  return (
    <div className="before-after" style={{ "--share": `${share}%` } as CSSProperties}>
      <img src={after.url} alt="After" />
      <img className="before" src={before} alt="Before" />
      <span className="label left">Before</span>
      <span className="label right">After</span>
      <input type="range" aria-label="How much of before is shown" value={share} onChange={(event) => setShare(event.target.valueAsNumber)} />
    </div>
  );
}
