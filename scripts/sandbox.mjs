// The whole of Hoox on this machine, against a simulated exchange: builds, starts the simulator and the three workers
// under workerd with the wrangler files that deploy, seeds a demo manifest, and writes DIR/dev.json when all is ready.
// Run by `npm run dev` and by the end-to-end tests. On its own it prints the path of dev.json, passes on
// what the workers print, and waits for a signal.
import fs from "node:fs";
import path from "node:path";
import { createHash, randomBytes } from "node:crypto";
import { ROOT, Stop, TOOL_DIR, filesUnder, hashOf, isMain, main, options, readJson, remove, say, seconds, writeAtomic } from "./lib/base.mjs";
import { LOOPBACK, call, freePort, poll } from "./lib/net.mjs";
import { Service, endSteps, step, tryLock } from "./lib/proc.mjs";
import { lockOf } from "./lib/sandboxes.mjs";
import { ensureSecrets } from "./lib/secrets.mjs";
import { buildSimulator } from "./lib/tools.mjs";
import { CONFIGS, forgetTemporary, wrangler } from "./lib/wrangler.mjs";
import { build } from "./build.mjs";

export const OPTIONS = { port: "value", state: "value", simulator: "value" };
const USAGE = "node scripts/sandbox.mjs [--port N] [--state DIR] [--simulator URL]";
const DEFAULT_PORT = 8787;
const READY_MS = 60_000;
const SIM_SEED = "1";
const SIM_URL = /http:\/\/127\.0\.0\.1:\d+/;
const MIGRATIONS = path.join(ROOT, "crates", "hoox-store", "migrations");
const ACCOUNT = "demo-bybit";
const SENDER = "demo";

/** Checks the arguments that `OPTIONS` names; `again` is how the caller's command starts, for hints. */
export function settings(found, again, { cwd = process.cwd(), rebuild = false } = {}) {
  const port = found.port === undefined ? DEFAULT_PORT : Number(found.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Stop(`--port ${found.port} is not a port: give a number from 1 to 65535, or 0 for any free one.`);
  const simulator = found.simulator?.replace(/\/+$/, "");
  if (simulator !== undefined && !URL.canParse(simulator)) throw new Stop(`--simulator ${found.simulator} is not a URL: give one such as http://127.0.0.1:9000.`);
  return { port, state: path.resolve(cwd, found.state ?? path.join(TOOL_DIR, "state")), simulator, again, rebuild };
}

export class Sandbox {
  #services = [];
  #settings;
  #stopped = false;
  /** Whether the state folder is this sandbox's. */
  #owned = false;
  #onLog;
  #release = async () => {};
  /** What dev.json holds, once started. */
  info;

  /** `onLog` gets every line that the workers and wrangler print. */
  constructor(given, onLog = () => {}) {
    this.#settings = given;
    this.#onLog = onLog;
  }

  get devFile() {
    return path.join(this.#settings.state, "dev.json");
  }

  async start() {
    const { state } = this.#settings;
    const owner = tryLock(lockOf(state));
    if (owner !== undefined) throw new Stop(`Process ${owner} is already using ${show(state)}: stop it, or choose another folder with --state DIR.`);
    this.#owned = true;
    fs.chmodSync(state, 0o700);
    this.#clear();
    const port = await this.#gatewayPort();
    await build(undefined, { lenient: true });
    const { secrets, release } = await ensureSecrets(state);
    this.#release = release;
    this.#check();
    const simulator = this.#settings.simulator ?? (await this.#startSimulator(secrets));
    await this.#migrate();
    const gateway = await this.#startWorkers(port);
    const demo = this.#demo();
    const operatorKey = secrets.get("OPERATOR_KEY");
    await seed(gateway, operatorKey, simulator, demo);
    this.info = {
      gateway,
      state,
      passkey: demo.passkey,
      operatorKey,
      simulator,
      venues: { bybit: { baseUrl: simulator, apiKey: secrets.get("BYBIT_SIM_API_KEY"), apiSecret: secrets.get("BYBIT_SIM_API_SECRET") } },
    };
    this.#check();
    writeAtomic(this.devFile, `${JSON.stringify(this.info, null, 2)}\n`, 0o600);
  }

  /** Resolves to a sentence when a part of the sandbox ends by itself; never after `stop`. */
  async death() {
    const service = await Promise.race(this.#services.map((each) => each.exit.then(() => each)));
    if (this.#stopped) return new Promise(() => {});
    return `${service.name} ended by itself (${service.code}). Its last lines:\n${service.output.text()}`;
  }

  async stop() {
    this.#stopped = true;
    if (this.#owned) remove(this.devFile);
    endSteps();
    await Promise.all(this.#services.map((service) => service.stop()));
    await this.#release();
    if (this.#owned) this.#clear();
  }

  /** What a running sandbox needs and no other one may find. */
  #clear() {
    remove(this.devFile);
    forgetTemporary(this.#settings.state);
  }

  #check() {
    if (this.#stopped) throw new Stop("Stopped before it was ready.", 130);
  }

  #serve(...args) {
    this.#check();
    const service = new Service(...args);
    this.#services.push(service);
    return service;
  }

  async #gatewayPort() {
    const { port, again } = this.#settings;
    const free = await freePort(port);
    if (free === undefined) throw new Stop(`Port ${port} is taken: stop what is using it, or choose another: ${again} --port ${port + 1}`);
    return free;
  }

  async #startSimulator(secrets) {
    const { state } = this.#settings;
    const binary = process.env.HOOX_SIM_BIN ?? (await buildSimulator());
    // The account in the manifest names this port, so it stays the same while it can.
    const memory = path.join(state, "ports.json");
    const port = (await freePort(readJson(memory)?.simulator ?? 0)) ?? (await freePort());
    let ready;
    const printed = new Promise((resolve) => (ready = resolve));
    const service = this.#serve("hoox-sim", binary, ["--port", String(port), "--seed", SIM_SEED, "--state", path.join(state, "sim.json"), "--many-symbols"], {
      env: { PATH: process.env.PATH, HOOX_SIM_API_KEY: secrets.get("BYBIT_SIM_API_KEY"), HOOX_SIM_API_SECRET: secrets.get("BYBIT_SIM_API_SECRET") },
      onLine: (line) => {
        const url = SIM_URL.exec(line)?.[0];
        if (url !== undefined) ready(url);
      },
    });
    const url = await Promise.race([printed, service.exit.then(() => undefined), timeout(READY_MS)]);
    this.#check();
    if (url === undefined) throw new Stop(`The simulator did not start (${service.code ?? "no answer"}):\n${service.output.text()}`, 1);
    writeAtomic(memory, JSON.stringify({ simulator: port }));
    return url;
  }

  async #migrate() {
    const { state } = this.#settings;
    const files = filesUnder([MIGRATIONS]);
    if (files.length === 0) return;
    const stamp = path.join(state, "migrated.json");
    // Another database, and it begins empty.
    const wanted = hashOf([...files, path.join(ROOT, CONFIGS[2])]);
    if (readJson(stamp)?.migrations === wanted) return;
    this.#check();
    const at = wrangler(["d1", "migrations", "apply", "DB", "--local", "--persist-to", path.join(state, "wrangler"), "-c", CONFIGS[2]], state);
    await step("migrating the local D1 database", at.command, at.args, { env: at.env, show: false });
    writeAtomic(stamp, JSON.stringify({ migrations: wanted }));
  }

  async #startWorkers(port) {
    const { state, rebuild } = this.#settings;
    const started = performance.now();
    say("… starting the workers");
    let failed = false;
    let up = false;
    const inspector = await freePort();
    const at = wrangler(
      [
        "dev", ...CONFIGS.flatMap((file) => ["-c", file]), "--local", "--ip", LOOPBACK, "--port", String(port), "--inspector-port", String(inspector),
        "--persist-to", path.join(state, "wrangler"), "--show-interactive-dev-session=false",
      ],
      state,
    );
    const service = this.#serve("wrangler", at.command, at.args, {
      // Wrangler runs the [build] commands at its start and at every change of a source file; without `rebuild` they do nothing.
      env: { ...at.env, HOOX_BUILD: rebuild ? "lenient" : "skip" },
      onLine: (line) => {
        if (!up && /\[ERROR\]/.test(line)) failed = true;
        if (up) this.#onLog(line);
      },
    });
    const gateway = `http://${LOOPBACK}:${port}`;
    const answer = await poll(`${gateway}/health`, { timeoutMs: READY_MS, good: ({ status }) => status === 200, stopped: () => failed || this.#stopped || !service.running });
    this.#check();
    if (answer === undefined) {
      // The lines that explain an error come after it.
      if (service.running) await Promise.race([service.exit, timeout(500)]);
      throw new Stop(`The workers did not start${failed || !service.running ? "" : ` within ${READY_MS / 1000} s`}. Wrangler's last lines:\n${service.output.text()}`, 1);
    }
    up = true;
    say(`✓ workers ready (${seconds(started)})`);
    return gateway;
  }

  #demo() {
    const file = path.join(this.#settings.state, "demo.json");
    const kept = readJson(file);
    if (kept?.passkey !== undefined) return kept;
    const passkey = randomBytes(24).toString("base64url");
    const salt = randomBytes(16);
    const demo = { passkey, key: { salt: salt.toString("hex"), hash: createHash("sha256").update(salt).update(passkey, "utf8").digest("hex") } };
    writeAtomic(file, JSON.stringify(demo), 0o600);
    return demo;
  }
}

/** Publishes the demo manifest if there is none, and otherwise changes in it only what no longer holds. */
async function seed(gateway, operatorKey, simulator, demo) {
  const url = `${gateway}/v1/manifest`;
  const current = await call(url, { bearer: operatorKey });
  if (current.status !== 200 && current.status !== 404) throw new Stop(`The gateway did not give its manifest (${current.status}): ${current.text}`, 1);
  const manifest = current.json?.manifest ?? {};
  const version = manifest.version ?? 0;
  const wanted = version === 0 ? demoManifest(simulator, demo) : corrected(manifest, simulator, demo);
  if (wanted === undefined) return;
  const put = await call(url, { method: "PUT", bearer: operatorKey, body: { ...wanted, version: version + 1 } });
  if (put.status !== 200) throw new Stop(`The gateway refused the demo manifest (${put.status}): ${put.text}`, 1);
}

function demoManifest(simulator, demo) {
  return {
    senders: [{ id: SENDER, permission: "trade", accounts: ["demo"], defaultAccount: "demo", keys: [demo.key], ranges: ["127.0.0.0/8", "::1/128"] }],
    accounts: [{ id: ACCOUNT, name: "demo", venue: "bybit", environment: "sim", defaultProduct: "linear", baseUrl: simulator, default: true }],
  };
}

/** The manifest with the simulator's present address and the demo passkey, or undefined when it has both. */
function corrected(manifest, simulator, demo) {
  const account = manifest.accounts?.find(({ id }) => id === ACCOUNT);
  const sender = manifest.senders?.find(({ id }) => id === SENDER);
  const moved = account !== undefined && account.baseUrl !== simulator;
  const foreign = sender !== undefined && !sender.keys?.some(({ hash }) => hash === demo.key.hash);
  if (!moved && !foreign) return undefined;
  return {
    ...manifest,
    accounts: manifest.accounts?.map((each) => (each === account ? { ...each, baseUrl: simulator } : each)),
    senders: manifest.senders?.map((each) => (each === sender && foreign ? { ...each, keys: [demo.key] } : each)),
  };
}

const timeout = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref());

const show = (file) => path.relative(process.cwd(), file) || ".";

/** Starts a sandbox, calls `ready`, and keeps it until a signal (exit code 0) or a death (1). Always leaves nothing running. */
export async function keep(sandbox, ready) {
  let signalled;
  const signal = new Promise((resolve) => (signalled = resolve));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => signalled("signal"));
  try {
    const starting = sandbox.start();
    if ((await Promise.race([starting, signal])) === "signal") {
      starting.catch(() => {});
      await sandbox.stop();
      return 130;
    }
    await ready();
    const end = await Promise.race([signal, sandbox.death()]);
    if (end === "signal") return 0;
    throw new Stop(end, 1);
  } finally {
    await sandbox.stop();
  }
}

if (isMain(import.meta.url)) {
  await main(async () => {
    const found = options(process.argv.slice(2), OPTIONS, USAGE);
    const sandbox = new Sandbox(settings(found, "node scripts/sandbox.mjs"), say);
    const code = await keep(sandbox, () => process.stdout.write(`${sandbox.devFile}\n`));
    process.exit(code);
  });
}
