// What went wrong, for people who do not read the log.

import { byId, call, el, Refusal } from "./api.js";

const many = (n, one, more) => (n === 0 ? "" : n === 1 ? `1 ${one}` : `${n} ${more}`);

export async function showTroubles() {
  let report;
  try {
    ({ body: report } = await call("/local/troubles"));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return; // the server's absence shows elsewhere
  }
  const place = byId("troubles");
  place.hidden = report.last.length === 0;
  if (place.hidden) return;
  const counts = [many(report.ended, "task ended badly", "tasks ended badly"), many(report.errors, "error", "errors")].filter(Boolean).join(", ");
  byId("troubles-count").textContent = `${counts}. The log says why: see standard error of bin/local.`;
  byId("troubles-last").replaceChildren(...report.last.map(line));
}

function line({ at, message, task, code, missing }) {
  const parts = [task && el("span", {}, "task ", el("code", {}, task)), code && el("span", {}, el("code", {}, code)), missing && `${missing} missing`].filter(Boolean);
  return el("li", {}, el("time", { dateTime: at }, new Date(at).toLocaleTimeString()), ` ${message}`, ...parts.flatMap((part) => [", ", part]));
}
