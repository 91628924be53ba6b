// A conversation with Claude that makes pictures, without an MCP client: a loop around Anthropic's
// Messages API that runs each tool Claude calls with one POST to our /mcp. It belongs on a server,
// which keeps the key and the token: a page sends it text and gets text back.

export interface Options {
  /** The Messages API's address, https://api.anthropic.com, and its key. */
  anthropic: string;
  apiKey: string;
  model: string;
  /** functions/mcp/claude-tools.json, parsed. */
  tools: unknown[];
  /** The address of /mcp, and the token of the user who gets the pictures. */
  mcp: string;
  token: () => Promise<string>;
  /** The maximum number of Claude's answers to one message; the last may not use tools. */
  rounds?: number;
  /** How often a request is sent while no answer comes, or a temporary error. */
  tries?: number;
}

export interface Message { role: "user" | "assistant"; content: string | Block[] }
export interface Block { type: string; text?: string }
interface ToolUse extends Block { type: "tool_use"; id: string; name: string; input: object }
interface Answer { content: Block[]; stop_reason: string }

/** The result of a tool of /mcp. */
interface ToolResult { content: (Block & { data?: string; mimeType?: string; uri?: string; title?: string })[]; isError?: boolean }

/** Adds the user's message to a conversation and returns when Claude has answered it. Keep
 *  `messages` for the next message. `stop` is end_turn, or the reason why the answer is cut. */
export async function converse(o: Options, message: string, before: Message[] = []): Promise<{ text: string; stop: string; messages: Message[] }> {
  const { rounds = 10, tries = 4 } = o;
  const messages: Message[] = [...before, { role: "user", content: message }];
  for (let round = 1; round <= rounds; round++) {
    const { content, stop_reason: stop } = await post<Answer>(`${o.anthropic}/v1/messages`, { "x-api-key": o.apiKey, "anthropic-version": "2023-06-01" },
      { model: o.model, max_tokens: 4096, messages, tools: o.tools, tool_choice: { type: round < rounds ? "auto" : "none" } }, tries);
    messages.push({ role: "assistant", content });
    if (stop !== "tool_use") return { text: content.map((b) => (b.type === "text" ? b.text : "")).join(""), stop, messages };
    // All results for one answer belong in one message.
    const uses = content.filter((b): b is ToolUse => b.type === "tool_use");
    messages.push({ role: "user", content: await Promise.all(uses.map((use) => run(o, use, tries))) });
  }
  throw new Error(`Claude still calls tools after ${rounds} rounds.`);
}

/** Runs a tool. Claude reads its errors, except for a token that is not accepted, which is thrown. */
async function run(o: Options, use: ToolUse, tries: number) {
  const result = (content: Block[], failed: boolean) => ({ type: "tool_result", tool_use_id: use.id, content, is_error: failed });
  const token = await o.token();
  try {
    const { result: answer, error } = await post<{ result?: ToolResult; error?: { message: string } }>(o.mcp,
      { Authorization: `Bearer ${token}`, Accept: "application/json, text/event-stream" },
      { jsonrpc: "2.0", id: use.id, method: "tools/call", params: { name: use.name, arguments: use.input } }, tries);
    return answer ? result(answer.content.map(block), answer.isError ?? false) : result([{ type: "text", text: error?.message ?? "The tool returned nothing." }], true);
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) throw new Error("The token is not accepted by /mcp: it has expired or was not issued for it. Sign in again.", { cause: error });
    if (error instanceof Refusal && !error.temporary) throw error;
    return result([{ type: "text", text: "The tool did not answer, so it may have worked or not. Call it again with the same arguments." }], true);
  }
}

/** Converts a tool's text, link or picture to a block of the Messages API. */
function block({ type, text, data, mimeType, uri, title }: ToolResult["content"][number]): Block {
  if (type === "image") return { type, source: { type: "base64", media_type: mimeType, data } } as Block;
  return { type: "text", text: type === "resource_link" ? `${title}: ${uri}` : text };
}

class Refusal extends Error {
  constructor(readonly status: number, message: string) { super(message); }

  get temporary(): boolean { return this.status >= 500 || this.status === 429; }
}

/** Posts JSON, and repeats it while no answer comes or a temporary error. This makes no
 *  picture twice, since the arguments contain its requestKey. */
async function post<T>(url: string, headers: Record<string, string>, body: object, tries: number): Promise<T> {
  for (let attempt = 1, after: string | null = null; ; attempt++, after = null) {
    try {
      const answer = await fetch(url, {
        method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body), signal: AbortSignal.timeout(120_000),
      });
      if (answer.ok) return (await answer.json()) as T;
      after = answer.headers.get("Retry-After");
      throw new Refusal(answer.status, `${url} answered ${answer.status}: ${await answer.text()}`);
    } catch (error) {
      if (attempt >= tries || (error instanceof Refusal && !error.temporary)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(Number(after ?? 2 ** attempt / 8), 30)));
  }
}
