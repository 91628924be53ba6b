// Small texts.

/** An amount of credits, such as "4 credits". */
export function credits(n: number): string {
  const amount = String(Math.round(n * 100) / 100);
  return amount === "1" ? "1 credit" : `${amount} credits`;
}

/** A time such as "42 s" or "3 min". */
export function duration(seconds: number): string {
  return seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** Words of the user as one line of JSON, for the model: nothing in them can look like words of ours. */
export function quoted(words: string): string {
  return JSON.stringify(words).replace(/[^ -~\p{L}\p{M}\p{N}\p{P}\p{S}]/gu, (c) =>
    Array.from({ length: c.length }, (_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, "0")}`).join(""));
}
