// Reads the code blocks of a page, and compares the answers that it shows with real ones.

/** The languages of code that is run, and of the block after it that shows its answer. */
const answerTo = { sh: "", ts: "js" };

/** The code blocks of a page, in order, each with its section and, if the page shows one, its answer. */
export function blocks(page) {
  const found = [];
  const lines = page.split("\n");
  let section = "";
  for (let i = 0; i < lines.length; i++) {
    section = /^#+ (.+)$/.exec(lines[i])?.[1] ?? section;
    const opened = /^```(\w*)$/.exec(lines[i]);
    if (!opened) continue;
    const start = i + 1;
    const end = lines.indexOf("```", start);
    if (end < 0) throw new Error(`the block in line ${start} has no end`);
    i = end;
    const block = { language: opened[1], section, line: start + 1, text: lines.slice(start, end).join("\n") };
    const before = found.at(-1);
    if (before?.section === section && !before.answer && answerTo[before.language] === block.language) before.answer = block;
    else found.push(block);
  }
  return found;
}

/** The values that an answer shows: JavaScript as Node prints it, or JSON, with … for what is left out. */
export function values(answer) {
  const [found, open] = [[], []];
  let text = "";
  for (const [token] of answer.matchAll(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[\s\S]/gu)) {
    if (token === "{" || token === "[") open.push(token);
    if (token === "}" || token === "]") open.pop();
    if (token === "\n" && open.length === 0) {
      if (text.trim()) found.push(text);
      text = "";
    } else if (token === "…") text += open.at(-1) === "{" ? '"…": true' : '"…"';
    else text += token;
  }
  if (text.trim()) found.push(text);
  return found.map((one) => new Function(`return (${one});`)());
}

const varying = [/^[0-9a-v]{26}$/, /^[0-9A-Z]{26}$/, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/];

/** What differs between a value that a page shows and the real one. Names, words and numbers
 *  must be the same; ids and times only need to be ids and times, as must the numbers that
 *  depend on what happened before. … stands for anything. */
export function differences(shown, real, path = "it") {
  const differs = (what) => [`${path} ${what}`];
  if (shown === "…") return [];
  if (typeof shown !== typeof real || Array.isArray(shown) !== Array.isArray(real) || (shown === null) !== (real === null)) {
    return differs(`is ${JSON.stringify(real)}, not ${JSON.stringify(shown)}`);
  }
  if (Array.isArray(shown)) {
    const more = shown.at(-1) === "…";
    const each = more ? shown.slice(0, -1) : shown;
    if (more ? real.length <= each.length : real.length !== each.length) return differs(`has ${real.length} elements, not ${each.length}${more ? " and more" : ""}`);
    return each.flatMap((one, i) => differences(one, real[i], `${path}[${i}]`));
  }
  if (typeof shown === "object" && shown !== null) {
    const { "…": more, ...each } = shown;
    const hidden = Object.keys(real).filter((name) => !(name in each));
    if (!more && hidden.length > 0) return differs(`also has ${hidden.join(", ")}`);
    if (more && hidden.length === 0) return differs("has nothing more than what is shown: … is wrong");
    return Object.entries(each).flatMap(([name, one]) => differences(one, real[name], `${path}.${name}`));
  }
  if (typeof shown === "string") return sameText(shown, real) ? [] : differs(`is ${JSON.stringify(real)}, not ${JSON.stringify(shown)}`);
  if (shown === real || (typeof shown === "number" && /\.(elapsedSeconds|balance)$/.test(path))) return [];
  return differs(`is ${real}, not ${shown}`);
}

/** Whether a text is what a page shows, in which … stands for any part of it. */
export function sameText(shown, real) {
  if (varying.some((kind) => kind.test(shown) && kind.test(real))) return true;
  const parts = shown.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[\\s\\S]*")}$`).test(real);
}

/** One program of a page's ts blocks: the first section's for all of them, the others in a
 *  scope of their section, all at the same time. It prints what each block logs, as JSON by
 *  the block's line. lineOf finds a line of the program in the page. */
export function program(found) {
  const [imports, body, origin] = [new Set(['import { AsyncLocalStorage } from "node:async_hooks";']), [], []];
  let section = found[0].section;
  const add = (text, line = 0) => { body.push(text); origin.push(line); };
  for (const block of found) {
    if (block.section !== section) add(section === found[0].section ? "await Promise.all([async () => {" : "}, async () => {");
    section = block.section;
    add(`block.enterWith(${block.line});`);
    block.text.split("\n").forEach((text, i) => {
      if (text.startsWith("import ")) imports.add(text);
      else add(text, block.line + i);
    });
  }
  if (section !== found[0].section) add("}].map((run) => run()));");
  const head = [...imports, "const shown: Record<number, unknown[]> = {};", "const block = new AsyncLocalStorage<number>();",
    "console.log = (value: unknown) => { (shown[block.getStore()!] ??= []).push(value); };"];
  const source = [...head, ...body, "process.stdout.write(JSON.stringify(shown));", ""].join("\n");
  return { source, lineOf: (line) => origin[line - 1 - head.length] ?? 0 };
}
