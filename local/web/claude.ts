// A conversation with Claude that makes pictures, without a client of MCP: a loop round Anthropic's
// Messages API that runs each tool Claude asks for by one POST to our /mcp. It belongs on a server,
// where both keys stay: a page sends it words and gets words back.

export interface Options {
  /** The Messages API's address, https://api.anthropic.com, and its key. */
  anthropic: string;
  apiKey: string;
  model: string;
  /** functions/mcp/claude-tools.json, parsed. */
  tools: unknown[];
  /** The address of /mcp, and the token of the user whose pictures they are. */
  mcp: string;
  token: () => Promise<string>;
  /** The most answers of Claude's to one message; the last is given without tools. */
  rounds?: number;
  /** How often a call is made while there is no answer, or one that passes. */
  tries?: number;
}

export interface Message { role: "user" | "assistant"; content: string | Block[] }
export interface Block { type: string; text?: string }
interface ToolUse extends Block { type: "tool_use"; id: string; name: string; input: object }
interface Answer { content: Block[]; stop_reason: string }

/** What a tool of /mcp says. */
interface Said { content: (Block & { data?: string; mimeType?: string; uri?: string; title?: string })[]; isError?: boolean }

/** Adds the user's message to a conversation and goes on until Claude has answered it. Keep
 *  `messages` for the next one. `stop` is end_turn, or says what cut the answer short. */
export async function converse(o: Options, message: string, before: Message[] = []): Promise<{ text: string; stop: string; messages: Message[] }> {
  const { rounds = 10, tries = 4 } = o;
  const messages: Message[] = [...before, { role: "user", content: message }];
  for (let round = 1; round <= rounds; round++) {
    const { content, stop_reason: stop } = await post<Answer>(`${o.anthropic}/v1/messages`, { "x-api-key": o.apiKey, "anthropic-version": "2023-06-01" },
      { model: o.model, max_tokens: 4096, messages, tools: o.tools, tool_choice: { type: round < rounds ? "auto" : "none" } }, tries);
    messages.push({ role: "assistant", content });
    if (stop !== "tool_use") return { text: content.map((b) => (b.type === "text" ? b.text : "")).join(""), stop, messages };
    // The results of all that one answer asks for belong into one message.
    const asked = content.filter((b): b is ToolUse => b.type === "tool_use");
    messages.push({ role: "user", content: await Promise.all(asked.map((use) => run(o, use, tries))) });
  }
  throw new Error(`Claude still asks for tools after ${rounds} rounds.`);
}

/** Runs a tool. Whatever goes wrong with it is for Claude to read, but for a token that is not accepted. */
async function run(o: Options, use: ToolUse, tries: number) {
  const result = (content: Block[], failed: boolean) => ({ type: "tool_result", tool_use_id: use.id, content, is_error: failed });
  const token = await o.token();
  try {
    const { result: said, error } = await post<{ result?: Said; error?: { message: string } }>(o.mcp,
      { Authorization: `Bearer ${token}`, Accept: "application/json, text/event-stream" },
      { jsonrpc: "2.0", id: use.id, method: "tools/call", params: { name: use.name, arguments: use.input } }, tries);
    return said ? result(said.content.map(block), said.isError ?? false) : result([{ type: "text", text: error?.message ?? "It said nothing." }], true);
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) throw new Error("Our token is not accepted by /mcp: it has expired, or is none of ours.", { cause: error });
    if (error instanceof Refusal && !error.passes) throw error;
    return result([{ type: "text", text: "The tool did not answer, so it may have worked or not. Call it again with the same arguments." }], true);
  }
}

/** A block of what a tool says, which is text, a link or a picture, as the Messages API has it. */
function block({ type, text, data, mimeType, uri, title }: Said["content"][number]): Block {
  if (type === "image") return { type, source: { type: "base64", media_type: mimeType, data } } as Block;
  return { type: "text", text: type === "resource_link" ? `${title}: ${uri}` : text };
}

class Refusal extends Error {
  constructor(readonly status: number, message: string) { super(message); }

  get passes(): boolean { return this.status >= 500 || this.status === 429; }
}

/** Posts JSON, the same again while nobody answers or what is answered passes. No picture is
 *  made twice by that: its requestKey is among the arguments. */
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
      if (attempt >= tries || (error instanceof Refusal && !error.passes)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(Number(after ?? 2 ** attempt / 8), 30)));
  }
}
