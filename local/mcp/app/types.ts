// What the server's tools answer: functions/mcp/tools.json and task.json have the same as schemas.

export interface Image {
  n: number;
  url: string; // stays valid, and needs no sign-in
  imageUrl: string; // task:ID/N
  width: number;
  height: number;
  damaged?: boolean;
}

/** A task, as each tool that returns one has it. */
export interface Picture {
  taskId: string;
  status: string;
  statusText: string;
  done: boolean;
  prompt: string; // its beginning
  images: Image[];
  missing?: number;
  credits: { estimate: number };
  elapsedSeconds?: number;
  expectedSeconds?: number;
  error?: { code: string; message: string };
}

export interface Target {
  kind: string;
  id: string;
}

/** Arguments of generate_image, without the requestKey. */
export type Order = Record<string, unknown> & { prompt?: string };

export interface Offer {
  name: "edit" | "variations";
  credits: number;
  maxPrompt?: number;
  arguments: Order;
}

/** An error in words for people. */
export interface Problem {
  code: string;
  message: string;
  hint: string;
  retryable: boolean;
  fields?: string[];
  retryAfter?: number; // seconds
}

/** The answer of watch_image. */
export interface Watched {
  picture: Picture;
  pollSeconds?: number;
  failure?: { message: string; hint: string; retryable: boolean };
  previews: { n: number; url: string }[];
  offers: Offer[];
  targets: (Target & { own?: boolean })[];
}
