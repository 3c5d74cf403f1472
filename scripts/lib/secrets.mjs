// Local secrets. One file in the root is yours: .dev.vars, or .dev.vars.age, which `hoox vars` encrypts. Values you put
// there stay, what is missing is generated. Wrangler reads a .dev.vars beside each wrangler.toml, with only what that
// worker needs; those made from the encrypted file are there while a sandbox runs, in memory where the system has a
// place for that, and are overwritten and removed when the last one ends.
import fs from "node:fs";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ROOT, Stop, TOOL_DIR, filesUnder, remove, writeAtomic } from "./base.mjs";
import { alone, ended, ownerOf, tryLock } from "./proc.mjs";
import { buildCommandLine } from "./tools.mjs";

/** One key per edge between two workers, the operator's and the sealing key, and the account on the simulator. */
const GENERATED = ["OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY", "TRADE_D1_KEY", "BYBIT_SIM_API_KEY", "BYBIT_SIM_API_SECRET"];
const VENUE_KEY = /^(BYBIT|BINANCE|MEXC)_/;
/** The gateway reads the root file itself and takes the names under [secrets] in wrangler.toml. */
const PRIVATE_WORKERS = {
  "trade-worker": (name) => name === "HOOX_TRADE_KEY" || name === "TRADE_D1_KEY" || VENUE_KEY.test(name),
  "d1-worker": (name) => name === "HOOX_D1_KEY" || name === "TRADE_D1_KEY",
};

const ROOT_FILE = path.join(ROOT, ".dev.vars");
const SEALED_FILE = `${ROOT_FILE}.age`;
const beside = (worker) => path.join(ROOT, "workers", worker, ".dev.vars");
const FILES = [ROOT_FILE, ...Object.keys(PRIVATE_WORKERS).map(beside)];

const HEADER = "# Secrets of this machine's Hoox, never committed. .dev.vars.example says what can be here.\n";
/** The command line knows the files of a running sandbox by these words. */
const COPY = "# Written by npm run dev from .dev.vars.age while it runs; changes here are lost.\n";
const SECRET_BYTES = 32;

/** One lock file for each process that reads the copies. */
const READERS = path.join(TOOL_DIR, "readers");

/**
 * Completes the secrets and writes what wrangler reads. Answers every name with its value, and `release`, to be called
 * when wrangler has ended; whoever ends without it is noticed.
 */
export async function ensureSecrets(state) {
  return alone("secrets", () => (fs.existsSync(SEALED_FILE) ? fromSealed(state) : fromPlain()));
}

function fromPlain() {
  FILES.filter(isCopy).forEach(wipe);
  const text = fs.existsSync(ROOT_FILE) ? fs.readFileSync(ROOT_FILE, "utf8") : HEADER;
  const { secrets, completed } = complete(text, ROOT_FILE);
  if (completed !== undefined) writeAtomic(ROOT_FILE, completed, 0o600);
  fs.chmodSync(ROOT_FILE, 0o600);
  for (const [worker, needs] of Object.entries(PRIVATE_WORKERS)) {
    const own = beside(worker);
    const wanted = `# Written from the root's .dev.vars; changes here are lost.\n${linesOf(secrets, needs)}`;
    if (contentOf(own) !== wanted) writeAtomic(own, wanted, 0o600);
    fs.chmodSync(own, 0o600);
  }
  return { secrets, release: async () => {} };
}

async function fromSealed(state) {
  if (contentOf(ROOT_FILE) !== undefined && !isCopy(ROOT_FILE)) {
    throw new Stop(
      "There is a .dev.vars beside .dev.vars.age, and only one of them can hold: " +
        "remove .dev.vars, or take it instead of the encrypted one with `npx hoox vars encrypt`.",
    );
  }
  const program = process.env.HOOX_CLI_BIN ?? (await buildCommandLine());
  const { secrets, completed } = complete(vars(program, ["decrypt", "--stdout"]), SEALED_FILE);
  if (completed !== undefined) vars(program, ["encrypt", "-", "--yes"], completed);
  const release = watched(state);
  // An exchange key is nothing the gateway may read.
  const wanted = new Map([[ROOT_FILE, COPY + linesOf(secrets, (name) => !VENUE_KEY.test(name))]]);
  for (const [worker, needs] of Object.entries(PRIVATE_WORKERS)) wanted.set(beside(worker), COPY + linesOf(secrets, needs));
  // Another sandbox may be reading them: what is right already stays as it is.
  const stale = [...wanted].filter(([file, text]) => contentOf(file) !== text);
  const memory = stale.length > 0 ? folderInMemory() : undefined;
  for (const [index, [file, text]] of stale.entries()) {
    wipe(file);
    if (memory === undefined) writeAtomic(file, text, 0o600);
    else linkTo(path.join(memory, String(index)), file, text);
  }
  return { secrets, release };
}

/** The command line, which has the terminal if it has to ask. Secrets go through pipes. */
function vars(program, args, input) {
  const done = spawnSync(program, ["vars", ...args], { cwd: ROOT, input, encoding: "utf8", stdio: [input === undefined ? "inherit" : "pipe", "pipe", "inherit"] });
  if (done.status !== 0) throw new Stop(`\`hoox vars ${args[0]}\` failed (${done.error?.code ?? done.signal ?? `exit code ${done.status}`}).`, 1);
  return done.stdout;
}

/** Has a process of its own wait for the end of this one. */
function watched(state) {
  const reader = path.join(READERS, String(process.pid));
  tryLock(reader);
  const script = fileURLToPath(new URL("forget.mjs", import.meta.url));
  const child = spawn(process.execPath, [script, state], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  child.stdin.on("error", () => {});
  const end = ended(child);
  return async () => {
    remove(reader);
    child.stdin.end();
    await end;
  };
}

/** Removes the copies when nobody reads them any more, and the keys that a sandbox with this state has told. */
export async function forgetCopies(state) {
  remove(path.join(state, "dev.json"));
  await alone("secrets", () => {
    if (filesUnder([READERS]).some((file) => ownerOf(file) !== undefined)) return;
    FILES.filter(isCopy).forEach(wipe);
    remove(READERS);
  });
}

const contentOf = (file) => {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
};

/** Whether a file was made from the encrypted one. A link that leads nowhere did so before the machine was restarted. */
function isCopy(file) {
  if (fs.lstatSync(file, { throwIfNoEntry: false }) === undefined) return false;
  return contentOf(file)?.startsWith(COPY) ?? true;
}

/** A new folder that ends with the machine's memory, where there is such a place. */
function folderInMemory() {
  for (const folder of [process.env.XDG_RUNTIME_DIR, "/dev/shm"]) {
    try {
      return fs.mkdtempSync(path.join(folder, "hoox-"));
    } catch {
      // Not on this system, or not for this user.
    }
  }
  return undefined;
}

function linkTo(target, file, text) {
  fs.writeFileSync(target, text, { mode: 0o600, flag: "wx" });
  fs.symlinkSync(target, file);
}

/** Overwrites a file and removes it; a link goes with what it leads to and, if it is empty then, that one's folder. */
function wipe(file) {
  if (contentOf(file) !== undefined) {
    const target = fs.realpathSync(file);
    const open = fs.openSync(target, "r+");
    fs.writeSync(open, Buffer.alloc(fs.fstatSync(open).size));
    fs.fsyncSync(open);
    fs.closeSync(open);
    remove(target);
    const folder = path.dirname(target);
    if (path.basename(folder).startsWith("hoox-") && fs.readdirSync(folder).length === 0) fs.rmdirSync(folder);
  }
  remove(file);
}

const linesOf = (secrets, needs) => [...secrets].filter(([name, value]) => needs(name) && value !== "").map(([name, value]) => `${name}=${quote(value)}\n`).join("");

/** Every name with its value, and the text with what was missing, if something was. */
function complete(text, file) {
  const secrets = parse(text, file);
  const added = GENERATED.filter((name) => !secrets.get(name));
  if (added.length === 0) return { secrets };
  for (const name of added) secrets.set(name, randomBytes(SECRET_BYTES).toString("base64url"));
  // An empty value is a place-holder from the example file: it goes, the generated one comes.
  const kept = text.split("\n").filter((line) => !added.some((name) => new RegExp(`^\\s*(export\\s+)?${name}\\s*=`).test(line)));
  return { secrets, completed: `${kept.join("\n").trimEnd()}\n${added.map((name) => `${name}=${secrets.get(name)}\n`).join("")}` };
}

/** NAME=value lines, with comments, `export` and quotes, as wrangler reads them; a value is on one line. */
function parse(text, file) {
  const secrets = new Map();
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const found = /^\s*(?:export\s+)?([\w.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^#]*?))\s*(?:#.*)?$/.exec(line);
    if (found === null) throw new Stop(`${path.relative(ROOT, file)} line ${index + 1} is not NAME=value: correct it or remove it.`);
    secrets.set(found[1], found[2] ?? found[3] ?? found[4] ?? "");
  }
  return secrets;
}

const quote = (value) => (/^[\w./+=:-]*$/.test(value) ? value : value.includes('"') ? `'${value}'` : `"${value}"`);
