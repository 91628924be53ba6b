// A chat that shows MCP Apps, as the specification describes hosts. Tests play its model
// and its user by window.host.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  AppBridge, buildAllowAttribute, getToolUiResourceUri, isToolVisibilityAppOnly, isToolVisibilityModelOnly, PostMessageTransport, RESOURCE_MIME_TYPE,
} from "@modelcontextprotocol/ext-apps/app-bridge";

const info = { name: "test-chat", version: "1.0.0" };
const sandboxURL = new URLSearchParams(location.search).get("sandbox");
const everything = { openLinks: {}, serverTools: {}, serverResources: {}, updateModelContext: { text: {} }, message: { text: {} }, logging: {} };

const client = new Client(info, { capabilities: { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: [RESOURCE_MIME_TYPE] } } } });
const bridges = [];
const faults = []; // what goes wrong with the app's next calls of a tool
let tools;

const host = (window.host = {
  calls: [], // of tools: {by, name, args}
  pending: 0, // calls of the app without an answer yet
  opened: [], told: [], messages: [], sizes: [], times: {},
  model, app, theme, change, connect, end, clear, cancel,
  fault: (fault) => faults.push(fault),
  release: () => {}, // ends the calls that are held
});

/** fetch, which does not ask for a stream: the server has none, and the browser would log its 405 as an error. */
const post = async (url, init) => (init.method === "POST" ? fetch(url, init) : new Response(null, { status: 405 }));

/** Connects to the server, and returns what it declares. */
async function connect() {
  await client.connect(new StreamableHTTPClientTransport(new URL("mcp", location.href), { fetch: post }));
  tools = new Map((await client.listTools()).tools.map((tool) => [tool.name, tool]));
  return {
    extensions: client.getServerCapabilities().extensions,
    tools: [...tools.values()].map((tool) => ({ name: tool.name, uri: getToolUiResourceUri(tool), flat: tool._meta?.["ui/resourceUri"], appOnly: isToolVisibilityAppOnly(tool) })),
    resources: (await client.listResources()).resources,
  };
}

/** The model calls a tool; if the tool has an app, the chat shows it. */
async function model(name, args, options = {}) {
  const tool = tools.get(name);
  if (!tool || isToolVisibilityAppOnly(tool)) throw new Error(`the model does not see ${name}`);
  host.calls.push({ by: "model", name, args });
  const result = client.callTool({ name, arguments: args });
  const uri = getToolUiResourceUri(tool);
  const shown = uri ? show(tool, uri, args, result, options) : undefined;
  return Promise.all([result, shown]).then(([result]) => result);
}

async function show(tool, uri, args, result, { capabilities = everything, context = {}, input = true, output = (result) => result } = {}) {
  const begun = performance.now();
  const { contents: [page] } = await client.readResource({ uri });
  if (page.mimeType !== RESOURCE_MIME_TYPE) throw new Error(`${uri} is ${page.mimeType}`);
  const { csp, permissions } = page._meta?.ui ?? {};
  const frame = document.createElement("iframe");
  frame.title = tool.title ?? tool.name;
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms");
  frame.allow = buildAllowAttribute(permissions);
  const ready = new Promise((resolve) => addEventListener("message", function seen({ source, data }) {
    if (source !== frame.contentWindow || data?.method !== "ui/notifications/sandbox-proxy-ready") return;
    removeEventListener("message", seen);
    resolve();
  }));
  const url = new URL(sandboxURL);
  url.searchParams.set("csp", JSON.stringify(csp ?? {}));
  frame.src = url.href;
  const article = document.createElement("article");
  article.append(frame);
  document.querySelector("main").append(article);
  await ready;

  const bridge = newBridge(tool, frame, capabilities, context);
  const initialized = new Promise((resolve) => (bridge.oninitialized = resolve));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await bridge.sendSandboxResourceReady({ html: page.text, csp, permissions });
  await initialized;
  host.times.initialized = performance.now() - begun;
  bridges.push(bridge);
  if (input) await bridge.sendToolInput({ arguments: args });
  const shown = output && await result.then(output);
  if (shown) await bridge.sendToolResult(shown);
}

function newBridge(tool, frame, capabilities, context) {
  const bridge = new AppBridge(null, info, capabilities, { hostContext: {
    theme: document.documentElement.dataset.theme, displayMode: "inline", availableDisplayModes: ["inline"], platform: "web", locale: "en-GB",
    containerDimensions: { maxWidth: 720 }, toolInfo: { tool }, ...context,
  } });
  bridge.onsizechange = ({ height }) => {
    if (height === undefined) return;
    host.sizes.push(height);
    frame.style.height = `${height}px`;
  };
  bridge.oncalltool = ({ name, arguments: args }) => app(name, args);
  if (capabilities.openLinks) bridge.onopenlink = async ({ url }) => (host.opened.push(url), {});
  if (capabilities.updateModelContext) bridge.onupdatemodelcontext = async (params) => (host.told.push(params), {});
  if (capabilities.message) bridge.onmessage = async (params) => (host.messages.push(params), {});
  return bridge;
}

/** The app calls a tool. The faults that the test asked for happen here. */
async function app(name, args) {
  const tool = tools.get(name);
  if (!tool || isToolVisibilityModelOnly(tool)) throw new Error(`apps do not see ${name}`);
  host.calls.push({ by: "app", name, args });
  const fault = faults.find((one) => one.tool === name && one.times !== 0) ?? {};
  if (fault.times) fault.times--;
  host.pending++;
  try {
    if (fault.kind === "replaced") return fault.result;
    if (fault.kind === "held") await new Promise((resolve) => (host.release = resolve));
    if (fault.kind === "unsent") throw new Error("the network is down");
    const result = await client.callTool({ name, arguments: args });
    if (fault.kind === "lost") throw new Error("the answer is lost");
    if (fault.kind === "patched") patch(result.structuredContent, fault.data);
    return result;
  } finally {
    host.pending--;
  }
}

/** Sets in a value what data has, down to the last part of it. */
function patch(value, data) {
  for (const [name, now] of Object.entries(data)) {
    if (now && typeof now === "object" && value[name]) patch(value[name], now);
    else value[name] = now;
  }
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  return change({ theme: name });
}

function change(context) {
  return Promise.all(bridges.map((bridge) => bridge.sendHostContextChange(context)));
}

/** Ends the app that was shown last, as chats do when the user scrolls far away. */
function end() {
  return bridges.at(-1).teardownResource({});
}

/** Ends the app that was shown last and forgets it. */
async function clear() {
  if (bridges.length === 0) return;
  await end();
  bridges.pop();
  document.querySelector("main").lastElementChild.remove();
  host.calls.length = faults.length = 0;
}

/** Tells the app that was shown last that the model's call was stopped. */
function cancel() {
  return bridges.at(-1).sendToolCancelled({ reason: "the user stopped it" });
}
