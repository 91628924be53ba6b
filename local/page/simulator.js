// The simulator's switches.

import { byId, call, explain, Refusal } from "./api.js";

const panel = byId("simulator");
const input = (name) => panel.querySelector(`[name="${name}"]`);

const hints = {
  "": "",
  credits: "No picture is made. After you set it back, it takes up to a minute until pictures are made again.",
  rateLimit: "The task waits and costs nothing. Set it back, and the task goes on.",
  maintenance: "The task waits. After six hours it would fail.",
  policy: "The task fails and is not tried again.",
  generation: "The task is tried once more after a minute, then it fails.",
  unclear: "The request is never repeated: the callback shows what became of it.",
};

export async function startSimulator() {
  show((await call("/local/simulator")).body);
  panel.hidden = false;
  panel.open = matchMedia("(min-width: 821px)").matches;
  panel.addEventListener("change", save);
}

function show(switches) {
  input("loseCallbacks").checked = switches.loseCallbacks;
  input("repeatCallbacks").checked = switches.repeatCallbacks > 1;
  input("slow").checked = switches.slow;
  input("manifest").checked = switches.manifest;
  input("refuse").value = switches.refuse;
  byId("refuse-hint").textContent = hints[switches.refuse];
}

async function save() {
  const switches = {
    loseCallbacks: input("loseCallbacks").checked, repeatCallbacks: input("repeatCallbacks").checked ? 5 : 1,
    slow: input("slow").checked, manifest: input("manifest").checked, refuse: input("refuse").value,
  };
  const problem = byId("simulator-problem");
  problem.textContent = "";
  try {
    show((await call("/local/simulator", { method: "PUT", body: switches })).body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    explain(problem, error);
  }
}
