// Errors in the log, for people who do not read it.

import { byId, call, el, Refusal } from "./api.js";

const count = (n, one, more) => (n === 0 ? "" : n === 1 ? `1 ${one}` : `${n} ${more}`);

export async function showTroubles() {
  let report;
  try {
    ({ body: report } = await call("/local/troubles"));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return; // showCredits reports the same error
  }
  const place = byId("troubles");
  place.hidden = report.last.length === 0;
  if (place.hidden) return;
  const counts = [count(report.ended, "task ended badly", "tasks ended badly"), count(report.errors, "error", "errors")].filter(Boolean).join(", ");
  byId("troubles-count").textContent = `${counts}. The log, on standard error of bin/local, says why.`;
  byId("troubles-last").replaceChildren(...report.last.map(line));
}

function line({ at, message, task, code, missing }) {
  const parts = [task && el("span", {}, "task ", el("code", {}, task)), code && el("span", {}, el("code", {}, code)), missing && `${missing} missing`].filter(Boolean);
  return el("li", {}, el("time", { dateTime: at }, new Date(at).toLocaleTimeString()), ` ${message}`, ...parts.flatMap((part) => [", ", part]));
}
