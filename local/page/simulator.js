// The simulator's switches.

import { byId, call, explain, Refusal } from "./api.js";

const panel = byId("simulator");
const input = (name) => panel.querySelector(`[name="${name}"]`);

const hints = {
  "": "",
  credits: "Nothing is made, and the gate stays shut for a minute.",
  rateLimit: "The task waits its turn; nothing is charged. Set it back, and it goes on.",
  maintenance: "The task waits; after six hours it would fail.",
  policy: "The task fails, and is not tried again.",
  generation: "It is tried once more after a minute, then fails.",
  unclear: "Nobody asks twice: the callback tells what became of it.",
};

export async function startSimulator() {
  show((await call("/local/simulator")).body);
  panel.hidden = false;
  panel.open = matchMedia("(min-width: 821px)").matches;
  panel.addEventListener("change", save);
}

function show(now) {
  input("loseCallbacks").checked = now.loseCallbacks;
  input("repeatCallbacks").checked = now.repeatCallbacks > 1;
  input("slow").checked = now.slow;
  input("refuse").value = now.refuse;
  byId("refuse-hint").textContent = hints[now.refuse];
}

async function save() {
  const wanted = {
    loseCallbacks: input("loseCallbacks").checked, repeatCallbacks: input("repeatCallbacks").checked ? 5 : 1,
    slow: input("slow").checked, refuse: input("refuse").value,
  };
  const problem = byId("simulator-problem");
  problem.textContent = "";
  try {
    show((await call("/local/simulator", { method: "PUT", body: wanted })).body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    explain(problem, error);
  }
}
