// How wrangler is started: the pinned version under a Node it supports, offline, with nothing of the caller's
// environment that could reach a worker or a Cloudflare account.
import fs from "node:fs";
import path from "node:path";
import { ROOT, TOOL_DIR, remove } from "./base.mjs";
import { nodeForWrangler, wranglerScript } from "./tools.mjs";

const PASSED_ON = [
  "PATH", "HOME", "USER", "SHELL", "TERM", "LANG", "LC_ALL", "TZ", "CI",
  "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
  "CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN",
];

/** By these wrangler finds its way out of a network, as `hoox` has set them; a sandbox stays on this machine. */
const NETWORK = ["https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/** What a wrangler that calls Cloudflare needs of the environment. */
export function network() {
  // Node's own list of authorities is not the system's, which a company's network may have added to.
  const env = { NODE_USE_SYSTEM_CA: "1" };
  for (const name of NETWORK) if (process.env[name] !== undefined) env[name] = process.env[name];
  // Wrangler has the proxy resolve names in any case, and knows one word for it.
  for (const name of ["https_proxy", "HTTPS_PROXY"]) if (env[name] !== undefined) env[name] = env[name].replace(/^socks5h:/, "socks5:");
  return env;
}

export const CONFIGS = ["wrangler.toml", "workers/trade-worker/wrangler.toml", "workers/d1-worker/wrangler.toml"];

/** The wrangler file of a worker. */
export const configOf = (worker) => CONFIGS[["hoox", "trade-worker", "d1-worker"].indexOf(worker)];

/** Command, arguments and environment of a wrangler whose own files live in `state`. */
export function wrangler(args, state) {
  const env = {};
  for (const name of PASSED_ON) if (process.env[name] !== undefined) env[name] = process.env[name];
  Object.assign(env, {
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
    DO_NOT_TRACK: "1",
    NO_COLOR: "1",
    // Node compiles wrangler once; a start is a fifth quicker then.
    NODE_COMPILE_CACHE: path.join(TOOL_DIR, "cache", "node"),
    // What a killed run leaves stays in the state folder, where the next start removes it.
    TMPDIR: temporary(state),
    // Two sandboxes at once must not find each other's workers, and neither may look at the network.
    WRANGLER_REGISTRY_PATH: path.join(state, "registry"),
    WRANGLER_LOG_PATH: path.join(state, "logs"),
    WRANGLER_CACHE_DIR: path.join(state, "cache"),
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: "false",
    CLOUDFLARE_INCLUDE_PROCESS_ENV: "false",
    X_LOCAL_EXPLORER: "false",
    X_LOCAL_OBSERVABILITY: "false",
  });
  fs.mkdirSync(temporary(state), { recursive: true });
  return { command: nodeForWrangler(), args: [wranglerScript(), ...args], env, cwd: ROOT };
}

const temporary = (state) => path.join(state, "tmp");

/** Removes what earlier runs left; none may be running. */
export function forgetTemporary(state) {
  remove(temporary(state));
}
