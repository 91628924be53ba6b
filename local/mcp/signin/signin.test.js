// Clients of the Model Context Protocol sign in to a bin/local that passes on to the
// stand-in in provider.js, by OAUTH_PROXY, and call a tool with the token that they get.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";

import * as v2 from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { run, start } from "../child.js";
import { apikey, consent, Provider } from "./provider.js";

const path = (name) => new URL(name, import.meta.url).pathname;
const folder = await mkdtemp(join(tmpdir(), "nanobanana-signin-"));
const provider = await new Provider().start();
const serve = (name, proxy) => start(path("../../../bin/local"), ["-addr", "127.0.0.1:0", "-data", join(folder, name)], {
  env: { HOME: folder, AUTH_ISSUER: provider.issuer, OAUTH_API_KEY: apikey, OAUTH_PROXY: String(proxy) }, line: /^listening on (http:\/\/\S+)$/m,
});
const proxied = await serve("proxied", true);
const another = await serve("another", true); // one of them lets ten clients register in a row
const direct = await serve("direct", false);
after(async () => {
  await Promise.all([proxied.stop(), another.stop(), direct.stop(), provider.stop()]);
  await rm(folder, { recursive: true });
});
const url = `${proxied.match[1]}/mcp`, anotherUrl = `${another.match[1]}/mcp`;
const callback = "http://localhost:9/callback"; // nobody listens there: consent only reads the address
const balance = (result) => assert.match(result.content[0].text, /1000 credits/);

beforeEach(() => {
  provider.iss = false;
  provider.tokens = [];
});

/** What the SDK keeps of a user. */
class Session {
  redirectUrl = callback;
  constructor(method) {
    this.clientMetadata = {
      client_name: "test", redirect_uris: [callback], grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
      ...(method && { token_endpoint_auth_method: method }),
    };
  }
  state = () => "s";
  clientInformation = () => this.client;
  saveClientInformation = (client) => { this.client = client; };
  tokens = () => this.kept;
  saveTokens = (tokens) => { this.kept = tokens; };
  codeVerifier = () => this.verifier;
  saveCodeVerifier = (verifier) => { this.verifier = verifier; };
  discoveryState = () => this.discovered;
  saveDiscoveryState = (state) => { this.discovered = state; };
  redirectToAuthorization = (address) => { this.address = address; };
}

/** Signs in; finish gives the redirect to the transport. */
async function signIn(sdk, server, session, finish) {
  const transport = new sdk.StreamableHTTPClientTransport(new URL(server), { authProvider: session });
  const connecting = new sdk.Client({ name: "test", version: "1" }).connect(transport);
  await assert.rejects(connecting, (error) => session.address !== undefined || assert.fail(error));
  await finish(transport, new URL(await consent(session.address)).searchParams);
}

async function call(sdk, server, session) {
  const client = new sdk.Client({ name: "test", version: "1" });
  await client.connect(new sdk.StreamableHTTPClientTransport(new URL(server), { authProvider: session }));
  const result = await client.callTool({ name: "get_credits", arguments: {} });
  await client.close();
  return result;
}

const code = (transport, query) => transport.finishAuth(query.get("code"));
for (const [name, sdk, finish] of [
  ["TypeScript SDK 1", { Client, StreamableHTTPClientTransport }, code],
  ["TypeScript SDK 2", v2, (transport, query) => transport.finishAuth(query)],
]) {
  describe(name, () => {
    for (const method of ["none", "client_secret_post", undefined]) {
      test(`signs in and refreshes, registered with ${method ?? "no method"}`, async () => {
        const session = new Session(method);
        await signIn(sdk, url, session, finish);
        balance(await call(sdk, url, session));
        const old = session.kept;
        session.kept = { ...old, access_token: "expired" };
        balance(await call(sdk, url, session));
        assert.notEqual(session.kept.refresh_token, old.refresh_token);
        assert.deepEqual(provider.tokens, ["authorization_code", "refresh_token"]);
      });
    }

    test("without the proxy it cannot register", async () => {
      const session = new Session("none");
      const connecting = new sdk.Client({ name: "test", version: "1" })
        .connect(new sdk.StreamableHTTPClientTransport(new URL(`${direct.match[1]}/mcp`), { authProvider: session }));
      await assert.rejects(connecting, /No API key/);
    });
  });
}

test("TypeScript SDK 2 refuses a redirect whose iss is the provider's", async () => {
  provider.iss = true;
  const session = new Session("none");
  await assert.rejects(signIn(v2, url, session, (transport, query) => transport.finishAuth(query)), { name: /IssuerMismatch/ });
  assert.deepEqual([session.kept, provider.tokens], [undefined, []]);
});

describe("Python SDK", () => {
  const python = (env = {}) => run(path("../../../.clients/mcp/bin/python"), [path("signin.py")], { env: { PYTHONPYCACHEPREFIX: join(folder, "python"), MCP_URL: anotherUrl, CALLBACK: callback, ...env } });
  test("signs in, registered in each way", async () => {
    const { code, stdout, stderr } = await python({ METHODS: "none,client_secret_post," });
    assert.equal(code, 0, stderr);
    assert.equal(stdout.match(/1000 credits/g)?.length, 3, stdout);
    assert.deepEqual(provider.tokens, Array(3).fill("authorization_code"));
  });

  test("refuses a redirect whose iss is the provider's", async () => {
    provider.iss = true;
    const { code, stderr } = await python({ METHODS: "none" });
    assert.notEqual(code, 0);
    assert.match(stderr, /iss mismatch|issuer/i);
    assert.deepEqual(provider.tokens, []);
  });
});

describe("mcp-remote", () => {
  /** Connects by way of mcp-remote, and opens the address that it prints. */
  async function remote(name) {
    const home = join(folder, name);
    const transport = new StdioClientTransport({
      command: process.execPath, args: [path("node_modules/mcp-remote/dist/proxy.js"), anotherUrl], stderr: "pipe",
      env: { PATH: "/nowhere", HOME: home, MCP_REMOTE_CONFIG_DIR: home }, // no browser is found
    });
    const log = { text: "" };
    const address = new Promise((resolve, reject) => {
      transport.stderr.on("data", (chunk) => {
        log.text += chunk;
        const found = /Please authorize this client by visiting:\s+(http\S+)\s/.exec(log.text);
        if (found) resolve(found[1]);
      });
      transport.stderr.on("end", () => reject(new Error(`mcp-remote printed no address: ${log.text}`)));
    });
    const client = new Client({ name: "test", version: "1" });
    const connecting = client.connect(transport);
    connecting.catch(() => {}); // the caller awaits it
    await fetch(await consent(await address));
    return { client, connecting, log };
  }

  test("signs in", async () => {
    const { client, connecting } = await remote("remote");
    await connecting;
    balance(await client.callTool({ name: "get_credits", arguments: {} }));
    await client.close();
    assert.deepEqual(provider.tokens, ["authorization_code"]);
  });

  test("refuses a redirect whose iss is the provider's", async () => {
    provider.iss = true;
    const { connecting, log } = await remote("refused");
    await assert.rejects(connecting);
    assert.match(log.text, /issuer/i);
    assert.deepEqual(provider.tokens, []);
  });
});
