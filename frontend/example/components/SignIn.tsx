"use client";

import dynamic from "next/dynamic";

import type { Settings } from "@/lib/settings";

import { SampleSignIn } from "./SampleSignIn";

// Supabase's library is loaded only where it is used, and only by the browser.
const SupabaseSignIn = dynamic(() => import("./SupabaseSignIn").then((m) => m.SupabaseSignIn), { ssr: false });

/** Signs somebody in, and gives the components inside a client that acts for them. */
export function SignIn({ settings: { imagesUrl, supabase }, children }: { settings: Settings; children: React.ReactNode }) {
  if (supabase) return <SupabaseSignIn imagesUrl={imagesUrl} {...supabase}>{children}</SupabaseSignIn>;
  return <SampleSignIn imagesUrl={imagesUrl}>{children}</SampleSignIn>;
}
