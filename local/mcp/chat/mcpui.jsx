// The same chat, made of npm's @mcp-ui/client.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { AppRenderer } from "@mcp-ui/client";
import { createRoot } from "react-dom/client";

const client = new Client({ name: "test-chat", version: "1.0.0" });
const sandbox = new URL(new URLSearchParams(location.search).get("sandbox"));
const host = (window.host = { calls: [], opened: [], errors: [], model });

/** fetch, which does not ask for a stream: the server has none, and the browser would log its 405 as an error. */
const post = async (url, init) => (init.method === "POST" ? fetch(url, init) : new Response(null, { status: 405 }));

const record = (by, { name, arguments: args }) => {
  host.calls.push({ by, name, args });
  return client.callTool({ name, arguments: args });
};

/** The model calls a tool, and the chat shows the tool's app. */
async function model(name, args) {
  await client.connect(new StreamableHTTPClientTransport(new URL("mcp", location.href), { fetch: post }));
  const uri = (await client.listTools()).tools.find((tool) => tool.name === name)._meta.ui.resourceUri;
  const page = await client.readResource({ uri });
  const result = await record("model", { name, arguments: args });
  sandbox.searchParams.set("csp", JSON.stringify(page.contents[0]._meta.ui.csp));
  createRoot(document.querySelector("main")).render(
    <AppRenderer
      toolName={name} toolInput={args} toolResult={result} toolResourceUri={uri} sandbox={{ url: sandbox, csp: page.contents[0]._meta.ui.csp }}
      hostCapabilities={{ serverTools: {}, openLinks: {} }}
      onReadResource={() => page} onCallTool={(params) => record("app", params)}
      onOpenLink={async ({ url }) => (host.opened.push(url), {})} onError={(error) => host.errors.push(String(error))}
    />,
  );
}
