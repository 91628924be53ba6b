// An empty Supabase for tests: a real PostgreSQL, the edge function in real Deno, and stand-ins of
// what is between them and a page: the gateway with its keys, the Data API (data-api.js) and Auth's tokens.
import { createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:http";

import { dataApi } from "./data-api.js";
import { startEdgeFunction } from "./edge-function.js";
import { startPostgres } from "./postgres.js";

const migrations = new URL("../supabase/migrations/", import.meta.url);
const cors = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*, Authorization", "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS" };

/** Applies frontend/supabase/migrations to a database of postgres.js, as `supabase db push` does. */
export async function migrate(database) {
  for (const file of (await readdir(migrations)).sort()) await database.sql(await readFile(new URL(file, migrations), "utf8"));
}

/**
 * Starts a project with the migrations applied. jwks are addresses of further keys whose tokens are
 * sessions, such as those of bin/local: `${local.base}/…/jwks.json`.
 */
export async function startSupabase({ privileges = "new", jwks = [] } = {}) {
  const postgres = await startPostgres();
  const database = await postgres.project("project", privileges);
  await migrate(database);
  const sessions = await startSessions(jwks);
  const keys = { publishableKey: `sb_publishable_${randomUUID()}`, secretKey: `sb_secret_${randomUUID()}`, anonKey: sessions.token({ role: "anon" }), serviceRoleKey: sessions.token({ role: "service_role" }) };
  const functions = new Map();
  const server = createServer((request, response) => {
    gateway(request, { database, sessions, keys, functions }).catch((error) => ({ status: 500, body: { message: String(error) } })).then(({ status, body, text = JSON.stringify(body) }) => {
      response.writeHead(status, { ...cors, ...(text && { "Content-Type": "application/json" }) }).end(text);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url, ...keys, ...database,
    /** Returns the token of a session with these claims. */
    token: (claims) => sessions.token({ role: "authenticated", aud: "authenticated", ...claims }),
    /** Deploys a function of frontend/supabase/functions with these settings, in place of the one before. It answers at its url. */
    async deploy(name, env) {
      await functions.get(name)?.stop();
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

async function gateway(request, { database, sessions, keys, functions }) {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (request.method === "OPTIONS") return { status: 204 };
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const [, name] = /^\/functions\/v1\/([\w-]+)$/.exec(pathname) ?? [];
  if (name) return forward(functions.get(name), request, body);
  if (!pathname.startsWith("/rest/v1/")) return { status: 404, body: { message: "not in this stand-in" } };
  const caller = whose(request.headers, sessions, keys);
  if (!caller) return { status: 401, body: { message: "Invalid API key" } };
  return dataApi(database, { method: request.method, path: pathname.slice("/rest/v1".length), query: searchParams, headers: request.headers, body: body.length ? JSON.parse(body) : undefined, ...caller });
}

// whose returns the role and the claims of a request. The new keys are no tokens: alone they stand for a role.
function whose(headers, sessions, keys) {
  const role = { [keys.publishableKey]: "anon", [keys.secretKey]: "service_role", [keys.anonKey]: "anon", [keys.serviceRoleKey]: "service_role" }[headers.apikey];
  const bearer = headers.authorization?.replace(/^Bearer /, "");
  if (!role) return undefined;
  if (!bearer || bearer === headers.apikey) return { role, claims: {} };
  const claims = sessions.claims(bearer);
  return claims && { role: claims.role, claims };
}

async function forward(deployed, request, body) {
  if (!deployed) return { status: 404, body: { code: "NOT_FOUND", message: "Requested function was not found" } };
  const answer = await fetch(deployed.url, { method: request.method, headers: request.headers, body: body.length ? body : undefined });
  return { status: answer.status, text: await answer.text() };
}

// startSessions stands in for Auth: it signs tokens and verifies them, also those of other issuers.
async function startSessions(jwks) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const others = await Promise.all(jwks.map(async (address) => (await (await fetch(address)).json()).keys.map((key) => createPublicKey({ key, format: "jwk" }))));
  const trusted = [publicKey, ...others.flat()];
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    token(claims) {
      const signed = `${encoded({ alg: "ES256", typ: "JWT" })}.${encoded({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
      return `${signed}.${sign("sha256", signed, { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
    },
    claims(token) {
      const [head, payload, signature] = token.split(".");
      if (!signature) return undefined;
      const valid = trusted.some((key) => verify("sha256", `${head}.${payload}`, { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url")));
      const claims = valid && JSON.parse(Buffer.from(payload, "base64url"));
      return claims && claims.exp > Date.now() / 1000 ? claims : undefined;
    },
  };
}
