// What this tab keeps over a reload: the form's contents, and orders without an answer.

const values = new Map(); // also if the browser does not allow storage

/** Keeps a value under a name; null forgets it. */
export function keep(name, value) {
  values.set(name, value);
  try {
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(value));
  } catch { /* then it lasts until the page is reloaded */ }
}

/** The object kept under a name, or null. */
export function kept(name) {
  if (values.has(name)) return values.get(name);
  try {
    const value = JSON.parse(sessionStorage.getItem(name));
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
