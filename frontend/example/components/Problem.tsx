import { ImagesError } from "@preset/images";

/** Shows an error in words for people: what happened, and what to do now. */
export function Problem({ error, about }: { error: unknown; about?: string }) {
  if (!error) return null;
  const { hint, requestId } = error instanceof ImagesError ? error : { hint: "", requestId: "" };
  return (
    <div className="problem" role="alert">
      <p>{about && `${about}: `}{error instanceof Error ? error.message : String(error)}</p>
      {hint && <p>{hint}</p>}
      {requestId && <p className="small">Request <code>{requestId}</code></p>}
    </div>
  );
}
