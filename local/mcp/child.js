// Runs programs, each with a timeout.
import { execFile, spawn } from "node:child_process";

const running = new Set();

for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    process.exit(1);
  });
}

/** Tracks a child, so that it is killed if this process is told to end. */
function tracked(child) {
  running.add(child);
  child.once("close", () => running.delete(child));
  return child;
}

/** Runs a program to its end, and resolves to its exit code and output. */
export function run(program, args, { env = {}, seconds = 45 } = {}) {
  return new Promise((resolve, reject) => {
    const options = { env: { PATH: process.env.PATH, ...env }, timeout: seconds * 1000, killSignal: "SIGKILL", maxBuffer: 16 << 20 };
    tracked(execFile(program, args, options, (error, stdout, stderr) => {
      if (error?.killed) reject(new Error(`${program} has not ended within ${seconds} s; its output: ${stdout}${stderr}`));
      else if (error && typeof error.code !== "number") reject(error);
      else resolve({ code: error ? error.code : 0, stdout, stderr });
    }));
  });
}

/**
 * Starts a program that runs until it is stopped, and waits for a line of its
 * output. match holds the line's groups.
 */
export async function start(program, args, { env = {}, line, seconds = 20 }) {
  const child = tracked(spawn(program, args, { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] }));
  let errors = "";
  child.stderr.on("data", (chunk) => (errors = (errors + chunk).slice(-4000)));
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = async () => {
    const killer = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    child.kill("SIGTERM");
    await ended;
    clearTimeout(killer);
  };
  let timer;
  const match = await new Promise((resolve, reject) => {
    let output = "";
    const fail = (why) => reject(new Error(`${program} ${why}; its output: ${output}${errors}`));
    timer = setTimeout(() => stop().then(() => fail(`has not printed ${line} within ${seconds} s`)), seconds * 1000);
    child.stdout.on("data", (chunk) => {
      const found = line.exec((output += chunk));
      if (found) resolve(found);
    });
    child.once("error", reject);
    child.once("close", (code) => fail(`ended with ${code}`));
  }).finally(() => clearTimeout(timer));
  return { match, stop };
}
