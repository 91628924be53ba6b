"use client";

import { ImagesClient } from "@preset/images";
import { ImagesProvider } from "@preset/images/react";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { useEffect, useMemo, useState } from "react";

import { hiddenInSupabase } from "@/lib/hidden";
import { useAction } from "@/lib/useAction";
import { HiddenContext } from "@/lib/useHidden";

import { Problem } from "./Problem";

interface Props {
  imagesUrl: string;
  url: string;
  publishableKey: string;
  children: React.ReactNode;
}

/** Shows the app to whoever has a Supabase session, and a form to everybody else. */
export function SupabaseSignIn({ imagesUrl, url, publishableKey, children }: Props) {
  const [supabase] = useState(() => createClient(url, publishableKey));
  const [user, setUser] = useState<string | null>(); // undefined until it is known
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((_event, session) => setUser(session?.user.id ?? null));
    return () => data.subscription.unsubscribe();
  }, [supabase]);

  if (user === undefined) return null;
  if (user === null) return <SignInForm supabase={supabase} />;
  return <SignedIn key={user} {...{ supabase, user, imagesUrl, children }} />;
}

function SignedIn({ supabase, user, imagesUrl, children }: { supabase: SupabaseClient; user: string; imagesUrl: string; children: React.ReactNode }) {
  const images = useMemo(() => new ImagesClient({
    url: imagesUrl,
    token: async () => (await supabase.auth.getSession()).data.session?.access_token ?? "",
  }), [supabase, imagesUrl]);
  const hidden = useMemo(() => hiddenInSupabase(supabase, user), [supabase, user]);
  return (
    <ImagesProvider client={images}>
      <HiddenContext value={hidden}>{children}</HiddenContext>
      <button className="sign-out" onClick={() => supabase.auth.signOut()}>Sign out</button>
    </ImagesProvider>
  );
}

function SignInForm({ supabase }: { supabase: SupabaseClient }) {
  const { run, busy, error } = useAction();
  function signIn(event: React.FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    void run(async () => {
      const { error } = await supabase.auth.signInWithPassword({ email: String(form.get("email")), password: String(form.get("password")) });
      if (error) throw error;
    });
  }
  return (
    <main className="sign-in">
      <form onSubmit={signIn} className="panel">
        <h1>Sign in</h1>
        <label>Email <input name="email" type="email" autoComplete="username" required /></label>
        <label>Password <input name="password" type="password" autoComplete="current-password" required /></label>
        <button className="primary" disabled={busy}>{busy ? "Signing in…" : "Sign in"}</button>
        <Problem error={error} />
      </form>
    </main>
  );
}
