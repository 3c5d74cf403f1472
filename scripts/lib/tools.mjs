// The tools the build needs, each at one pinned version, in the project's own folders: npm packages from
// package-lock.json, Rust tools in .hoox/tools. Nothing is installed for the whole machine.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { ROOT, Stop, TOOL_DIR, readJson, remove } from "./base.mjs";
import { alone, ask, step } from "./proc.mjs";

const WORKER_BUILD = "0.8.7";
const CARGO_DENY = "0.20.2";
const NODE_FOR_WRANGLER = [22, 12];

const TOOLS = path.join(TOOL_DIR, "tools");
const BIN = path.join(ROOT, "node_modules", ".bin");
const rustTool = (name) => path.join(TOOLS, "bin", name);

/** Installs whatever is missing or of another version, and says where everything is. */
export async function ensureTools() {
  await ensurePackages();
  await ensureRust();
  const wasmBindgen = lockedVersion("wasm-bindgen");
  await ensureRustTool("worker-build", WORKER_BUILD, "worker-build", ["--locked"]);
  // The lock file shipped with wasm-bindgen-cli does not resolve; its version is what has to match the crate.
  await ensureRustTool("wasm-bindgen-cli", wasmBindgen, "wasm-bindgen", []);
  return {
    versions: { "worker-build": WORKER_BUILD, "wasm-bindgen": wasmBindgen, packages: fs.readFileSync(path.join(ROOT, "package-lock.json"), "utf8") },
    workerBuild: rustTool("worker-build"),
  };
}

/** `cargo deny` is needed by the tests only. */
export async function ensureCargoDeny() {
  await ensureRustTool("cargo-deny", CARGO_DENY, "cargo-deny", ["--locked"]);
  return rustTool("cargo-deny");
}

/** Set for every cargo and worker-build: with the *_BIN variables worker-build downloads nothing. */
const cargoHome = () => process.env.CARGO_HOME ?? path.join(os.homedir(), ".cargo");

export function buildEnv() {
  return {
    ...process.env,
    PATH: `${BIN}${path.delimiter}${process.env.PATH}`,
    WASM_BINDGEN_BIN: rustTool("wasm-bindgen"),
    WASM_OPT_BIN: path.join(BIN, "wasm-opt"),
    ESBUILD_BIN: path.join(BIN, "esbuild"),
    // Panics name the source, not where it lies on the machine that built it.
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: [ROOT, path.join(cargoHome(), "registry", "src")].map((at) => `--remap-path-prefix=${at}/=`).join(" "),
    // What worker-build sets for its own cargo; the same here, so that the builds share their artifacts.
    WASM_BINDGEN_USE_JS_SYS: "1",
  };
}

/** A Node that current wrangler runs on: the pinned package where there is one for this platform, else our own. */
export function nodeForWrangler() {
  const pinned = path.join(BIN, "node");
  if (ask(pinned, ["--version"]) !== undefined) return pinned;
  const [major, minor] = process.versions.node.split(".").map(Number);
  const [needMajor, needMinor] = NODE_FOR_WRANGLER;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return process.execPath;
  throw new Stop(
    `There is no pinned Node for ${process.platform}-${process.arch}, and ${process.versions.node} cannot run wrangler: ` +
      `install Node ${NODE_FOR_WRANGLER.join(".")} or newer.`,
  );
}

export const wranglerScript = () => path.join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");

/**
 * Builds a program and answers its path. The development profile: quick enough, and the tests use the same artifacts;
 * `release` where its time is measured with what calls it.
 */
export async function buildProgram(title, crate, program, { release = false } = {}) {
  await step(title, "cargo", ["build", "--locked", ...(release ? ["--release"] : []), "-p", crate], { env: buildEnv() });
  return path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target"), release ? "release" : "debug", program);
}

export const buildSimulator = (how) => buildProgram("building the exchange simulator", "hoox-sim", "hoox-sim", how);
export const buildCloudDouble = () => buildProgram("building the double of Cloudflare's API", "hoox-cloud-sim", "hoox-cloud-sim");
export const buildCommandLine = () => buildProgram("building the command line", "hoox-cli", "hoox");

async function ensurePackages() {
  if (packagesMatchLock()) return;
  await alone("npm", async () => {
    if (packagesMatchLock()) return;
    // The machine's own Node may be older than wrangler wants; the pinned one runs it, so that warning is noise.
    const args = ["ci", "--loglevel=error"];
    const npm = process.env.npm_execpath;
    const [command, first] = npm?.endsWith(".js") ? [process.execPath, [npm]] : ["npm", []];
    await step("installing npm packages (package-lock.json)", command, [...first, ...args], {
      hint: (output) =>
        output.includes("EUSAGE")
          ? " package.json and package-lock.json disagree: restore both from git, or run `npm install` to bring the lock file up to date."
          : " Check the network connection and the npm registry settings, then run this again.",
    });
    if (!packagesMatchLock()) throw new Stop("npm ci did not install what package-lock.json names: remove node_modules and run this again.", 1);
  });
}

/** npm leaves a copy of the lock file's entries for what it installed; optional packages of other platforms are not in it. */
function packagesMatchLock() {
  const wanted = readJson(path.join(ROOT, "package-lock.json"))?.packages;
  const installed = readJson(path.join(ROOT, "node_modules", ".package-lock.json"))?.packages;
  if (wanted === undefined) throw new Stop("package-lock.json is missing or broken: restore it from git.");
  if (installed === undefined) return false;
  return Object.entries(wanted).every(([at, entry]) => {
    if (at === "") return true;
    const have = installed[at];
    return have === undefined ? entry.optional === true || entry.peer === true : have.version === entry.version && have.integrity === entry.integrity;
  });
}

async function ensureRust() {
  const env = buildEnv();
  const wasmLibrary = () => ask("rustc", ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"], env);
  const ready = () => {
    const at = wasmLibrary();
    return at !== undefined && fs.existsSync(at);
  };
  if (ready()) return;
  if (ask("rustup", ["--version"], env) === undefined) {
    throw new Stop("Rust is missing: install it with rustup (https://rustup.rs), open a new terminal, then run this again.");
  }
  await step("installing the Rust toolchain (rust-toolchain.toml)", "rustup", ["toolchain", "install"], { env });
  if (!ready()) throw new Stop("The Rust toolchain has no wasm32-unknown-unknown target: run `rustup target add wasm32-unknown-unknown`.");
}

/** The version in Cargo.lock, which is the only place that knows it. */
function lockedVersion(crate) {
  const lock = fs.readFileSync(path.join(ROOT, "Cargo.lock"), "utf8");
  const found = new RegExp(`name = "${crate}"\\nversion = "([^"]+)"`).exec(lock.replaceAll("\r\n", "\n"));
  if (found === null) throw new Stop(`Cargo.lock does not name ${crate}: run \`cargo generate-lockfile\`.`);
  return found[1];
}

async function ensureRustTool(crate, version, binary, flags) {
  const has = () => ask(rustTool(binary), ["--version"])?.split(/\s+/).includes(version);
  if (has()) return;
  await alone("rust-tools", async () => {
    if (has()) return;
    if (ask("cc", ["--version"]) === undefined) {
      throw new Stop("A C compiler is missing, which Rust needs for linking: install one (Debian: `apt install build-essential`; macOS: `xcode-select --install`).");
    }
    // Quick to compile rather than quick to run; one target folder, so that the tools share their dependencies.
    const target = path.join(TOOLS, "target");
    const env = { ...process.env, CARGO_TARGET_DIR: target, CARGO_INCREMENTAL: "0", CARGO_PROFILE_DEV_DEBUG: "0", CARGO_PROFILE_DEV_OPT_LEVEL: "0" };
    for (const name of ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"]) delete env[name];
    await step(
      `installing ${crate} ${version} into .hoox/tools (compiles; a few minutes, once)`,
      "cargo",
      ["install", "--debug", "--force", ...flags, "--root", TOOLS, `${crate}@${version}`],
      { env, hint: missingLibrary },
    );
  });
}

/** Called when the tools are complete: their build folder is a gigabyte nobody needs again. */
export function forgetToolBuilds() {
  remove(path.join(TOOLS, "target"));
}

function missingLibrary(output) {
  if (!/openssl|pkg-config/i.test(output)) return " Check the network connection, then run this again.";
  return " The OpenSSL headers are missing: install them (Debian: `apt install pkg-config libssl-dev`; Fedora: `dnf install pkgconf openssl-devel`), then run this again.";
}
