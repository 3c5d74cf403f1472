// Builds workers to WebAssembly: `node scripts/build.mjs [worker…]`, all of them by default. The [build] command of
// every wrangler file, so `wrangler dev` and `wrangler deploy` ship what this makes. Does nothing when nothing changed.
import fs from "node:fs";
import path from "node:path";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { ROOT, Stop, filesUnder, hashOf, isMain, main, options, readJson, say, writeAtomic } from "./lib/base.mjs";
import { alone, step } from "./lib/proc.mjs";
import { buildEnv, ensureTools } from "./lib/tools.mjs";

const KIB = 1024;
/**
 * Largest raw WebAssembly per worker, in bytes (1 KB = 1024 bytes); a small worker starts fast. The bounds leave room for
 * what a worker does, and none for a heavy dependency: 100 KB and more come with a parser of URLs, regular expressions or
 * a calendar.
 */
const BUDGETS = { hoox: 600 * KIB, "trade-worker": 1400 * KIB, "d1-worker": 560 * KIB };
export const WORKERS = Object.keys(BUDGETS);
const OUTPUTS = ["index.js", "index_bg.wasm"];
/**
 * For wasm-opt: smaller, without the names of functions (a panic still says file and line). The features are those
 * that rustc and wasm-bindgen use, as worker-build names them, so that nothing newer than workerd is written.
 */
// Twice: the second pass finds what the first one laid bare.
const OPTIMISE = ["-Oz", "-Oz", "--strip-debug", "--strip-producers"].concat(
  ["mutable-globals", "sign-ext", "nontrapping-float-to-int", "bulk-memory", "multivalue", "reference-types", "exception-handling"].map(
    (feature) => `--enable-${feature}`,
  ),
);

const folder = (worker) => path.join(ROOT, "workers", worker);
const stampFile = (worker) => path.join(folder(worker), "build", ".hoox-stamp.json");

/** Builds what changed and reports sizes. Over its budget a worker does not ship: an error, or a warning if `lenient`. */
export async function build(workers = WORKERS, { lenient = false } = {}) {
  const tools = await ensureTools();
  await alone("build", async () => {
    const stale = workers.filter((worker) => !isFresh(worker, inputsOf(worker, tools)));
    if (stale.length > 0) await compile(stale, tools);
  });
  report(workers, lenient);
}

async function compile(workers, tools) {
  const env = buildEnv();
  const inputs = new Map(workers.map((worker) => [worker, inputsOf(worker, tools)]));
  const packages = workers.flatMap((worker) => ["-p", worker]);
  // One cargo call for all of them uses every core; worker-build then finds its crate compiled.
  await step(`compiling ${workers.join(", ")} to WebAssembly`, "cargo", ["build", "--locked", "--lib", "--release", "--target", "wasm32-unknown-unknown", ...packages], { env });
  await Promise.all(
    workers.map(async (worker) => {
      await step(`packing ${worker}`, tools.workerBuild, ["--release"], { cwd: folder(worker), env, show: false });
      const wasm = path.join(folder(worker), "build", "index_bg.wasm");
      await step(`shrinking ${worker}`, env.WASM_OPT_BIN, [wasm, "-o", wasm, ...OPTIMISE], { env, show: false });
      writeAtomic(stampFile(worker), JSON.stringify({ inputs: inputs.get(worker), outputs: outputsOf(worker) }));
    }),
  );
}

function isFresh(worker, inputs) {
  const stamp = readJson(stampFile(worker));
  return stamp !== undefined && stamp.inputs === inputs && stamp.outputs === outputsOf(worker);
}

function outputsOf(worker) {
  const hash = createHash("sha256");
  for (const name of OUTPUTS) {
    const file = path.join(folder(worker), "build", name);
    if (!fs.existsSync(file)) return undefined;
    hash.update(fs.readFileSync(file));
  }
  return hash.digest("hex");
}

function inputsOf(worker, tools) {
  const files = filesUnder(
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo", `workers/${worker}`, ...cratesOf(worker)].map((at) => path.join(ROOT, at)),
    (name) => ["build", "target", ".wrangler", "wrangler.toml"].includes(name) || name.startsWith(".dev.vars"),
  );
  return hashOf(files, [JSON.stringify([tools.versions, OPTIMISE]), process.env.RUSTFLAGS ?? ""]);
}

/** The workspace's own crates that a worker is made of, so that a change in the simulator rebuilds no worker. */
function cratesOf(worker) {
  const found = new Set();
  const visit = (manifest) => {
    for (const [, crate] of fs.readFileSync(manifest, "utf8").matchAll(/^(hoox-[a-z0-9-]+)\s*[.=]/gm)) {
      const at = path.join("crates", crate);
      if (found.has(at) || !fs.existsSync(path.join(ROOT, at))) continue;
      found.add(at);
      visit(path.join(ROOT, at, "Cargo.toml"));
    }
  };
  visit(path.join(folder(worker), "Cargo.toml"));
  return [...found];
}

function report(workers, lenient) {
  const tooLarge = [];
  for (const worker of workers) {
    const wasm = fs.readFileSync(path.join(folder(worker), "build", "index_bg.wasm"));
    const budget = BUDGETS[worker];
    say(`  ${worker.padEnd(12)} ${kb(wasm.length)} wasm, ${kb(gzipSync(wasm).length)} gzip, limit ${kb(budget)}`);
    if (wasm.length > budget) tooLarge.push(worker);
  }
  if (tooLarge.length === 0) return;
  const sentence = `Over the size limit: ${tooLarge.join(", ")}. Look for a new dependency (\`cargo tree -p ${tooLarge[0]} -e normal\`).`;
  if (!lenient) throw new Stop(sentence, 1);
  say(`warning: ${sentence}`);
}

const kb = (bytes) => `${(bytes / KIB).toFixed(0)} KB`;

if (isMain(import.meta.url)) {
  await main(async () => {
    const { _: workers } = options(process.argv.slice(2), {}, "node scripts/build.mjs [worker…]");
    const unknown = workers.filter((worker) => !WORKERS.includes(worker));
    if (unknown.length > 0) throw new Stop(`Unknown worker: ${unknown.join(", ")}. There are ${WORKERS.join(", ")}.`);
    // Set by the sandbox: "skip" because it has just built and wants nothing rebuilt under a running test.
    if (process.env.HOOX_BUILD === "skip") return;
    await build(workers.length > 0 ? workers : WORKERS, { lenient: process.env.HOOX_BUILD === "lenient" });
  });
}
