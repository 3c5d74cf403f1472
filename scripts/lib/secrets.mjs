// Local secrets. One file, .dev.vars in the root, is yours: values you put there stay. What is missing is generated,
// and each private worker gets a .dev.vars of its own beside its wrangler.toml, with only what it needs.
import fs from "node:fs";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { ROOT, Stop, writeAtomic } from "./base.mjs";

/** One key per edge between two workers, the operator's and the sealing key, and the account on the simulator. */
const GENERATED = ["OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY", "TRADE_D1_KEY", "BYBIT_SIM_API_KEY", "BYBIT_SIM_API_SECRET"];
const VENUE_KEY = /^(BYBIT|BINANCE|MEXC)_/;
/** The gateway reads the root file itself and takes the names under [secrets] in wrangler.toml. */
const PRIVATE_WORKERS = {
  "trade-worker": (name) => name === "HOOX_TRADE_KEY" || name === "TRADE_D1_KEY" || VENUE_KEY.test(name),
  "d1-worker": (name) => name === "HOOX_D1_KEY" || name === "TRADE_D1_KEY",
};

const HEADER = "# Secrets of this machine's Hoox, never committed. .dev.vars.example says what can be here.\n";
const SECRET_BYTES = 32;

/** Completes the root file, writes the workers' files and returns every name with its value. */
export function ensureSecrets() {
  const file = path.join(ROOT, ".dev.vars");
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : HEADER;
  const secrets = parse(text, file);
  const added = GENERATED.filter((name) => !secrets.get(name));
  for (const name of added) secrets.set(name, randomBytes(SECRET_BYTES).toString("base64url"));
  if (added.length > 0) {
    // An empty value is a place-holder from the example file: it goes, the generated one comes.
    const kept = text.split("\n").filter((line) => !added.some((name) => new RegExp(`^\\s*(export\\s+)?${name}\\s*=`).test(line)));
    writeAtomic(file, `${kept.join("\n").trimEnd()}\n${added.map((name) => `${name}=${secrets.get(name)}\n`).join("")}`, 0o600);
  }
  fs.chmodSync(file, 0o600);
  for (const [worker, needs] of Object.entries(PRIVATE_WORKERS)) {
    const lines = [...secrets].filter(([name, value]) => needs(name) && value !== "").map(([name, value]) => `${name}=${quote(value)}\n`);
    const own = path.join(ROOT, "workers", worker, ".dev.vars");
    const wanted = `# Written from the root's .dev.vars; changes here are lost.\n${lines.join("")}`;
    if (!fs.existsSync(own) || fs.readFileSync(own, "utf8") !== wanted) writeAtomic(own, wanted, 0o600);
    fs.chmodSync(own, 0o600);
  }
  return secrets;
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
