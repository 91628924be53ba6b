// Everything that is asked of the server.

let session = { token: "", simulator: false };

/** A refusal: what it says is for people. */
export class Refusal extends Error {
  constructor(status, problem, retryAfter, requestId = "") {
    super(problem.detail || problem.title || problem.message || `The server answered ${status}.`);
    this.status = status;
    this.hint = problem.hint || "";
    this.faults = problem.errors || [];
    this.retryAfter = retryAfter;
    this.requestId = problem.requestId || requestId;
  }
  /** Whether nobody knows what became of the request: repeat it as it was. */
  get unclear() { return this.status === 0 || this.status === 503 || this.status === 504; }
}

/** Gets a token: the mint's, or one that is pasted. askToken shows a dialog. */
export async function signIn(askToken) {
  const answer = await fetch("/local/session");
  if (!answer.ok) throw await refusal(answer);
  session = await answer.json();
  if (!session.token) {
    session.token = sessionStorage.getItem("token") || await askToken();
    sessionStorage.setItem("token", session.token);
  }
  return session;
}

async function json(answer) {
  try { return await answer.json(); } catch { return {}; }
}

async function refusal(answer) {
  return new Refusal(answer.status, await json(answer), Number(answer.headers.get("Retry-After")) || 0, answer.headers.get("X-Request-Id") || "");
}

/** Calls the API. It resolves to {body, etag, retryAfter, status}, or throws a Refusal. */
export async function call(path, { method = "GET", body, headers = {}, signal } = {}, again = true) {
  const request = { method, signal, headers: { Authorization: `Bearer ${session.token}`, ...headers } };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { title: "The server cannot be reached.", hint: "Is it still running?" }, 3);
  }
  if (answer.status === 401 && again) {
    sessionStorage.removeItem("token");
    await signIn(askAgain);
    return call(path, { method, body, headers, signal }, false);
  }
  if (answer.status >= 400) throw await refusal(answer);
  return {
    status: answer.status, retryAfter: Number(answer.headers.get("Retry-After")) || 0, etag: answer.headers.get("ETag"),
    body: answer.status === 204 || answer.status === 304 ? null : await answer.json(),
  };
}

let askAgain = async () => "";
export const onSignIn = (ask) => { askAgain = ask; };

/** Makes an element: el("p", {className: "hint"}, "text", child). Data is always text, never markup. */
export function el(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Says in place what was refused: what happened, what to do, and the id by which the request is found in the log. */
export function explain(place, refusal, { message = refusal.message, more = "" } = {}) {
  const words = [message.replace(/[^.!?]$/, "$&."), refusal.hint, more].filter(Boolean).join(" "); // a gateway ends without a stop
  place.replaceChildren(words, ...(refusal.requestId ? [" ", el("small", { className: "request" }, "Request ", el("code", {}, refusal.requestId))] : []));
  place.hidden = false;
}

/** Whether a link may be shown as a picture. */
export const isPicture = (link) => /^https?:\/\//.test(link);

/** The link by which an image is shown small: itself, where it has no thumbnail. */
export const small = (image) => image.thumbnailUrl || image.url;
