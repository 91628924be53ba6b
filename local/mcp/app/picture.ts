// A finished task: its images, and what can be done with them.
import { button, el } from "./dom.js";
import { can, open } from "./host.js";
import { credits } from "./words.js";
import type { Image, Offer, Order, Problem, Target, Watched } from "./types.js";

/** What the buttons do. Each returns why it did not work. */
export interface Actions {
  order(offer: Offer, args: Order): Promise<Problem | undefined>;
  move(target: Target): Promise<Problem | undefined>;
  remove(): Promise<Problem | undefined>;
}

/** What is said about a problem: what happened, what is wrong with the order, what to do. */
export function explanation({ message, fields = [], hint }: Pick<Problem, "message" | "hint" | "fields">): HTMLElement {
  return el("div", { className: "problem", role: "alert" }, el("p", {}, message), ...fields.map((field) => el("p", {}, field)), el("p", {}, hint));
}

const isLink = (url: string) => /^https?:\/\//.test(url);

/** A finished task. */
export class PictureView {
  readonly node: HTMLElement;
  #chosen: Image;
  #row = el("div", { className: "row" });
  #panel = el("div", { className: "panel" }); // instead of the row, while something is being asked
  #note = el("div", { className: "answer" });
  #facts = el("p", { className: "quiet" });

  constructor(readonly watched: Watched, readonly actions: Actions | undefined) {
    const { picture } = watched;
    [this.#chosen] = picture.images as [Image];
    const side = el("div", { className: "side" }, el("p", { className: "prompt" }, picture.prompt), this.#facts, this.#row, this.#panel, this.#note);
    side.dataset.group = "";
    this.node = el("section", { className: "picture" }, this.#images(), side);
    this.#showFacts();
    this.#showRow();
  }

  #images(): HTMLElement {
    const { images, prompt } = this.watched.picture;
    if (images.length === 1) return el("div", { className: "images one" }, this.#image(this.#chosen, prompt));
    const all = images.map((image) => {
      const radio = el("input", { type: "radio", name: "image", checked: image === this.#chosen, ariaLabel: `Picture ${image.n} of ${images.length}` });
      radio.addEventListener("change", () => {
        this.#chosen = image;
        this.#showFacts();
      });
      return el("label", {}, radio, this.#image(image, ""));
    });
    const group = el("fieldset", { className: "images many" }, el("legend", { className: "hidden" }, "Which picture"), ...all);
    return group;
  }

  #image({ n, width, height }: Image, alt: string): HTMLElement {
    const preview = this.watched.previews.find((one) => one.n === n)?.url;
    if (preview?.startsWith("data:image/jpeg;base64,")) return el("img", { src: preview, alt, width, height });
    return el("span", { className: "blank" }, `No preview of picture ${n}. Its link works.`);
  }

  #showFacts(): void {
    const { images, missing = 0 } = this.watched.picture;
    const { n, width, height, damaged, url } = this.#chosen;
    const facts = [images.length > 1 ? `Picture ${n} of ${images.length}` : "", `${width} × ${height}`];
    const own = this.watched.targets.find((target) => target.own);
    if (own) facts.push(`${own.kind} ${own.id}`);
    this.#facts.replaceChildren(facts.filter(Boolean).join(" · "));
    if (damaged) this.#facts.append(el("br"), "Its file came damaged: a part of it may not show.");
    if (missing > 0) this.#facts.append(el("br"), `${missing} more did not come.`);
    if (!can.openLinks() && isLink(url)) this.#facts.append(el("br"), el("span", { className: "link", tabIndex: 0 }, url));
  }

  /** The buttons. back is the one that gets the focus. */
  #showRow(back = ""): void {
    this.#panel.hidden = true;
    this.#row.hidden = false;
    const { offers, targets } = this.watched;
    const made: HTMLButtonElement[] = [];
    let focused: HTMLButtonElement | undefined;
    const add = (label: string, action: () => void | Promise<void>, options = {}) => {
      const one = button(label, action, options);
      made.push(one);
      if (label === back) focused = one;
    };
    for (const offer of this.actions ? offers : []) {
      const detail = credits(offer.credits);
      if (offer.name === "edit") add("Edit", () => this.#showEdit(offer), { detail, kind: "main" });
      else add("Three variations", () => this.#order(offer, {}), { detail });
    }
    if (this.actions && targets.some(({ own }) => !own)) add("Move to…", () => this.#showMove());
    if (can.openLinks() && isLink(this.#chosen.url)) add("Open", () => this.#open());
    if (this.actions) add("Delete…", () => this.#showDelete());
    this.#row.replaceChildren(...made);
    focused?.focus();
  }

  /** Asks something in place of the buttons; back is the button that asked. */
  #ask(back: string, first: HTMLElement, ...content: (HTMLElement | string)[]): void {
    this.#note.replaceChildren();
    this.#row.hidden = true;
    this.#panel.hidden = false;
    this.#panel.replaceChildren(...content);
    this.#panel.onkeydown = ({ key }) => {
      if (key === "Escape") this.#showRow(back);
    };
    first.focus();
  }

  #say(problem: Problem | undefined): void {
    this.#note.replaceChildren(...(problem ? [explanation(problem)] : []));
  }

  async #order(offer: Offer, own: Order): Promise<void> {
    this.#note.replaceChildren();
    this.#say(await this.actions?.order(offer, { ...offer.arguments, ...own, imageUrls: [this.#chosen.imageUrl] }));
  }

  #showEdit(offer: Offer): void {
    const words = el("textarea", { rows: 2, maxLength: offer.maxPrompt ?? 5000, placeholder: "Make the coat red", required: true });
    const send = button("Make the change", () => (words.value.trim() === "" ? words.focus() : this.#order(offer, { prompt: words.value.trim() })), { kind: "main", detail: credits(offer.credits) });
    words.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send.click();
    });
    this.#ask("Edit", words, el("label", {}, "What should change?", words), el("div", { className: "row" }, send, button("Cancel", () => this.#showRow("Edit"))));
  }

  #showMove(): void {
    const places = this.watched.targets.filter(({ own }) => !own);
    const list = el("select", {}, ...places.map(({ kind, id }, i) => el("option", { value: String(i) }, `${kind} ${id}`)));
    const go = button("Move", async () => {
      const place = places[Number(list.value)];
      if (place) this.#say(await this.actions?.move({ kind: place.kind, id: place.id }));
    }, { kind: "main" });
    const all = this.watched.picture.images.length > 1 ? "Move all pictures of this order to" : "Move the picture to";
    this.#ask("Move to…", list, el("label", {}, all, list), el("div", { className: "row" }, go, button("Cancel", () => this.#showRow("Move to…"))));
  }

  #showDelete(): void {
    const n = this.watched.picture.images.length;
    const lost = n > 1 ? `Delete all ${n} pictures of this order? They and their links are gone for good, everywhere they are shown.`
      : "Delete this picture? It and its link are gone for good, everywhere it is shown.";
    const keep = button("Keep", () => this.#showRow("Delete…"));
    const remove = button("Delete for good", async () => this.#say(await this.actions?.remove()), { kind: "danger" });
    this.#ask("Delete…", keep, el("p", {}, `${lost} Credits are not returned.`), el("div", { className: "row" }, remove, keep));
  }

  async #open(): Promise<void> {
    const { url } = this.#chosen;
    if (await open(url)) return;
    this.#note.replaceChildren(el("p", { role: "alert" }, "This chat did not open the link. Copy it: ", el("span", { className: "link", tabIndex: 0 }, url)));
  }
}
