// `npm test`: everything that has to hold before a change is good, from formatting to the shipped WebAssembly under workerd.
import path from "node:path";
import { ROOT, Stop, filesUnder, main, options, say, seconds } from "./lib/base.mjs";
import { endSteps, step } from "./lib/proc.mjs";
import { buildCloudDouble, buildCommandLine, buildEnv, buildSimulator, ensureCargoDeny, ensureTools, forgetToolBuilds, nodeForWrangler } from "./lib/tools.mjs";
import { WORKERS, build } from "./build.mjs";

const E2E = "hoox-e2e";
const WASM = ["--target", "wasm32-unknown-unknown", ...["hoox-worker-kit", ...WORKERS].flatMap((name) => ["-p", name])];
const STRICT = ["--", "-D", "warnings"];

const cargo = (title, ...args) => step(title, "cargo", args, { env: buildEnv(), show: true });

/** A step's name and what it does; later ones may lean on what earlier ones built. */
const STEPS = [
  ["tools", async () => {
    await ensureTools();
    await ensureCargoDeny();
    forgetToolBuilds();
  }],
  ["format", () => cargo("cargo fmt", "fmt", "--all", "--check")],
  ["scripts", checkScripts],
  ["lints", () => cargo("clippy for this machine", "clippy", "--locked", "--workspace", "--all-targets", ...STRICT)],
  ["lints (wasm)", () => cargo("clippy for wasm32", "clippy", "--locked", ...WASM, ...STRICT)],
  ["dependencies", async () => {
    // Of all platforms, which building for this one does not need.
    await cargo("cargo fetch", "fetch", "--quiet", "--locked");
    await step("cargo deny", await ensureCargoDeny(), ["--offline", "check", "bans", "licenses", "sources"], { env: buildEnv() });
  }],
  ["host tests", () => cargo("cargo test", "test", "--locked", "--workspace", "--exclude", E2E)],
  ["faults", () => cargo("2,000 seeds of the simulation of faults", "run", "--quiet", "--locked", "-p", "xtask", "--", "simulate", "--seeds", "2000")],
  ["wasm builds", () => build()],
  ["what an order costs", async () => {
    const env = { ...process.env, HOOX_SIM_BIN: await buildSimulator() };
    await step("rows, statements and calls of an order, compared with scripts/bench/cost.json", process.execPath, [path.join(ROOT, "scripts", "bench.mjs"), "--cost", "--check"], { env, show: true });
  }],
  ["clients", async () => {
    const clients = filesUnder([path.join(ROOT, "tests", "clients")]).filter((file) => file.endsWith(".mjs"));
    if (clients.length === 0) throw new Stop("tests/clients holds no .mjs file: the simulators' conformance would go unchecked.", 1);
    const env = { ...process.env, HOOX_SIM_BIN: await buildSimulator(), HOOX_CLOUD_SIM_BIN: await buildCloudDouble(), HOOX_CLI_BIN: await buildCommandLine() };
    await step("the simulators against real clients, encrypted secrets against age", process.execPath, ["--test", ...clients], { env, show: true });
  }],
  ["local secrets", async () => {
    const env = { ...process.env, HOOX_SIM_BIN: await buildSimulator(), HOOX_CLI_BIN: await buildCommandLine() };
    await step("the sandbox leaves no secret in plain text", process.execPath, ["--test", path.join(ROOT, "tests", "local-secrets.mjs")], { env, show: true });
  }],
  ["end to end", async () => {
    const env = { ...buildEnv(), HOOX_SIM_BIN: await buildSimulator(), HOOX_NODE: nodeForWrangler(), HOOX_CLI_BIN: await buildCommandLine() };
    await step("end-to-end tests under workerd", "cargo", ["test", "--locked", "-p", E2E], { env, show: true });
  }],
];

async function checkScripts() {
  const scripts = filesUnder([path.join(ROOT, "scripts"), path.join(ROOT, "tests")], (name) => name === "target").filter((file) => file.endsWith(".mjs"));
  for (const file of scripts) await step(`parsing ${path.relative(ROOT, file)}`, process.execPath, ["--check", file], { show: false, quiet: true });
  const own = scripts.filter((file) => file.endsWith(".test.mjs") && file.startsWith(path.join(ROOT, "scripts")));
  if (own.length > 0) await step("the scripts' own tests", process.execPath, ["--test", ...own], { show: false });
}

await main(async () => {
  options(process.argv.slice(2), {}, "npm test");
  for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143]]) {
    process.on(name, () => {
      endSteps();
      process.exit(code);
    });
  }
  const began = performance.now();
  const done = [];
  for (const [index, [name, run]] of STEPS.entries()) {
    say(`\n── ${index + 1}/${STEPS.length} ${name}`);
    const started = performance.now();
    try {
      await run();
    } catch (error) {
      say(summary(done));
      if (!(error instanceof Stop)) throw error;
      throw new Stop(`${error.message}\nnpm test stopped at "${name}" after ${seconds(began)}.`, error.code);
    }
    done.push([name, seconds(started)]);
  }
  say(summary(done));
  say(`All good (${seconds(began)}).`);
});

function summary(done) {
  return `\n${done.map(([name, took]) => `  ✓ ${name.padEnd(20)} ${took.padStart(8)}`).join("\n")}`;
}
