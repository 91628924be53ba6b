// An empty Supabase for tests: a real PostgreSQL, the edge function in real Deno, and stand-ins of
// what is between them and a page: the gateway with its keys, the Data API (data-api.js) and Auth (supabase-auth.js).
import { randomUUID } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:http";

import { dataApi } from "./data-api.js";
import { startEdgeFunction } from "./edge-function.js";
import { startPostgres } from "./postgres.js";
import { standInAuth } from "./supabase-auth.js";

const migrations = new URL("../supabase/migrations/", import.meta.url);
const cors = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*, Authorization", "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS" };

/** Applies frontend/supabase/migrations to a database of postgres.js, as `supabase db push` does. */
export async function migrate(database) {
  for (const file of (await readdir(migrations)).sort()) await database.sql(await readFile(new URL(file, migrations), "utf8"));
}

/** Starts a project with the migrations applied. */
export async function startSupabase({ privileges = "new" } = {}) {
  const postgres = await startPostgres();
  const database = await postgres.project("project", privileges);
  await migrate(database);
  const functions = new Map();
  let auth, keys;
  const server = createServer((request, response) => {
    gateway(request, { database, auth, keys, functions }).catch((error) => ({ status: 500, body: { message: String(error) } })).then(({ status, body, text = JSON.stringify(body) }) => {
      response.writeHead(status, { ...cors, ...(text && { "Content-Type": "application/json" }) }).end(text);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  auth = standInAuth(`${url}/auth/v1`);
  keys = { publishableKey: `sb_publishable_${randomUUID()}`, secretKey: `sb_secret_${randomUUID()}`, anonKey: auth.token({ role: "anon" }), serviceRoleKey: auth.token({ role: "service_role" }) };
  return {
    url, ...keys, ...database,
    /** Who issues sessions. bin/local takes them with AUTH_ISSUER set to this. */
    issuer: auth.issuer,
    /** Lets somebody sign in with a password. Returns the user's id. */
    addUser: auth.addUser,
    /** Returns the token of a session with these claims. */
    token: (claims) => auth.token({ role: "authenticated", aud: "authenticated", ...claims }),
    /** Deploys a function of frontend/supabase/functions with these settings, in place of the one before. */
    async deploy(name, env) {
      await functions.get(name)?.stop();
      functions.delete(name);
      functions.set(name, await startEdgeFunction(name, { SUPABASE_URL: url, ...env }));
      return functions.get(name);
    },
    async stop() {
      for (const deployed of functions.values()) await deployed.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await postgres.stop();
    },
  };
}

async function gateway(request, { database, auth, keys, functions }) {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (request.method === "OPTIONS") return { status: 204 };
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const [, name] = /^\/functions\/v1\/([\w-]+)$/.exec(pathname) ?? [];
  if (name) return forward(functions.get(name), request, body);
  const json = body.length ? JSON.parse(body) : undefined;
  if (pathname.startsWith("/auth/v1/")) return auth.answer(request.method, pathname.slice("/auth/v1".length), searchParams, json);
  if (!pathname.startsWith("/rest/v1/")) return { status: 404, body: { message: "not in this stand-in" } };
  const caller = whose(request.headers, auth, keys);
  if (!caller) return { status: 401, body: { message: "Invalid API key" } };
  return dataApi(database, { method: request.method, path: pathname.slice("/rest/v1".length), query: searchParams, headers: request.headers, body: json, ...caller });
}

// whose returns the role and the claims of a request. The new keys are no tokens: alone they stand for a role.
function whose(headers, auth, keys) {
  const role = { [keys.publishableKey]: "anon", [keys.secretKey]: "service_role", [keys.anonKey]: "anon", [keys.serviceRoleKey]: "service_role" }[headers.apikey];
  const bearer = headers.authorization?.replace(/^Bearer /, "");
  if (!role) return undefined;
  if (!bearer || bearer === headers.apikey) return { role, claims: {} };
  const claims = auth.claims(bearer);
  return claims && { role: claims.role, claims };
}

async function forward(deployed, request, body) {
  if (!deployed) return { status: 404, body: { code: "NOT_FOUND", message: "Requested function was not found" } };
  const answer = await fetch(deployed.url, { method: request.method, headers: request.headers, body: body.length ? body : undefined });
  return { status: answer.status, text: await answer.text() };
}
