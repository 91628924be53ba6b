// Requests to the server, and how its refusals are shown.

let session = { token: "", simulator: false };

/** A refused request, with texts for people. */
export class Refusal extends Error {
  constructor(status, problem, retryAfter, requestId = "") {
    super(problem.detail || problem.title || problem.message || `The server answered ${status}.`);
    this.status = status;
    this.hint = problem.hint || "";
    this.faults = problem.errors || [];
    this.retryAfter = retryAfter;
    this.requestId = problem.requestId || requestId;
  }
  /** Whether the request may have been carried out: if so, repeat it unchanged. */
  get unclear() { return this.status === 0 || this.status >= 500; }
}

/** Gets a token from the server, or from the user: askToken shows a dialog, with the command that prints one if there is one. */
export async function signIn(askToken) {
  const answer = await fetch("/local/session");
  if (!answer.ok) throw notLocal(await refusal(answer));
  session = await answer.json();
  if (!session.token) {
    session.token = sessionStorage.getItem("token") || await askToken(session.tokenCommand);
    sessionStorage.setItem("token", session.token);
  }
  return session;
}

/** A session is refused because of where the page was opened: the error says that, not "forbidden". */
function notLocal(refused) {
  const [fault] = refused.faults;
  return fault ? Object.assign(refused, { message: fault.message, hint: "" }) : refused;
}

async function json(answer) {
  try { return await answer.json(); } catch { return {}; }
}

async function refusal(answer) {
  return new Refusal(answer.status, await json(answer), Number(answer.headers.get("Retry-After")) || 0, answer.headers.get("X-Request-Id") || "");
}

/** Calls the API. It resolves to {body, etag, retryAfter, status}, or throws a Refusal. */
export async function call(path, { method = "GET", body, headers = {}, signal } = {}, mayRefresh = true) {
  const request = { method, signal, headers: { Authorization: `Bearer ${session.token}`, ...headers } };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  const answer = await orUnreachable(fetch(path, request));
  if (answer.status === 401 && mayRefresh) {
    sessionStorage.removeItem("token");
    await signIn(onUnauthorized);
    return call(path, { method, body, headers, signal }, false);
  }
  if (answer.status >= 400) throw await refusal(answer);
  return {
    status: answer.status, retryAfter: Number(answer.headers.get("Retry-After")) || 0, etag: answer.headers.get("ETag"),
    body: answer.status === 204 || answer.status === 304 ? null : await orUnreachable(answer.json()),
  };
}

/** What it waits for, or a Refusal if the connection broke, be it in the middle of the answer. */
async function orUnreachable(waiting) {
  try {
    return await waiting;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { title: "The server cannot be reached.", hint: "Check that bin/local is running." }, 3);
  }
}

let onUnauthorized = async () => "";
export const onSignIn = (ask) => { onUnauthorized = ask; };

/** Creates an element: el("p", {className: "hint"}, "text", child). Data becomes text, never markup. */
export function el(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Shows a refusal in place: what happened, what to do, and the request's id for the log. */
export function explain(place, refusal, { message = refusal.message, more = "" } = {}) {
  const words = [message.replace(/[^.!?]$/, "$&."), refusal.hint, more].filter(Boolean).join(" "); // the gateway's messages end without a full stop
  place.replaceChildren(words, ...(refusal.requestId ? [" ", el("small", { className: "request" }, "Request ", el("code", {}, refusal.requestId))] : []));
  place.hidden = false;
}

/** Whether a link may be shown as a picture. */
export const isPicture = (link) => /^https?:\/\//.test(link);

/** The link of an image's thumbnail, or of the image itself if it has none. */
export const small = (image) => image.thumbnailUrl || image.url;
