// Compiled by tsc -p .: what the package's types promise to who uses them.
import { type CreditsNotice, ImagesClient, type Notice, type Task, type TaskNotice, type TestNotice } from "../client/dist/index.js";
import type { webhooks } from "../client/dist/openapi.js";

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** Every notice of the contract is a Notice, and no other. */
export const all: Same<Notice, webhooks[keyof webhooks]["post"]["requestBody"]["content"]["application/json"]> = true;

/** `type` tells notices apart. */
export function row(notice: Notice): { id: string; version: number; picture: string | undefined } | number {
  switch (notice.type) {
    case "task.succeeded": return { id: notice.data.id, version: notice.data.version, picture: notice.data.images[0]?.url };
    case "task.failed": return { id: notice.data.id, version: notice.data.version, picture: notice.data.error.message };
    case "task.moved": return { id: notice.data.id, version: notice.data.version, picture: notice.data.previousTarget?.id };
    case "task.deleted": return { id: notice.data.id, version: notice.data.version, picture: undefined };
    case "credits.low": case "credits.empty": case "credits.restored": return notice.data.balance;
    case "test": return 0;
    default: return notice satisfies never;
  }
}
export const parts: Same<Notice, TaskNotice | CreditsNotice | TestNotice> = true;

/** `status` tells tasks apart. */
export function line(task: Task): string {
  switch (task.status) {
    case "succeeded": return task.images.map(({ url }) => url).join();
    case "failed": return task.error.message;
    default: return String(task.progress.expectedSeconds);
  }
}

/** One id is one task, several are several. */
export async function waits(images: ImagesClient): Promise<[Task, Task[]]> {
  return [await images.wait("a"), await images.wait(["a", "b"])];
}
