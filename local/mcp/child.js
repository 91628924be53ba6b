// Programs that are run, none for longer than it may be.
import { execFile, spawn } from "node:child_process";

const running = new Set();

for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    process.exit(1);
  });
}

/** Notes a child, so that it does not outlive us if we are told to end. */
function noted(child) {
  running.add(child);
  child.once("close", () => running.delete(child));
  return child;
}

/** Runs a program to its end, and gives its exit code and what it has said. */
export function run(program, args, { env = {}, seconds = 45 } = {}) {
  return new Promise((resolve, reject) => {
    const options = { env: { PATH: process.env.PATH, ...env }, timeout: seconds * 1000, killSignal: "SIGKILL", maxBuffer: 16 << 20 };
    noted(execFile(program, args, options, (error, stdout, stderr) => {
      if (error?.killed) reject(new Error(`${program} has not ended within ${seconds} s; it said: ${stdout}${stderr}`));
      else if (error && typeof error.code !== "number") reject(error);
      else resolve({ code: error ? error.code : 0, stdout, stderr });
    }));
  });
}

/**
 * Starts a program that goes on until it is stopped, and waits for a line of its
 * output: match has its groups.
 */
export async function start(program, args, { env = {}, line, seconds = 20 }) {
  const child = noted(spawn(program, args, { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] }));
  let complained = "";
  child.stderr.on("data", (chunk) => (complained = (complained + chunk).slice(-4000)));
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = async () => {
    const late = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    child.kill("SIGTERM");
    await ended;
    clearTimeout(late);
  };
  let timer;
  const match = await new Promise((resolve, reject) => {
    let said = "";
    const fail = (why) => reject(new Error(`${program} ${why}; it said: ${said}${complained}`));
    timer = setTimeout(() => stop().then(() => fail(`has not said ${line} within ${seconds} s`)), seconds * 1000);
    child.stdout.on("data", (chunk) => {
      const found = line.exec((said += chunk));
      if (found) resolve(found);
    });
    child.once("error", reject);
    child.once("close", (code) => fail(`ended with ${code}`));
  }).finally(() => clearTimeout(timer));
  return { match, stop };
}
