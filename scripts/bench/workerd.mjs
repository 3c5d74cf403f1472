// The stacks of the benchmark as workerd configurations, and workerd processes with what they cost.
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { createRequire } from "node:module";
import { ROOT, Stop, remove } from "../lib/base.mjs";
import { LOOPBACK, freePort } from "../lib/net.mjs";
import { Service, ask } from "../lib/proc.mjs";

const WORKERS = path.join(ROOT, "scripts", "bench", "workers");
const COMPATIBILITY_DATE = /^compatibility_date = "([\d-]+)"$/m.exec(fs.readFileSync(path.join(ROOT, "wrangler.toml"), "utf8"))[1];
const READY_MS = 30_000;
const built = (worker) => path.join(ROOT, "workers", worker, "build");

/** The binary itself: npm's `workerd` is a script that would stand in between and be measured with it. */
export const WORKERD = createRequire(createRequire(import.meta.url).resolve("workerd")).resolve(`@cloudflare/workerd-${process.platform}-${process.arch === "x64" ? "64" : process.arch}/bin/workerd`);

/** A passkey, and what a manifest keeps of it. */
export function makeKey(window = {}) {
  const passkey = `hoox_${randomBytes(24).toString("base64url")}`;
  const salt = randomBytes(16);
  const hash = createHash("sha256").update(salt).update(passkey, "utf8").digest("hex");
  return { passkey, key: { salt: salt.toString("hex"), hash, ...window } };
}

/** One sender with one account, whose exchange is at `baseUrl`: see docs/BENCHMARKS.md. */
export function makeSender() {
  const { passkey, key } = makeKey();
  return { passkey, manifestAt: (baseUrl) => JSON.stringify(manifestOf([["bench", key]], baseUrl)) };
}

/** Senders whose keys are good, expired and not valid yet, and the key of one that was revoked. */
export function makeSenders() {
  const keys = { good: makeKey(), expired: makeKey({ expires: "2020-01-01T00:00:00Z" }), early: makeKey({ notBefore: "2100-01-01T00:00:00Z" }) };
  const passkeys = Object.fromEntries(Object.entries({ ...keys, revoked: makeKey() }).map(([name, { passkey }]) => [name, passkey]));
  return { passkeys, manifest: JSON.stringify(manifestOf(Object.entries(keys).map(([name, { key }]) => [name, key]))) };
}

/** Where nobody listens. */
export const NO_VENUE = `http://${LOOPBACK}:9`;

function manifestOf(senders, baseUrl = NO_VENUE) {
  return {
    version: 1,
    senders: senders.map(([id, key]) => ({
      id, permission: "trade", accounts: ["bench"], defaultAccount: "bench", keys: [key],
      // As many entries as can be allowed: the rate is checked and never reached.
      ranges: ["127.0.0.0/8"], entryRate: { count: 10_000, seconds: 1 },
    })),
    accounts: [{ id: "bench-1", name: "bench", venue: "bybit", environment: "sim", defaultProduct: "linear", baseUrl, default: true }],
  };
}

const text = (value) => JSON.stringify(value);
const module = (name, kind, file) => `(name = ${text(name)}, ${kind} = embed ${text(file)})`;
const script = (file, name = path.basename(file)) => module(name, "esModule", path.join(WORKERS, file));
const wasmOf = (worker) => module("index_bg.wasm", "wasm", path.join(built(worker), "index_bg.wasm"));
const shimOf = (worker, name = "index.js") => module(name, "esModule", path.join(built(worker), "index.js"));
const worker = (name, modules, bindings = [], more = "", date = COMPATIBILITY_DATE) =>
  `(name = ${text(name)}, worker = (compatibilityDate = ${text(date)}, modules = [${modules.join(", ")}], bindings = [${bindings.join(", ")}]${more}))`;
/** The exchange of the benchmark is a process on this machine. */
const LOCAL_NETWORK = `(name = "loopback", network = (allow = ["local"]))`;
const binding = (name, kind, value) => `(name = ${text(name)}, ${kind} = ${text(value)})`;
const objects = (classes) =>
  `, durableObjectNamespaces = [${classes.map((name) => `(className = ${text(name)}, uniqueKey = ${text(name)}, enableSql = true)`).join(", ")}], durableObjectStorage = (localDisk = "disk")`;

/**
 * Everything around the two workers that are measured is the same for both: KV, the place of records, the disk. With
 * `secrets` the account has exchange keys, and may call its exchange.
 */
function pair(gateway, trade, classes, { manifest, disk, secrets }) {
  const keys = Object.fromEntries(["OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY", "TRADE_D1_KEY"].map((name) => [name, binding(name, "text", randomBytes(32).toString("base64url"))]));
  const [kv, records] = [binding("CONFIG_KV", "kvNamespace", "kv"), binding("D1_WORKER", "service", "records")];
  const namespaces = classes.map((name) => binding(name.toUpperCase(), "durableObjectNamespace", name));
  const venue = Object.entries(secrets ?? {}).map(([name, value]) => binding(name, "text", value));
  return [
    worker("gateway", gateway, [kv, records, binding("TRADE_WORKER", "service", "trade"), keys.OPERATOR_KEY, keys.SEALING_KEY, keys.HOOX_TRADE_KEY, keys.HOOX_D1_KEY]),
    worker("trade", trade, [kv, records, ...namespaces, keys.HOOX_TRADE_KEY, keys.TRADE_D1_KEY, ...venue], `${objects(classes)}${secrets === undefined ? "" : `, globalOutbound = "loopback"`}`),
    worker("kv", [script("kv.mjs")], [binding("MANIFEST", "text", manifest)]),
    worker("records", [script("records.mjs")]),
    LOCAL_NETWORK,
    `(name = "disk", disk = (path = ${text(disk)}, writable = true))`,
  ];
}

/** A worker that is started alone has only KV beside it, also where it does not use it; its other bindings lead there too. */
function alone(modules, { manifest }) {
  const bindings = [binding("CONFIG_KV", "kvNamespace", "kv"), ...["TRADE_WORKER", "D1_WORKER"].map((name) => binding(name, "service", "kv"))];
  return [worker("gateway", modules, bindings), worker("kv", [script("kv.mjs")], [binding("MANIFEST", "text", manifest)])];
}

/** Where the packages are that wrangler brings along. */
const beside = createRequire(createRequire(import.meta.url).resolve("wrangler"));
/** A file of miniflare, which is what `wrangler dev` runs D1 with. */
const miniflare = (file) => path.join(path.dirname(beside.resolve("miniflare")), "workers", file);

/** Modules that every worker of a stack may import, where it needs any. */
const EXTENSIONS = {
  cost: [module("miniflare:shared", "esModule", miniflare("shared/index.worker.js")), module("miniflare:zod", "esModule", miniflare("shared/zod.worker.js"))],
};

/** The three workers as they ship, with a local D1, an exchange, and the counters of docs/BENCHMARKS.md. */
function counted({ manifest, disk, secrets }) {
  const key = (...names) => names.map((name) => binding(name, "text", secrets[name]));
  const kv = binding("CONFIG_KV", "kvNamespace", "kv");
  const records = binding("D1_WORKER", "service", "d1-worker");
  const namespaces = ["Ledger", "Control"].map((name) => binding(name.toUpperCase(), "durableObjectNamespace", name));
  const database = `(name = "DB", wrapped = (moduleName = "cloudflare-internal:d1-api", innerBindings = [(name = "fetcher", service = "d1")]))`;
  const object = `(name = "MINIFLARE_OBJECT", durableObjectNamespace = (className = "D1DatabaseObject", serviceName = "database"))`;
  return [
    worker(
      "gateway",
      [script("counted-gateway.mjs"), script("clock.mjs"), shimOf("hoox", "counted"), wasmOf("hoox")],
      [kv, records, binding("TRADE_WORKER", "service", "trade"), ...key("OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY")],
    ),
    worker(
      "trade",
      [script("counted-trade.mjs"), script("clock.mjs"), shimOf("trade-worker", "counted"), wasmOf("trade-worker")],
      [kv, records, ...namespaces, ...key("HOOX_TRADE_KEY", "TRADE_D1_KEY", "BYBIT_SIM_API_KEY", "BYBIT_SIM_API_SECRET")],
      `${objects(["Ledger", "Control"])}, globalOutbound = "loopback"`,
    ),
    worker("d1-worker", [shimOf("d1-worker"), wasmOf("d1-worker")], [database, ...key("HOOX_D1_KEY", "TRADE_D1_KEY")]),
    worker("d1", [script("counted-d1.mjs"), module("entry", "esModule", miniflare("d1/entry.worker.js"))], [object, binding("MINIFLARE_NAMESPACE", "text", "hoox")]),
    // With the date and the flags that miniflare gives it.
    worker("database", [module("database.worker.js", "esModule", miniflare("d1/database.worker.js"))], [], `${objects(["D1DatabaseObject"])}, compatibilityFlags = ["nodejs_compat", "experimental"]`, "2023-07-24"),
    worker("kv", [script("kv.mjs")], [binding("MANIFEST", "text", manifest)]),
    LOCAL_NETWORK,
    `(name = "disk", disk = (path = ${text(disk)}, writable = true))`,
  ];
}

const LEAN_GATEWAY = [script("lean-gateway.mjs"), script("lean-shared.mjs")];
const HOOX_GATEWAY = [shimOf("hoox"), wasmOf("hoox")];

/** Each stack's services. */
const STACKS = {
  bare: () => [worker("gateway", [script("bare.mjs")])],
  lean: (given) => pair(LEAN_GATEWAY, [script("lean-trade.mjs"), script("lean-shared.mjs")], ["Ledger"], given),
  hoox: (given) => pair(HOOX_GATEWAY, [shimOf("trade-worker"), wasmOf("trade-worker")], ["Ledger", "Control"], given),
  "bare alone": (given) => alone([script("bare.mjs")], given),
  "lean alone": (given) => alone(LEAN_GATEWAY, given),
  "hoox alone": (given) => alone(HOOX_GATEWAY, given),
  cost: counted,
};

/**
 * Writes a stack's configuration into `folder` and returns the command line that serves it, on any free port unless one
 * is given. `further` names other services that listen, each with its port.
 */
function commandOf(stack, folder, { port = 0, further = {}, ...given }) {
  const disk = path.join(folder, "objects");
  remove(disk);
  fs.mkdirSync(disk, { recursive: true });
  const services = STACKS[stack]({ ...given, disk });
  const sockets = Object.entries({ http: ["gateway", port], ...further }).map(
    ([name, [service, at]]) => `(name = ${text(name)}, address = "${LOOPBACK}:${at}", http = (), service = ${text(service)})`,
  );
  const extensions = EXTENSIONS[stack] === undefined ? "" : `extensions = [(modules = [${EXTENSIONS[stack].join(", ")}])],\n`;
  const config = path.join(folder, "config.capnp");
  fs.writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";\n` +
      `const config :Workerd.Config = (services = [\n  ${services.join(",\n  ")}\n],\n` +
      `${extensions}sockets = [${sockets.join(", ")}]);\n`,
    { mode: 0o600 },
  );
  // The root as import path: absolute names of embedded files are looked up there.
  // One worker's own flags are experimental: the database of miniflare.
  return [WORKERD, ["serve", ...(stack === "cost" ? ["--experimental"] : []), "--import-path=/", config]];
}

/** Resolves to the port as soon as workerd says that it listens. */
function listening(stream) {
  return new Promise((resolve) => {
    let told = "";
    stream.setEncoding("utf8").on("data", (chunk) => {
      told += chunk;
      const found = /"socket":"http","port":(\d+)/.exec(told);
      if (found !== null) resolve(Number(found[1]));
    });
    stream.on("close", () => resolve(undefined));
  });
}

/** Starts a stack, runs `first` with its port, and answers how many milliseconds that took from the start of the process. */
export async function coldStart(stack, folder, given, first) {
  const [command, args] = commandOf(stack, folder, given);
  const started = performance.now();
  const child = spawn(command, [args[0], "--control-fd=3", ...args.slice(1)], { stdio: ["ignore", "ignore", "ignore", "pipe"] });
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  try {
    const port = await listening(child.stdio[3]);
    if (port === undefined) throw new Stop(`workerd did not start the stack "${stack}".`, 1);
    return await first(port, started);
  } finally {
    process.off("exit", end);
    end();
    await new Promise((resolve) => (child.exitCode === null && child.signalCode === null ? child.once("exit", resolve) : resolve()));
  }
}

/** A stack that runs until it is stopped. */
export class Server {
  #service;
  #onLine;
  stack;
  port;
  pid;

  /** With `onLine`, what the workers print is read; otherwise it goes nowhere. */
  constructor(stack, onLine) {
    this.stack = stack;
    this.#onLine = onLine;
  }

  async start(folder, given) {
    this.port = await freePort();
    const [command, args] = commandOf(this.stack, folder, { ...given, port: this.port });
    this.#service = new Service(`workerd (${this.stack})`, command, args, { env: { PATH: process.env.PATH }, onLine: this.#onLine, silent: this.#onLine === undefined });
    const up = await this.#answers();
    if (!up) throw new Stop(`workerd did not start the stack "${this.stack}":\n${this.#service.output.text()}`, 1);
    this.pid = childOf(this.#service.pid);
  }

  async #answers() {
    const until = performance.now() + READY_MS;
    while (this.#service.running && performance.now() < until) {
      const up = await new Promise((resolve) => {
        const socket = net.connect(this.port, LOOPBACK, () => socket.destroy());
        socket.once("error", () => resolve(false));
        socket.once("close", (failed) => resolve(!failed));
      });
      if (up) return true;
      await pause(20);
    }
    return false;
  }

  stop() {
    return this.#service?.stop();
  }

  /** Processor time so far, in milliseconds. */
  cpu() {
    try {
      const fields = fs.readFileSync(`/proc/${this.pid}/stat`, "utf8").split(") ").at(-1).split(" ");
      return (Number(fields[11]) + Number(fields[12])) * (1000 / TICKS);
    } catch {
      return seconds(ask("ps", ["-o", "time=", "-p", String(this.pid)]) ?? "0") * 1000;
    }
  }

  /** Memory now and at most, in MiB. */
  memory() {
    try {
      const status = fs.readFileSync(`/proc/${this.pid}/status`, "utf8");
      const field = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)[1]) / 1024;
      return { now: field("VmRSS"), peak: field("VmHWM") };
    } catch {
      const now = Number(ask("ps", ["-o", "rss=", "-p", String(this.pid)]) ?? 0) / 1024;
      return { now, peak: now };
    }
  }
}

const TICKS = Number(ask("getconf", ["CLK_TCK"]) ?? 100);

/** `[[days-]hours:]minutes:seconds` */
const seconds = (time) => time.trim().split(/[-:]/).reduce((sum, part, place, all) => sum * (all.length - place === 3 && all.length === 4 ? 24 : place === 0 ? 1 : 60) + Number(part), 0);

/** workerd itself: the one child of the keeper that stands between. */
function childOf(keeper) {
  const found = ask("pgrep", ["-P", String(keeper)]);
  if (found === undefined) throw new Stop("The workerd process was not found: `pgrep` is needed for the benchmark.");
  return Number(found.split("\n")[0]);
}
