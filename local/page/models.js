// The models: what each can do and what it costs.

import { call } from "./api.js";

let models = [];

/** Reads the models, once. */
export async function loadModels() {
  models = (await call("/v1/models")).body;
  return models;
}

export const modelOf = (id) => models.find((m) => m.id === id);

/** A model's display name. */
export const title = (id) => modelOf(id)?.title || id;

/** The price of an order in credits, or undefined if it is not known. */
export function price({ model, resolution, numImages = 1 }) {
  const credits = modelOf(model)?.credits;
  const each = credits?.[resolution] ?? credits?.default;
  return each === undefined ? undefined : each * numImages;
}

/** A price in words: 1 credit, 12 credits. */
export const priceText = (credits) =>
  credits === undefined ? "price unknown" : `${credits.toLocaleString()} ${credits === 1 ? "credit" : "credits"}`;

/** Width and height of an aspect ratio; a square if there is none. */
export function ratio(text) {
  const [w, h] = (text || "").split(":").map(Number);
  return w > 0 && h > 0 ? [w, h] : [1, 1];
}
