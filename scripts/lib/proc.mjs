// Child processes: steps that run and end, services that run until stopped, locks between processes.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { ROOT, Stop, TOOL_DIR, say, seconds } from "./base.mjs";

const HEARTBEAT_MS = 30_000;
const TAIL_LINES = 200;

const steps = new Set();

/** Ends the steps that are running: for a script that was told to stop in the middle of one. */
export function endSteps() {
  for (const child of steps) child.kill("SIGTERM");
}

/** What a quick command prints, or undefined when it is missing or fails. */
export function ask(command, args, env = process.env) {
  const done = spawnSync(command, args, { cwd: ROOT, env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return done.status === 0 ? done.stdout.trim() : undefined;
}

/**
 * Runs a command to its end and reports how long it took. On a terminal its output is shown as it comes;
 * elsewhere only a sign of life now and then, and the last lines when it fails, unless `known` says of them that the caller
 * tells. `quiet` says nothing of success.
 */
export async function step(title, command, args, { cwd = ROOT, env = process.env, show = process.stderr.isTTY, quiet = false, stdin = "ignore", hint, known } = {}) {
  const started = performance.now();
  if (!quiet) say(`… ${title}`);
  const child = spawn(command, args, { cwd, env, stdio: [stdin, show ? 2 : "pipe", show ? 2 : "pipe"] });
  const tail = new Tail(TAIL_LINES);
  child.stdout?.on("data", (chunk) => tail.push(chunk));
  child.stderr?.on("data", (chunk) => tail.push(chunk));
  const heartbeat = setInterval(() => say(`  still at it after ${seconds(started)}: ${tail.last()}`), HEARTBEAT_MS);
  if (show) clearInterval(heartbeat);
  steps.add(child);
  const code = await ended(child);
  steps.delete(child);
  clearInterval(heartbeat);
  if (code === "ENOENT") throw new Stop(`${command} is not installed or not in PATH: it is needed for "${title}".`);
  if (code !== 0) {
    if (!show && known?.(tail.text()) !== true) say(tail.text());
    throw new Stop(`${title} failed after ${seconds(started)} (${describe(code)}).${hint?.(tail.text()) ?? ""}`, 1);
  }
  if (!quiet) say(`✓ ${title} (${seconds(started)})`);
}

const describe = (code) => (typeof code === "number" ? `exit code ${code}` : code);

/** Resolves to the exit code, the signal's name, or the spawn error's code. */
export function ended(child) {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.code ?? error.message));
    child.once("close", (code, signal) => resolve(code ?? signal));
  });
}

/** The last lines of a stream of chunks. */
export class Tail {
  #keep;
  #lines = [];
  #partial = "";

  constructor(keep) {
    this.#keep = keep;
  }

  push(chunk) {
    const lines = (this.#partial + chunk).split("\n");
    this.#partial = lines.pop();
    this.#lines.push(...lines);
    this.#lines.splice(0, this.#lines.length - this.#keep);
  }

  last() {
    return (this.#partial || this.#lines.findLast((line) => line.trim() !== "") || "no output yet").trim();
  }

  text() {
    return [...this.#lines, this.#partial].join("\n").trimEnd();
  }
}

/**
 * A long-running child in a process group of its own. A small keeper stands between: when this process dies, however it
 * dies, the keeper's stdin closes and it ends the whole group, so that no simulator or workerd is left behind.
 */
export class Service {
  #child;
  #exit;
  name;
  code;

  /** `silent` throws away what it writes to stdout, which costs nobody anything then. */
  constructor(name, command, args, { env, cwd = ROOT, onLine, silent = false }) {
    this.name = name;
    this.output = new Tail(TAIL_LINES);
    const keeper = fileURLToPath(new URL("keeper.mjs", import.meta.url));
    this.#child = spawn(process.execPath, [keeper, command, ...args], { cwd, env, stdio: ["pipe", silent ? "ignore" : "pipe", "pipe"], detached: true });
    this.#child.stdin.on("error", () => {});
    for (const stream of [this.#child.stdout, this.#child.stderr].filter((stream) => stream !== null)) {
      let partial = "";
      stream.setEncoding("utf8").on("data", (coloured) => {
        const chunk = stripVTControlCharacters(coloured);
        this.output.push(chunk);
        const lines = (partial + chunk).split("\n");
        partial = lines.pop();
        for (const line of lines) onLine?.(line);
      });
    }
    this.#exit = ended(this.#child).then((code) => {
      this.code = code;
      return code;
    });
  }

  /** The keeper's pid; the command is its one child. */
  get pid() {
    return this.#child.pid;
  }

  get exit() {
    return this.#exit;
  }

  get running() {
    return this.code === undefined;
  }

  /** Asks politely, then ends the group; resolves when no process of the group is left. */
  async stop(graceMs = 4_000) {
    if (this.#child.pid === undefined) return;
    if (this.running) {
      this.#child.kill("SIGTERM");
      await Promise.race([this.#exit, pause(graceMs, undefined, { ref: false })]);
    }
    for (let tries = 0; signalGroup(this.#child.pid, "SIGKILL") && tries < 100; tries += 1) await pause(20);
  }
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * Which run of a pid a process is: the start time from /proc, "" on systems without it. Undefined when there is no such
 * process or only the zombie of one, which a container without an init keeps for ever.
 */
function incarnation(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== "EPERM") return undefined;
  }
  try {
    // The fields after the command's name, which may itself hold spaces and brackets.
    const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return "";
  }
}

/** Takes a lock file holding our pid, or returns the pid of the living process that has it. */
export function tryLock(file) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  for (;;) {
    try {
      fs.writeFileSync(file, `${process.pid} ${incarnation(process.pid)}`, { flag: "wx" });
      process.once("exit", () => fs.rmSync(file, { force: true }));
      return undefined;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = ownerOf(file);
    if (owner !== undefined) return owner;
    fs.rmSync(file, { force: true });
  }
}

/** The living process, other than this one, that a lock file names. */
export function ownerOf(file) {
  try {
    const [pid, started] = fs.readFileSync(file, "utf8").split(" ");
    const owner = Number(pid);
    const present = owner > 0 && owner !== process.pid ? incarnation(owner) : undefined;
    return present !== undefined && present === started ? owner : undefined;
  } catch {
    return undefined;
  }
}

/** Runs the body while no other process of this checkout runs a body under the same name. */
export async function alone(name, body) {
  const file = path.join(TOOL_DIR, "locks", name);
  let told = false;
  for (let owner = tryLock(file); owner !== undefined; owner = tryLock(file)) {
    if (!told) say(`… waiting for process ${owner}, which is doing the same (${name})`);
    told = true;
    await pause(100);
  }
  try {
    return await body();
  } finally {
    fs.rmSync(file, { force: true });
  }
}
