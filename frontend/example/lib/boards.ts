import type { Target } from "@preset/images";

export interface Board {
  title: string;
  target: Target;
}

/** The boards to choose from. In a real app they are rows of your database. */
export const boards: Board[] = [
  { title: "Studio", target: { kind: "moodboard", id: "studio" } },
  { title: "Autumn lookbook", target: { kind: "moodboard", id: "autumn-lookbook" } },
  { title: "Showcase", target: { kind: "showcase", id: "portfolio" } },
];

/** A target as one text, as the API's `?target=` has it. */
export const nameOf = ({ kind, id }: Target) => `${kind}:${id}`;

export const boardOf = (name: string) => boards.find((board) => nameOf(board.target) === name);

export function titleOf(target?: Target): string {
  if (!target) return "No board";
  return boardOf(nameOf(target))?.title ?? target.id;
}
