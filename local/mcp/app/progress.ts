// A task that is being made.
import { el } from "./dom.js";
import type { Picture } from "./types.js";
import { credits, duration } from "./words.js";

/** Shows how long a task takes, between its reads too. It never claims that the task is nearly done. */
export class Progress {
  readonly node: HTMLElement;
  #prompt = el("p", { className: "prompt" });
  #status = el("p", { className: "status", role: "status" });
  #bar = el("progress", { max: 1, ariaLabel: "Time passed of the time it usually takes" });
  #time = el("p", { className: "quiet" });
  #note = el("p", { className: "quiet note", role: "status" });
  #picture: Picture | undefined;
  #read = 0; // when #picture was
  #ticking: number;

  constructor(prompt: string) {
    this.node = el("section", { className: "progress" }, this.#prompt, this.#status, this.#bar, this.#time, this.#note);
    this.#prompt.textContent = prompt;
    this.#bar.removeAttribute("value");
    this.#ticking = window.setInterval(() => this.#tick(), 1000);
  }

  /** Shows a task as it was read. */
  show(picture: Picture): void {
    this.#picture = picture;
    this.#read = Date.now();
    this.#prompt.textContent ||= picture.prompt;
    this.#say(this.#status, `${picture.statusText}…`);
    this.note("");
    this.#tick();
  }

  status(text: string): void {
    this.#say(this.#status, text);
  }

  note(text: string): void {
    this.#say(this.#note, text);
  }

  stop(): void {
    clearInterval(this.#ticking);
  }

  /** Screen readers read each change, so there is none without need. */
  #say(where: HTMLElement, text: string): void {
    if (where.textContent !== text) where.textContent = text;
  }

  #tick(): void {
    const { elapsedSeconds = 0, expectedSeconds = 0, credits: cost } = this.#picture ?? { credits: undefined };
    if (!cost) return;
    const elapsed = elapsedSeconds + (Date.now() - this.#read) / 1000;
    const over = expectedSeconds > 0 && elapsed >= expectedSeconds;
    if (over || expectedSeconds === 0) this.#bar.removeAttribute("value"); // nobody knows how much is left
    else this.#bar.value = elapsed / expectedSeconds;
    const usual = expectedSeconds > 0 ? `${over ? "longer than usual: " : ""}${duration(elapsed)}, usually about ${duration(expectedSeconds)}` : duration(elapsed);
    this.#time.textContent = `${usual[0]?.toUpperCase()}${usual.slice(1)} · ${credits(cost.estimate)}`;
  }
}
