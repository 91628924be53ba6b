// The sources of one task, of the credits and of the models.
import type { Credits, ImagesError, Model, Task } from "./index.js";
import { type Live, newer } from "./live.js";
import { everySeconds, Source, type State, type Wishes } from "./source.js";

export interface ImageState extends State {
  task?: Task | undefined;
}

/** One task, followed until it has ended. */
export class ImageSource extends Source<ImageState> {
  #reading = false;

  constructor(live: Live, readonly id: string) {
    super(live, { loading: true });
  }

  protected async read(_wishes: Wishes, signal: AbortSignal): Promise<Partial<ImageState>> {
    this.#reading = true;
    try {
      await this.live.follow(this.id, signal); // which calls changed
      return {};
    } catch (error) {
      if ((error as ImagesError).code === "not_found") this.set({ task: undefined });
      throw error;
    } finally {
      this.#reading = false;
    }
  }

  protected pause(error?: ImagesError): number {
    return error && error.code !== "not_found" ? everySeconds : Infinity;
  }

  override changed(task: Task): void {
    if (task.id !== this.id) return;
    const { task: known } = this.snapshot;
    this.set({ task: known ? newer(known, task) : task, error: undefined, loading: false });
  }

  override gone(id: string): void {
    if (id === this.id && !this.#reading) void this.ask("refresh"); // its error says so
  }
}

export interface CreditsState extends State {
  credits?: Credits | undefined;
}

/** The balance and the quota: read every minute, and when an order has ended. Whoever orders
 *  asks for them, too. */
export class CreditsSource extends Source<CreditsState> {
  readonly #running = new Set<string>();

  constructor(live: Live) {
    super(live, { loading: true });
  }

  protected async read(_wishes: Wishes, signal: AbortSignal): Promise<Partial<CreditsState>> {
    return { credits: await this.live.client.credits({ signal }) };
  }

  protected pause(error?: ImagesError): number {
    return error ? everySeconds : 60;
  }

  override changed(task: Task): void {
    if (!task.done) this.#running.add(task.id);
    else if (this.#running.delete(task.id)) void this.ask("refresh");
  }

  override gone(id: string): void {
    if (this.#running.delete(id)) void this.ask("refresh"); // cancelled: the quota is given back
  }
}

export interface ModelsState extends State {
  models?: Model[] | undefined;
}

/** What can be ordered, and its price. */
export class ModelsSource extends Source<ModelsState> {
  constructor(live: Live) {
    super(live, { loading: true });
  }

  protected async read(_wishes: Wishes, signal: AbortSignal): Promise<Partial<ModelsState>> {
    return { models: await this.live.client.models({ signal }) };
  }

  protected pause(error?: ImagesError): number {
    return error ? everySeconds : Infinity;
  }
}
