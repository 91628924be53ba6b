import { connection } from "next/server";

/** Where the app finds its services. All of it may be seen by everybody. */
export interface Settings {
  /** The address of the picture API. */
  imagesUrl: string;
  /** Absent: the local run's sample owner is signed in, and this browser keeps what is hidden. */
  supabase?: { url: string; publishableKey: string };
}

/** Reads the settings for each request, so that one build runs with any of them. */
export async function readSettings(): Promise<Settings> {
  await connection();
  const { NEXT_PUBLIC_IMAGES_URL, NEXT_PUBLIC_SUPABASE_URL: url, NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY: publishableKey } = process.env;
  return {
    imagesUrl: NEXT_PUBLIC_IMAGES_URL || "http://127.0.0.1:8787",
    supabase: url && publishableKey ? { url, publishableKey } : undefined,
  };
}
