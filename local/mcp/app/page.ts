// The page: which task it shows, and what it shows of it.
import { button, el } from "./dom.js";
import { can, pictureOf, problemOf, taskIdOf, tellModel, type ToolResult } from "./host.js";
import { change, order } from "./order.js";
import { explanation, PictureView, type Actions } from "./picture.js";
import { Progress } from "./progress.js";
import type { Offer, Order, Picture, Problem, Target, Watched } from "./types.js";
import { Watch } from "./watch.js";
import { credits, quoted } from "./words.js";

const root = document.getElementById("page") as HTMLElement;

/** Ends of a task after which other words may work. */
const aboutWords = ["content_policy", "input_image_unusable", "provider_rejected"];

export class Page {
  #watch: Watch | undefined;
  #progress: Progress | undefined;
  #before: string[] = []; // tasks shown here before this one
  #orders = new Map<string, Order>(); // what was ordered, by task

  /** Shows what the model asked for, until there is a result. */
  input(args: Record<string, unknown> | undefined): void {
    if (this.#watch) return;
    if (typeof args?.taskId === "string") {
      if (can.callTools()) this.#follow(args.taskId);
      return;
    }
    this.#wait(typeof args?.prompt === "string" ? args.prompt.slice(0, 300) : "").status("Ordering…");
    const { requestKey: _, ...ordered } = args ?? {};
    this.#orders.set("", ordered);
  }

  canceled(): void {
    if (!this.#watch) this.#show(el("p", { className: "status", role: "status" }, "The chat stopped this call. If a picture was ordered, the list of pictures has it."));
  }

  /** Shows the result of the model's call. */
  result(result: ToolResult): void {
    const problem = problemOf(result);
    const taskId = problem ? undefined : taskIdOf(result);
    const picture = pictureOf(result);
    const ordered = this.#orders.get("");
    if (ordered && taskId) this.#orders.set(taskId, ordered);
    if (taskId && can.callTools()) this.#follow(taskId, picture);
    else if (picture) this.#once(picture, result);
    else this.#fail(problem ?? { message: "This result has no picture.", hint: "Ask for it in the chat." });
  }

  stop(): void {
    this.#watch?.stop();
    this.#progress?.stop();
  }

  #show(...nodes: (Node | false)[]): void {
    this.#progress?.stop();
    this.#progress = undefined;
    const back = this.#before.at(-1);
    const focused = root.contains(document.activeElement);
    root.replaceChildren(...nodes.filter((node) => node !== false));
    if (back) (root.querySelector(".side") ?? root).append(this.#backButton(back));
    if (focused) root.focus(); // what had the focus is gone
  }

  #backButton(taskId: string): HTMLElement {
    return button("‹ The picture before", () => {
      this.#before.pop();
      this.#follow(taskId);
    }, { kind: "plain" });
  }

  #wait(prompt: string): Progress {
    const progress = new Progress(prompt);
    this.#show(progress.node);
    this.#progress = progress;
    return progress;
  }

  /** Watches a task; picture is what is known of it. */
  #follow(taskId: string, picture?: Picture): void {
    if (this.#watch?.taskId === taskId) return;
    this.#watch?.stop();
    this.#wait(String(this.#orders.get(taskId)?.prompt ?? "").slice(0, 300)).status("Looking…");
    if (picture && !picture.done) this.#progress?.show(picture);
    const watch = new Watch(taskId, {
      seen: (watched) => this.#seen(watched),
      gone: () => this.#gone(),
      tired: () => this.#tired(watch),
      trouble: (problem) => this.#progress?.note(problem ? `${problem.message} ${problem.hint}` : "The service cannot be reached just now. The page tries again."),
    });
    this.#watch = watch;
  }

  #seen(watched: Watched): void {
    const { picture } = watched;
    if (!picture.done) {
      (this.#progress ?? this.#wait(picture.prompt)).show(picture);
      return;
    }
    if (picture.images.length > 0) this.#show(new PictureView(watched, this.#actions(watched)).node);
    else this.#failed(watched);
    if (this.#before.length > 0) {
      const links = picture.images.map(({ imageUrl, url }) => `${imageUrl} at ${url}`).join(", ");
      void tellModel(`Task ${picture.taskId} has ended: ${picture.status}. ${links || picture.error?.message || ""}`.trim());
    }
  }

  #tired(watch: Watch): void {
    const again = button("Look again", () => {
      this.#wait("").status("Looking…");
      watch.again();
    }, { kind: "main" });
    this.#show(el("section", { className: "progress" },
      el("p", { className: "status", role: "status" }, "It is still being made, and will be kept. Nothing is lost."), el("div", { className: "row" }, again)));
  }

  #gone(): void {
    this.#show(el("p", { className: "status", role: "status" }, "This picture was deleted, or is somebody else's."));
  }

  #fail(problem: Pick<Problem, "message" | "hint" | "fields">, ...more: HTMLElement[]): void {
    this.#show(el("section", { className: "failed" }, explanation(problem), ...more));
  }

  /** A task without images: what to do about it, if anything can be done here. */
  #failed({ picture, failure }: Watched): void {
    const problem = failure ?? { message: picture.error?.message ?? picture.statusText, hint: "", retryable: false };
    const before = this.#orders.get(picture.taskId);
    const said = el("div", { className: "answer" });
    const again = (args: Order) => async () => {
      const refused = await this.#order(picture.taskId, args, `ordered again what became of task ${picture.taskId}`);
      said.replaceChildren(...(refused ? [explanation(refused)] : []));
    };
    const detail = credits(picture.credits.estimate);
    const panel = el("div", { className: "panel" }, el("p", { className: "prompt" }, picture.prompt));
    panel.dataset.group = "";
    if (before && problem.retryable) {
      panel.append(el("div", { className: "row" }, button("Try again", again(before), { kind: "main", detail })));
    } else if (before && aboutWords.includes(picture.error?.code ?? "")) {
      const words = el("textarea", { rows: 3, value: before.prompt ?? "" });
      const send = button("Order with these words", () => (words.value.trim() === "" ? words.focus() : again({ ...before, prompt: words.value.trim() })()), { kind: "main", detail });
      panel.replaceChildren(el("label", {}, "Other words", words), el("div", { className: "row" }, send));
    }
    this.#fail(problem, panel, said);
  }

  /** A result where the page can call no tools: what it says, and no more. */
  #once(picture: Picture, result: ToolResult): void {
    if (!picture.done) {
      this.#wait(picture.prompt).show(picture);
      this.#progress?.note("This chat does not let the page look for itself. Ask for the picture in the chat.");
    } else if (picture.images.length === 0) {
      this.#fail({ message: picture.error?.message ?? picture.statusText, hint: "Ask in the chat what to do." });
    } else {
      const shown = result.content.filter((block) => block.type === "image" && block.mimeType === "image/jpeg");
      const previews = shown.length === picture.images.length ? shown.map((block, i) => ({ n: picture.images[i]?.n ?? 0, url: `data:image/jpeg;base64,${(block as { data: string }).data}` })) : [];
      this.#show(new PictureView({ picture, previews, offers: [], targets: [] }, undefined).node);
    }
  }

  /** Orders something from a task, and shows that if it was taken. */
  async #order(from: string, args: Order, fact: string): Promise<Problem | undefined> {
    const made = await order(args);
    if ("problem" in made) return made.problem;
    this.#orders.set(made.taskId, args);
    this.#before.push(from);
    this.#follow(made.taskId);
    void tellModel(`The user ${fact}: task ${made.taskId}. The words: ${quoted(args.prompt ?? "")}`);
    return undefined;
  }

  #actions({ picture: { taskId } }: Watched): Actions {
    return {
      order: (offer: Offer, args: Order) => this.#order(taskId, args, `ordered ${offer.name === "edit" ? "an edit" : "variations"} of ${(args.imageUrls as string[]).join()} for ${credits(offer.credits)}`),
      move: async (target: Target) => {
        const problem = await change("move_image", { taskId, target });
        if (problem) return problem;
        void tellModel(`The user moved task ${taskId} to ${quoted(`${target.kind}:${target.id}`)}.`);
        this.#watch?.stop();
        this.#watch = undefined;
        this.#follow(taskId);
        return undefined;
      },
      remove: async () => {
        const problem = await change("delete_image", { taskId });
        if (problem && problem.code !== "not_found") return problem;
        this.#show(el("p", { className: "status", role: "status" }, "Deleted. The link no longer works."));
        void tellModel(`The user deleted task ${taskId} and its pictures.`);
        return undefined;
      },
    };
  }
}
