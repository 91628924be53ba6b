"use client";

import { ImagesClient } from "@preset/images";
import { ImagesProvider } from "@preset/images/react";
import { useCallback, useEffect, useState } from "react";

import { useAction } from "@/lib/useAction";

import { Problem } from "./Problem";

/** Signs in the local run's sample owner, without a password: see app/session/route.ts. */
export function SampleSignIn({ imagesUrl, children }: { imagesUrl: string; children: React.ReactNode }) {
  const [images, setImages] = useState<ImagesClient>();
  const { run, busy, error } = useAction();

  const signIn = useCallback(async () => {
    const answer = await fetch("/session");
    const { token, message } = await answer.json();
    if (!token) throw new Error(message);
    setImages(new ImagesClient({ url: imagesUrl, token }));
  }, [imagesUrl]);
  useEffect(() => { void run(signIn); }, [run, signIn]);

  if (images) return <ImagesProvider client={images}>{children}</ImagesProvider>;
  return (
    <main className="sign-in">
      <Problem error={error} />
      {!!error && <button onClick={() => run(signIn)} disabled={busy}>Try again</button>}
    </main>
  );
}
