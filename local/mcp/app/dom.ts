// Elements. Every string from outside becomes text or an attribute's value, never markup.

type Child = Node | string | false | undefined;

/** Makes an element with properties and children. */
export function el<K extends keyof HTMLElementTagNameMap>(name: K, props: Partial<HTMLElementTagNameMap[K]> = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const node = Object.assign(document.createElement(name), props);
  node.append(...children.filter((child) => child !== false && child !== undefined));
  return node;
}

/**
 * A button that does one thing at a time: while action runs, clicks do nothing. It stays
 * focusable meanwhile, so that the keyboard does not lose its place.
 */
export function button(label: string, action: () => void | Promise<void>, { kind = "", detail = "" } = {}): HTMLButtonElement {
  const node = el("button", { type: "button", className: kind }, label, detail !== "" && el("span", { className: "cost" }, ` · ${detail}`));
  node.addEventListener("click", () => void press(node, action));
  return node;
}

/** Runs the action of a button, unless that button or another of its group is at work. */
export async function press(node: HTMLButtonElement, action: () => void | Promise<void>): Promise<void> {
  const group = node.closest("[data-group]") ?? node;
  if (group.ariaBusy === "true") return;
  const all = [...group.querySelectorAll("button"), node];
  const work = action();
  if (!work) return;
  group.ariaBusy = "true";
  for (const one of all) one.ariaDisabled = "true";
  try {
    await work;
  } finally {
    group.ariaBusy = "false";
    for (const one of all) one.ariaDisabled = null;
  }
}
