import type { useStarts } from "@/lib/useStarts";

import { Problem } from "./Problem";

/** The pictures that the order starts from, and the way to add files. */
export function StartPicker({ starts: { starts, error, remove, upload } }: { starts: ReturnType<typeof useStarts> }) {
  return (
    <div className="starts" onDragOver={(event) => event.preventDefault()} onDrop={(event) => {
      event.preventDefault();
      upload([...event.dataTransfer.files]);
    }}>
      {starts.length > 0 && (
        <ul aria-label="Pictures to start from">
          {starts.map(({ id, name, preview, entry }) => (
            <li key={id} aria-busy={!entry}>
              <img src={preview} alt="" onLoad={() => URL.revokeObjectURL(preview)} />
              <span>{name}</span>
              <button type="button" className="plain" onClick={() => remove(id)} aria-label={`Do not start from ${name}`}>×</button>
            </li>
          ))}
        </ul>
      )}
      <label className="file">
        <input type="file" accept="image/*" multiple onChange={(event) => {
          upload([...(event.target.files ?? [])]);
          event.target.value = ""; // the same file may be chosen again
        }} />
        <span>{starts.length > 0 ? "Add another picture" : "Start from a picture of your own"}</span>
      </label>
      <Problem error={error?.error} about={error?.name} />
    </div>
  );
}
