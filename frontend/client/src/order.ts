// What a request costs and what speaks against it, known before it is sent.
import type { Model, NewTask } from "./types.js";

/** What a model does not support in a request, found before it is sent. It uses
 *  `GET /v1/models`, so this client need not change with the models. The server checks too. */
export function faults(request: NewTask, models: Model[]): string[] {
  const model = request.model === undefined ? models[0] : models.find((m) => m.id === request.model);
  if (!model) return [`There is no model ${request.model}.`];
  const found: string[] = [];
  const prompt = [...request.prompt.trim()].length; // characters, not UTF-16 units
  if (prompt < 1 || prompt > model.maxPrompt) found.push(`Describe it in 1 to ${model.maxPrompt} characters.`);
  const n = request.numImages ?? 1;
  if (!Number.isInteger(n) || n < 1 || n > model.maxImages) found.push(`${model.title} makes ${model.maxImages === 1 ? "one picture" : `1 to ${model.maxImages} pictures`} at a time.`);
  if ((request.imageUrls?.length ?? 0) > model.maxInputs) found.push(`${model.title} starts from at most ${model.maxInputs} pictures.`);
  if (request.aspectRatio && !model.aspectRatios.includes(request.aspectRatio)) found.push(`${model.title} offers ${model.aspectRatios.join(" ")}.`);
  if (request.resolution && !model.resolutions?.includes(request.resolution)) {
    found.push(model.resolutions ? `${model.title} offers ${model.resolutions.join(" ")}.` : `${model.title} has no resolution to choose.`);
  }
  return found;
}

/** What a request costs, in the image service's credits; undefined if the model does not offer it. */
export function price(request: NewTask, models: Model[]): number | undefined {
  const model = request.model === undefined ? models[0] : models.find((m) => m.id === request.model);
  const each = model?.credits[request.resolution ?? model.resolutions?.[0] ?? "default"];
  return each === undefined ? undefined : each * (request.numImages ?? 1);
}
