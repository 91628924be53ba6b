// Serves a chat and, on an origin of its own, the sandbox of its apps.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import { build } from "esbuild";

const file = (name) => readFile(new URL(name, import.meta.url), "utf8");

let bundles;

/** The chats' scripts. */
const bundled = () => (bundles ??= build({
  entryPoints: ["host.js", "mcpui.jsx"], bundle: true, write: false, outdir: "/", format: "iife", target: "chrome120", logLevel: "error",
  absWorkingDir: import.meta.dirname, define: { "process.env.NODE_ENV": '"production"' }, jsx: "automatic",
}).then(({ outputFiles }) => new Map(outputFiles.map(({ path, text }) => [path, text]))));

/** Content-Security-Policy as the MCP Apps specification makes it of a resource's _meta.ui.csp. */
export function policy({ resourceDomains = [], connectDomains = [], frameDomains = [], baseUriDomains = [] }) {
  for (const source of [resourceDomains, connectDomains, frameDomains, baseUriDomains].flat()) {
    if (new URL(source).origin !== source) throw new Error(`${source} is no origin`);
  }
  const resources = resourceDomains.join(" ");
  return [
    "default-src 'none'", `script-src 'self' 'unsafe-inline' ${resources}`, `style-src 'self' 'unsafe-inline' ${resources}`,
    `connect-src 'self' ${connectDomains.join(" ")}`, `img-src 'self' data: ${resources}`, `font-src 'self' ${resources}`, `media-src 'self' data: ${resources}`,
    `frame-src ${frameDomains.join(" ") || "'none'"}`, "object-src 'none'", `base-uri ${baseUriDomains.join(" ") || "'self'"}`,
  ].join("; ");
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function listen(routes) {
  const server = createServer(async (request, answer) => {
    const url = new URL(request.url, "http://localhost");
    try {
      const { status = 200, headers = {}, text = "" } = await routes[`${request.method} ${url.pathname}`]?.(request, url) ?? { status: 404 };
      answer.writeHead(status, { "Cache-Control": "no-store", ...headers }).end(text);
    } catch (error) {
      answer.writeHead(500).end(String(error));
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

const html = { "Content-Type": "text/html; charset=utf-8" };
const script = (name) => async () => ({ headers: { "Content-Type": "text/javascript; charset=utf-8" }, text: (await bundled()).get(`/${name}`) });

/** Starts a chat in front of a server's /mcp, signed in by its token. */
export async function startChat(target) {
  const sandbox = await listen({
    "GET /sandbox": async (_, url) => ({ headers: { ...html, "Content-Security-Policy": policy(JSON.parse(url.searchParams.get("csp") ?? "{}")) }, text: await file("sandbox.html") }),
  });
  const chat = await listen({
    "GET /": async () => ({ headers: html, text: await file("host.html") }),
    "GET /mcpui": async () => ({ headers: html, text: (await file("host.html")).replace("host.js", "mcpui.js") }),
    "GET /host.js": script("host.js"),
    "GET /mcpui.js": script("mcpui.js"),
    "POST /mcp": async (request) => forward(target, request),
  });
  return {
    url: chat.url, sandbox: sandbox.url,
    stop: () => Promise.all([chat.stop(), sandbox.stop()]),
  };
}

/** Passes a message on as the chat's own server would: without the browser's Origin and cookies. */
async function forward(target, request) {
  const kept = Object.entries(request.headers).filter(([name]) => /^(accept|content-type|mcp-.*)$/.test(name));
  const answer = await fetch(`${target.url}/mcp`, {
    method: "POST", headers: { ...Object.fromEntries(kept), Authorization: `Bearer ${target.token}` }, body: await body(request), signal: AbortSignal.timeout(40_000),
  });
  return { status: answer.status, headers: { "Content-Type": answer.headers.get("Content-Type") ?? "text/plain" }, text: await answer.text() };
}
