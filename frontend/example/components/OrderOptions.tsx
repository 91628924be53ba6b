import type { Model, NewTask } from "@preset/images";

export type Options = Pick<NewTask, "model" | "aspectRatio" | "resolution"> & { numImages: number };

interface Props {
  models: Model[];
  options: Options;
  onChange(options: Options): void;
}

/** The choices that the model has: how many pictures, their shape, their size. */
export function OrderOptions({ models, options, onChange }: Props) {
  const model = models.find(({ id }) => id === options.model) ?? models[0];
  if (!model) return null;

  // Another model may lack what was chosen for the one before.
  function choose(id: string) {
    const next = models.find((other) => other.id === id);
    if (!next) return;
    onChange({
      model: next.id,
      numImages: Math.min(options.numImages, next.maxImages),
      aspectRatio: next.aspectRatios.find((ratio) => ratio === options.aspectRatio),
      resolution: next.resolutions?.find((size) => size === options.resolution),
    });
  }

  return (
    <div className="options">
      <label>
        Model
        <select value={model.id} onChange={(event) => choose(event.target.value)}>
          {models.map(({ id, title }) => <option key={id} value={id}>{title}</option>)}
        </select>
      </label>
      <label>
        Shape
        <select value={options.aspectRatio ?? ""} onChange={(event) => onChange({ ...options, aspectRatio: model.aspectRatios.find((ratio) => ratio === event.target.value) })}>
          <option value="">As it comes</option>
          {model.aspectRatios.map((ratio) => <option key={ratio}>{ratio}</option>)}
        </select>
      </label>
      {model.resolutions && (
        <label>
          Size
          <select value={options.resolution ?? model.resolutions[0]} onChange={(event) => onChange({ ...options, resolution: model.resolutions?.find((size) => size === event.target.value) })}>
            {model.resolutions.map((size) => <option key={size}>{size}</option>)}
          </select>
        </label>
      )}
      {model.maxImages > 1 && (
        <fieldset>
          <legend>Pictures</legend>
          {Array.from({ length: model.maxImages }, (_, i) => i + 1).map((n) => (
            <label key={n}>
              <input type="radio" name="numImages" checked={options.numImages === n} onChange={() => onChange({ ...options, numImages: n })} />
              {n}
            </label>
          ))}
        </fieldset>
      )}
    </div>
  );
}
