// A stand-in for Supabase's OAuth server, with the quirks that were reported of it: the
// gateway wants an apikey, the token endpoint answers 201, registration returns a secret
// without naming a method, and tokens have the audience "authenticated".
import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer } from "node:http";

export const apikey = "sb_publishable_test";
const lifetime = 3600;
const b64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

export class Provider {
  iss = false; // whether the redirect names the provider (RFC 9207)
  tokens = []; // how each token was asked for
  #clients = new Map();
  #codes = new Map();
  #refreshes = new Map();
  #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  #server = createServer((request, response) => this.#answer(request, response).catch((error) => response.destroy(error)));

  async start() {
    await new Promise((resolve, reject) => this.#server.once("error", reject).listen(0, "127.0.0.1", resolve));
    this.origin = `http://127.0.0.1:${this.#server.address().port}`;
    this.issuer = `${this.origin}/auth/v1`;
    return this;
  }

  stop() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.origin);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const send = (status, value, header = {}) => response.writeHead(status, { "Content-Type": "application/json", ...header }).end(JSON.stringify(value));
    const route = `${request.method} ${url.pathname}`;
    if (request.method === "POST" && request.headers.apikey !== apikey) return send(401, { message: "No API key found in request" });
    switch (route) {
      case "GET /auth/v1/.well-known/jwks.json":
        return send(200, { keys: [{ ...this.#keys.publicKey.export({ format: "jwk" }), kid: "1", alg: "ES256", use: "sig" }] });
      case "GET /.well-known/oauth-authorization-server/auth/v1":
        return send(200, this.#metadata());
      case "POST /auth/v1/oauth/clients/register":
        return send(201, this.#register(JSON.parse(body)));
      case "GET /auth/v1/oauth/authorize":
        return this.#authorize(url.searchParams, send);
      case "POST /auth/v1/oauth/token":
        return this.#token(request.headers, new URLSearchParams(body), send);
      default:
        return send(404, { message: `no ${route}` });
    }
  }

  #metadata() {
    return {
      issuer: this.issuer, authorization_endpoint: `${this.issuer}/oauth/authorize`, token_endpoint: `${this.issuer}/oauth/token`,
      registration_endpoint: `${this.issuer}/oauth/clients/register`, response_types_supported: ["code"],
      grant_types_supported: ["authorization_code", "refresh_token"], code_challenge_methods_supported: ["S256"],
      token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
    };
  }

  #register({ token_endpoint_auth_method, ...metadata }) {
    const secret = token_endpoint_auth_method === "none" ? {} : { client_secret: randomUUID() };
    const client = { ...metadata, client_id: randomUUID(), ...secret };
    this.#clients.set(client.client_id, client);
    return client;
  }

  /** The user agrees at once. */
  #authorize(query, send) {
    const client = this.#clients.get(query.get("client_id"));
    const to = query.get("redirect_uri");
    if (!client?.redirect_uris.includes(to) || query.get("code_challenge_method") !== "S256") return send(400, { error: "invalid_request" });
    const code = randomUUID();
    this.#codes.set(code, { client, challenge: query.get("code_challenge"), to });
    const target = new URL(to);
    target.searchParams.set("code", code);
    if (query.has("state")) target.searchParams.set("state", query.get("state"));
    if (this.iss) target.searchParams.set("iss", this.issuer);
    return send(302, {}, { Location: target.href });
  }

  #token(headers, form, send) {
    const basic = Buffer.from((headers.authorization ?? "").replace(/^Basic /, ""), "base64").toString().split(":").map(decodeURIComponent);
    const client = this.#clients.get(form.get("client_id") ?? basic[0]);
    if (!client || (client.client_secret && client.client_secret !== (form.get("client_secret") ?? basic[1]))) {
      return send(422, { message: "Required parameter: client_secret" });
    }
    const grant = this.#grant(form);
    if (grant?.client !== client) return send(400, { error: "invalid_grant" });
    this.tokens.push(form.get("grant_type"));
    const refresh = randomUUID();
    this.#refreshes.set(refresh, { client });
    return send(201, { access_token: this.#jwt(client), token_type: "bearer", expires_in: lifetime, refresh_token: refresh });
  }

  #grant(form) {
    if (form.get("grant_type") === "refresh_token") {
      const used = this.#refreshes.get(form.get("refresh_token"));
      this.#refreshes.delete(form.get("refresh_token"));
      return used;
    }
    const grant = this.#codes.get(form.get("code"));
    this.#codes.delete(form.get("code"));
    const challenge = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    return grant?.challenge === challenge && grant.to === form.get("redirect_uri") ? grant : undefined;
  }

  #jwt(client) {
    const now = Math.floor(Date.now() / 1000);
    const content = `${b64({ alg: "ES256", kid: "1", typ: "JWT" })}.${b64({
      iss: this.issuer, aud: "authenticated", sub: "11111111-1111-4111-8111-111111111111", role: "authenticated",
      client_id: client.client_id, iat: now, exp: now + lifetime,
    })}`;
    return `${content}.${sign("sha256", Buffer.from(content), { key: this.#keys.privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }
}

/** What the user's browser does: it opens the address and returns where it is sent. */
export async function consent(address) {
  const answer = await fetch(address, { redirect: "manual" });
  if (answer.status !== 302) throw new Error(`the provider answers ${answer.status}: ${await answer.text()}`);
  return answer.headers.get("location");
}
