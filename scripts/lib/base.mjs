// What every script shares: where the project is, how it talks, how it stops. Nothing here needs an installed package.
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const TOOL_DIR = path.join(ROOT, ".hoox");

/** Exit codes: 1, something that was asked for failed; 2, it could not be tried (missing tool, wrong argument, taken port). */
export class Stop extends Error {
  constructor(message, code = 2) {
    super(message);
    this.code = code;
  }
}

/** Talk goes to stderr; stdout is for data. */
export const say = (line) => process.stderr.write(`${line}\n`);

export const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Runs a script's body: a `Stop` is one sentence, anything else is a defect and keeps its stack. */
export async function main(body) {
  try {
    if (Number(process.versions.node.split(".")[0]) < 20) {
      throw new Stop(`Node ${process.versions.node} is too old: install Node 20 or newer (https://nodejs.org), then run this again.`);
    }
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    say(error.message);
    process.exitCode = error.code;
  }
}

/** True when this module is the script that was started, not one that was imported. */
export const isMain = (url) => process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(url);

/** `--name value` and `--name=value`; positional arguments come back under `_`. */
export function options(argv, known, usage) {
  const found = { _: [] };
  for (let i = 0; i < argv.length; i += 1) {
    const arg = argv[i];
    if (!arg.startsWith("--")) {
      found._.push(arg);
      continue;
    }
    const [name, inline] = arg.slice(2).split(/=(.*)/s);
    const kind = known[name];
    if (kind === undefined) throw new Stop(`Unknown option ${arg}. Usage: ${usage}`);
    if (kind === "flag") {
      found[name] = true;
      continue;
    }
    const value = inline ?? argv[(i += 1)];
    if (value === undefined || value === "") throw new Stop(`--${name} needs a value. Usage: ${usage}`);
    found[name] = value;
  }
  return found;
}

/** Writes beside the target and renames, so that a reader sees the old file or the new one, never half of it. */
export function writeAtomic(file, text, mode = 0o644) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  fs.writeFileSync(draft, text, { mode, flag: "wx" });
  fs.renameSync(draft, file);
}

export function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

export function remove(file) {
  fs.rmSync(file, { force: true, recursive: true });
}

/** Every file under the given paths, sorted; `skip` gets a file's or folder's own name. */
export function filesUnder(paths, skip = () => false) {
  const files = [];
  const visit = (at) => {
    const stat = fs.statSync(at, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (!stat.isDirectory()) {
      files.push(at);
      return;
    }
    for (const name of fs.readdirSync(at)) if (!skip(name)) visit(path.join(at, name));
  };
  paths.forEach(visit);
  return files.sort();
}

/** One hash over names and contents, with some words mixed in. */
export function hashOf(files, words = []) {
  const hash = createHash("sha256");
  for (const word of words) hash.update(`${word}\0`);
  for (const file of files) {
    const bytes = fs.readFileSync(file);
    hash.update(`${path.relative(ROOT, file)}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}
