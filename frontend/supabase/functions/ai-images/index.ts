// Receives the notices of the image service and keeps them in the tables that the migration
// ai_images made. A notice signs in by its signature, so deploy this with --no-verify-jwt.
import { createClient } from "@supabase/supabase-js";
import { Webhook } from "standardwebhooks";

const maxBytes = 1 << 20; // no notice is larger than some 300 KB
const patience = 8_000; // ms: the service waits 10 s for the answer

const hooks = notifyKeys().map(webhook);
const db = createClient(setting("SUPABASE_URL"), secretKey(), { auth: { persistSession: false, autoRefreshToken: false } });

Deno.serve(async (request) => {
  if (request.method !== "POST") return answer(405);
  const body = await read(request);
  if (body === undefined) return answer(413);
  const headers = Object.fromEntries(request.headers);
  const notice = verified(body, headers);
  if (notice === undefined) {
    log("no key in NOTIFY_KEY made this signature; the request was refused");
    return answer(401);
  }

  const { type, data = null } = Object(notice);
  const fault = await store(String(type), data);
  if (!fault) return answer(204);
  const { code, message } = fault;
  // 22: data exception, 23: integrity constraint violation. Then the notice is at fault, and
  // would be again. Any other fault can be mended here, and the notice comes again until then.
  const hopeless = /^2[23]/.test(code);
  log(hopeless ? "a notice that cannot be stored was dropped" : "a notice was not stored; it will come again", { id: headers["webhook-id"], type, code, error: message });
  return answer(hopeless ? 204 : 500);
});

/** Stores what a notice tells. Returns the database's error, if there was one. */
async function store(type: string, data: unknown) {
  const signal = AbortSignal.timeout(patience);
  if (type.startsWith("task.")) {
    const { error } = await db.rpc("take_ai_notice", { t: data }).abortSignal(signal);
    return error;
  }
  if (type.startsWith("credits.")) {
    const { data: news, error } = await db.rpc("take_ai_credits", { type, data }).abortSignal(signal);
    if (news && type !== "credits.restored") log("the image service needs credits: top them up", { type, data });
    return error;
  }
  if (type === "test") return null; // the operator asks whether our keys fit
  return { code: "22000", message: "this function does not know the type" };
}

/** Returns the body of a request, or undefined if it is too large. */
async function read(request: Request) {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return new Blob(chunks).text();
}

/** Returns what a body says, or undefined if none of our keys made its signature. */
function verified(body: string, headers: Record<string, string>): unknown {
  for (const hook of hooks) {
    try {
      return hook.verify(body, headers);
    } catch {
      // perhaps the next key
    }
  }
}

/** Returns the keys that notices may be signed with: several while they are replaced. */
function notifyKeys() {
  return setting("NOTIFY_KEY").split(/[\s,]+/).filter((key) => key !== "");
}

function webhook(key: string) {
  try {
    return new Webhook(key);
  } catch {
    throw new Error("NOTIFY_KEY holds something that is no key: take the keys from notifyKeys of the stack's secret");
  }
}

/** Returns the key that opens the tables: a secret key, or the service role's where there is none yet. */
function secretKey() {
  let keys: Record<string, string>;
  try {
    keys = JSON.parse(Deno.env.get("SUPABASE_SECRET_KEYS") || "{}");
  } catch {
    throw new Error("SUPABASE_SECRET_KEYS is not JSON"); // the error that was caught quotes the key
  }
  return keys.default ?? Object.values(keys)[0] ?? setting("SUPABASE_SERVICE_ROLE_KEY");
}

function setting(name: string) {
  const value = Deno.env.get(name)?.trim();
  if (!value) throw new Error(`${name} is missing: supabase secrets set ${name}=…`);
  return value;
}

/** Writes one line that can be searched by its fields. It never holds a key, a link or a prompt. */
function log(message: string, fields = {}) {
  console.error(JSON.stringify({ message, ...fields }));
}

function answer(status: number) {
  return new Response(null, { status });
}
