// Everything that is asked of the server.

let session = { token: "", simulator: false, target: { kind: "moodboard", id: "studio" } };

/** A refusal: what it says is for people. */
export class Refusal extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.hint = problem.hint || "";
    this.faults = problem.errors || [];
    this.retryAfter = retryAfter;
  }
  /** Whether nobody knows what became of the request: repeat it as it was. */
  get unclear() { return this.status === 0 || this.status === 503 || this.status === 504; }
}

export const target = () => session.target;

/** Gets a token: the mint's, or one that is pasted. askToken shows a dialog. */
export async function signIn(askToken) {
  const answer = await fetch("/local/session");
  if (!answer.ok) throw new Refusal(answer.status, await json(answer), 0);
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
  const retryAfter = Number(answer.headers.get("Retry-After")) || 0;
  if (answer.status === 401 && again) {
    sessionStorage.removeItem("token");
    await signIn(askAgain);
    return call(path, { method, body, headers, signal }, false);
  }
  if (answer.status >= 400) throw new Refusal(answer.status, await json(answer), retryAfter);
  return {
    status: answer.status, retryAfter, etag: answer.headers.get("ETag"),
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

/** Whether a link may be shown as a picture. */
export const isPicture = (link) => /^https?:\/\//.test(link);
