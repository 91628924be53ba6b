// The host that shows this page, and the server's tools behind it.
import { App, applyDocumentTheme, applyHostStyleVariables, type McpUiHostContext } from "@modelcontextprotocol/ext-apps";

import type { Picture, Problem } from "./types.js";

export type ToolResult = Awaited<ReturnType<App["callServerTool"]>>;

const timeout = 40_000; // ms: longer than any answer of the server takes

export const app = new App({ name: "preset-picture", title: "Preset picture", version: "1.0.0" }, { availableDisplayModes: ["inline"] });

export const can = {
  callTools: () => Boolean(app.getHostCapabilities()?.serverTools),
  openLinks: () => Boolean(app.getHostCapabilities()?.openLinks),
  tellModel: () => Boolean(app.getHostCapabilities()?.updateModelContext),
};

/** No answer came: nobody knows whether the call has had an effect. */
export class NoAnswer extends Error {}

/** Calls a tool of the server. Refusals are results; it throws NoAnswer if there is none. */
export async function call(name: string, args: Record<string, unknown>): Promise<ToolResult> {
  try {
    return await app.callServerTool({ name, arguments: args }, { timeout });
  } catch (error) {
    throw new NoAnswer(String(error));
  }
}

/** The task in a tool's result. */
export function pictureOf({ structuredContent }: ToolResult): Picture | undefined {
  const data = structuredContent as Picture | undefined;
  return typeof data?.taskId === "string" && Array.isArray(data.images) ? data : undefined;
}

const firstText = (result: ToolResult) => result.content.find((block) => block.type === "text")?.text ?? "";

/** The id of a result's task, also where the host passes on the text alone. */
export function taskIdOf(result: ToolResult): string | undefined {
  return pictureOf(result)?.taskId ?? /^Task ([0-9a-v]{26})\b/m.exec(firstText(result))?.[1];
}

/** Why a call was refused; undefined if it was not. Hosts may pass on the text alone. */
export function problemOf(result: ToolResult): Problem | undefined {
  if (!result.isError || result.structuredContent) return undefined;
  const known = result._meta?.problem as Problem | undefined;
  if (known?.message) return known;
  const [line = ""] = firstText(result).split("\n");
  const [, code = "internal", message = line] = /^([a-z_]+): (.*)$/.exec(line) ?? [];
  return { code, message: message || "This did not work.", hint: "Ask for it in the chat.", retryable: false };
}

/** Opens a link outside; false if the host does not. */
export async function open(url: string): Promise<boolean> {
  if (!can.openLinks()) return false;
  try {
    return !(await app.openLink({ url })).isError;
  } catch {
    return false;
  }
}

const told: string[] = [];

/** Puts a fact about what the user did here into the model's context, beside the facts before. It makes no turn. */
export async function tellModel(fact: string): Promise<void> {
  if (!can.tellModel() || told.includes(fact)) return;
  told.push(fact);
  const text = ["What the user did in the page that shows the picture, oldest first:", ...told.slice(-8)].join("\n- ");
  try {
    await app.updateModelContext({ content: [{ type: "text", text }] });
  } catch {
    // The host does not want it; list_images finds every picture anyway.
  }
}

/** Takes on the host's theme, colours and measures. */
export function dress({ theme, styles, containerDimensions: size }: Partial<McpUiHostContext>): void {
  if (theme) applyDocumentTheme(theme);
  if (styles?.variables) applyHostStyleVariables(styles.variables);
  const height = size && ("height" in size ? size.height : size.maxHeight);
  if (height) document.documentElement.style.setProperty("--room", `${height}px`);
}
