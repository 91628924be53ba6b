// The studio: a composer, a gallery, and switches for the simulator.

import { byId, call, el, explain, onSignIn, Refusal, signIn } from "./api.js";
import { boardName, startBoards, target } from "./board.js";
import { boardChanged, fill, startComposer, useAgain } from "./composer.js";
import { addTask, startGallery, switchBoard } from "./gallery.js";
import { open, startLightbox } from "./lightbox.js";
import { startSimulator } from "./simulator.js";
import { markEnd, nameBoard } from "./title.js";
import { showTroubles } from "./troubles.js";

/** Asks the user for a token. command prints one; it is empty if the tokens come from another identity provider. */
async function askToken(command) {
  byId("sign-in-paid").hidden = !command;
  byId("sign-in-other").hidden = Boolean(command);
  byId("sign-in-command").textContent = command;
  const dialog = byId("sign-in");
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return byId("token").value.trim();
}

const reasons = {
  paused: "Making pictures is paused.",
  insufficient_credits: "The service has no credits left.",
  quota_exceeded: "You have used up today's pictures.",
};

let simulated = false;

const clock = (time) => new Date(time).toLocaleTimeString([], { timeStyle: "short" });

async function showCredits() {
  try {
    if (simulated) await call("/local/balance", { method: "POST" }); // costs nothing there, so what is left agrees with the cards
    const { body } = await call("/v1/credits");
    const parts = [el("b", {}, body.balance.toLocaleString()), body.balance === 1 ? " credit left" : " credits left"];
    if (body.quota.limit > 0) parts.push(` · ${body.quota.used} of ${body.quota.limit} pictures today`);
    const warning = body.reason ? reasons[body.reason] || "No pictures can be made now." : body.low ? "Credits are running low." : "";
    if (warning) parts.push(" ", el("span", { className: "low" }, warning));
    if (body.reason === "quota_exceeded") parts.push(` The next are available at ${clock(body.quota.resetsAt)}.`);
    byId("credits").replaceChildren(...parts);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    explain(byId("credits"), error, { message: `Cannot read the balance now. ${error.message}` });
  }
}

// The server checks the balance and reports errors from time to time, so both are
// read again regularly.
const showState = () => Promise.all([showCredits(), showTroubles()]);
setInterval(() => { if (!document.hidden) showState(); }, 15_000);

/** Shows what the address names; fault is a sentence if it names nothing. */
function showBoard(fault) {
  const board = target();
  nameBoard(board ? boardName(board) : "");
  byId("address-problem").textContent = fault;
  byId("address-problem").hidden = !fault;
}

function ended(task) {
  markEnd(task);
  showState();
}

onSignIn(askToken);
try {
  const session = await signIn(askToken);
  simulated = session.simulator;
  showBoard(startBoards(session.target, (fault) => { showBoard(fault); boardChanged(); switchBoard(); }));
  const ordered = (task) => { addTask(task); showState(); };
  await startComposer(ordered);
  startLightbox(ordered);
  await Promise.all([
    startGallery({ example: (prompt) => fill({ prompt }, "Filled with an example."), fill: useAgain, ordered, open, ended }),
    showState(),
    session.simulator ? startSimulator() : null,
  ]);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  explain(byId("gallery-problem"), error, { more: "Then reload the page." });
}
