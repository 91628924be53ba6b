export { type Abortable, type Following, ImagesClient, type Keyed, newKey, type Page, type Which } from "./client.js";
export { type ErrorCode, ImagesError, type ProblemField } from "./error.js";
export { type EnhancementStatus, type MoodboardItem, moodboardItems, presetStatus, share } from "./moodboard.js";
export { faults, price } from "./order.js";
export type { ClientOptions } from "./request.js";
export type { Uploaded } from "./upload.js";
export type * from "./types.js";
