"use client";

import { ImagesError, price, type NewTask, type Target, type Task } from "@preset/images";
import { useModels } from "@preset/images/react";
import { useState, type FormEvent, type RefObject } from "react";

import { inCredits } from "@/lib/inCredits";
import { useAction } from "@/lib/useAction";
import { useOrderKey } from "@/lib/useOrderKey";
import { useQuote } from "@/lib/useQuote";
import type { useStarts } from "@/lib/useStarts";

import { OrderOptions, type Options } from "./OrderOptions";
import { Problem } from "./Problem";
import { StartPicker } from "./StartPicker";

interface Props {
  target?: Target;
  starts: ReturnType<typeof useStarts>;
  create(request: NewTask, options: { key: string }): Promise<Task>;
  promptRef: RefObject<HTMLTextAreaElement | null>;
}

/** The form that orders pictures. It shows the price, and what speaks against the order, before the click. */
export function Composer({ target, starts, create, promptRef }: Props) {
  const { models } = useModels();
  const [prompt, setPrompt] = useState("");
  const [options, setOptions] = useState<Options>({ numImages: 1 });
  const { run, busy, error } = useAction();
  const withKey = useOrderKey();

  const { entries, uploading } = starts;
  const request: NewTask = { prompt: prompt.trim(), ...options, target, imageUrls: entries.length > 0 ? entries : undefined };
  const ready = request.prompt !== "" && !uploading;
  const quote = useQuote(ready ? request : undefined);
  const credits = quote?.estimate ?? price(request, models ?? []);

  // What the order was refused with is said below already.
  const problems = quote?.problems.filter(({ code }) => !(error instanceof ImagesError && error.code === code));

  async function order(event: FormEvent) {
    event.preventDefault();
    if (!ready) return promptRef.current?.focus();
    const ordered = await run(() => withKey(request, (key) => create(request, { key })));
    if (!ordered) return;
    setPrompt((now) => (now === prompt ? "" : now)); // what was typed meanwhile stays
    setOptions({ ...options, numImages: 1 }); // no four pictures by accident next time
    starts.clear();
  }

  return (
    <form className="panel composer" onSubmit={order} aria-label="New pictures">
      <label>
        {entries.length > 0 ? "What should change?" : "What would you like to see?"}
        <textarea
          ref={promptRef} rows={4} value={prompt} onChange={(event) => setPrompt(event.target.value)}
          onKeyDown={(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit(); }}
          placeholder="A linen coat on a wooden chair, morning light"
        />
      </label>
      <StartPicker starts={starts} />
      {models && <OrderOptions models={models} options={options} onChange={setOptions} />}
      <button className="primary" disabled={busy || uploading}>
        {busy ? "Ordering…" : uploading ? "Uploading…" : verb(options.numImages, entries.length > 0)}
        {!uploading && !busy && credits !== undefined && ` · ${inCredits(credits)}`}
      </button>
      <div aria-live="polite">
        {problems?.map(({ code, detail, hint }) => <p key={code} className="problem">{detail} {hint}</p>)}
      </div>
      <Problem error={error} />
    </form>
  );
}

function verb(numImages: number, isEdit: boolean): string {
  if (numImages === 1) return isEdit ? "Edit it" : "Make it";
  return `Make ${numImages} ${isEdit ? "edits" : "pictures"}`;
}
