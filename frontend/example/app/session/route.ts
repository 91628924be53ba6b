import { readSettings } from "@/lib/settings";

/**
 * Stands in for a sign-in while Supabase is not configured: it passes on the token of the
 * local run's sample owner, and only to a page on this machine, without a tunnel.
 */
export async function GET(request: Request) {
  const { imagesUrl, supabase } = await readSettings();
  if (supabase || !onThisMachine(imagesUrl) || !fromThisMachine(request.headers)) {
    return refuse(403, "There is no sample owner here. Configure Supabase, so that people can sign in.");
  }
  try {
    const answer = await fetch(new URL("/local/session", imagesUrl), { cache: "no-store", signal: AbortSignal.timeout(5000) });
    const { token } = await answer.json();
    if (token) return Response.json({ token }, { headers: { "Cache-Control": "no-store" } });
    return refuse(403, "The local run signs nobody in while pictures cost money. Start it without -live.");
  } catch {
    return refuse(503, `The local run does not answer at ${imagesUrl}. Start it with make local.`);
  }
}

/** A tunnel may write this machine's name into Host, but then names whom it forwards; else Next.js does. */
function fromThisMachine(headers: Headers): boolean {
  const all = (name: string) => headers.get(name)?.split(",").map((value) => value.trim()) ?? [];
  const hosts = [...all("host"), ...all("x-forwarded-host")];
  return hosts.length > 0 && hosts.every((host) => onThisMachine(`http://${host}`)) && all("x-forwarded-for").every((peer) => peers.includes(peer));
}

const peers = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];

function onThisMachine(url: string): boolean {
  return URL.canParse(url) && ["localhost", "127.0.0.1", "[::1]"].includes(new URL(url).hostname);
}

function refuse(status: number, message: string) {
  return Response.json({ message }, { status });
}
