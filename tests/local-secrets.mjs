// With encrypted secrets the sandbox runs, and when it has ended, however it ended, no value of them is in any file of
// the checkout, in memory that looks like files, or in the process list.
//
//   node --test tests/local-secrets.mjs
//
// It works in a copy of the checkout, so that nobody's own secrets are touched. HOOX_CLI_BIN and HOOX_SIM_BIN name
// the programs, else they are taken from target/debug.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ROOT, filesUnder, readJson } from "../scripts/lib/base.mjs";

const COPIED = [".cargo", "Cargo.lock", "Cargo.toml", "crates", "package-lock.json", "package.json", "rust-toolchain.toml", "scripts", "workers", "wrangler.toml"];
const OWN = "exchange-key-of-a-test-9f2c";
const READY_MS = 180_000;
const GONE_MS = 10_000;

let home;
let checkout;
let env;

const at = (...names) => path.join(checkout, ...names);
const binary = (name) => path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target"), "debug", name);

function vars(args, input) {
  const done = spawnSync(env.HOOX_CLI_BIN, ["vars", ...args], { cwd: checkout, env, input, encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout;
}

/** Every value that the encrypted file holds. */
const values = () => [...vars(["decrypt", "--stdout"]).matchAll(/^\w+=(.+)$/gm)].map(([, value]) => value);

/** Which of the files hold one of the values. */
function holders(folder, searched) {
  // Followed they would lead out of the copy, to what is installed.
  const outside = (name) => ["node_modules", "tools", "target"].includes(name);
  return filesUnder([folder], outside).filter((file) => {
    const content = fs.readFileSync(file);
    return searched.some((value) => content.includes(value));
  });
}

/** What in the places where copies are kept, in the process list or in a file of the checkout holds a value. */
function found(searched) {
  const listed = spawnSync("ps", ["-A", "-ww", "-o", "args"], { encoding: "utf8" });
  assert.equal(listed.status, 0);
  const shown = listed.stdout.split("\n").filter((line) => searched.some((value) => line.includes(value)));
  return [...holders(home, searched), ...shown.map((line) => `ps: ${line.slice(0, 40)}`)];
}

/** Starts `npm run dev`'s script and waits until it is ready. */
async function start() {
  const script = spawn(process.execPath, ["scripts/dev.mjs", "--port", "0"], { cwd: checkout, env, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  script.stderr.setEncoding("utf8").on("data", (chunk) => (said += chunk));
  const exit = once(script, "exit");
  const info = await until(READY_MS, () => {
    assert.equal(script.exitCode, null, said);
    return readJson(at(".hoox", "dev.json"));
  });
  assert.ok(info !== undefined, said);
  return { script, exit, info };
}

/** Looks until there is something, or the time is over. */
async function until(ms, look) {
  for (const end = performance.now() + ms; performance.now() < end; await pause(50)) {
    const seen = look();
    if (seen !== undefined) return seen;
  }
  return undefined;
}

before(() => {
  home = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), "hoox-local-secrets-"));
  checkout = path.join(home, "checkout");
  const own = (file) => !path.basename(file).startsWith(".dev.vars") && !["target", ".wrangler"].includes(path.basename(file));
  for (const name of COPIED) fs.cpSync(path.join(ROOT, name), at(name), { recursive: true, filter: own });
  fs.symlinkSync(path.join(ROOT, "node_modules"), at("node_modules"));
  fs.mkdirSync(at(".hoox"));
  fs.symlinkSync(path.join(ROOT, ".hoox", "tools"), at(".hoox", "tools"));
  fs.mkdirSync(path.join(home, "runtime"), { mode: 0o700 });
  env = {
    ...process.env,
    HOOX_CLI_BIN: process.env.HOOX_CLI_BIN ?? binary("hoox"),
    HOOX_SIM_BIN: process.env.HOOX_SIM_BIN ?? binary("hoox-sim"),
    HOOX_KEYRING: "off",
    XDG_RUNTIME_DIR: path.join(home, "runtime"),
    CARGO_TARGET_DIR: path.join(ROOT, "target"),
  };
});

after(() => fs.rmSync(home, { recursive: true, force: true }));

test("the sandbox runs on encrypted secrets and leaves none of them in plain text", { timeout: 600_000 }, async (t) => {
  const { generateX25519Identity } = await import("age-encryption");
  env.HOOX_AGE_IDENTITY = await generateX25519Identity();
  vars(["encrypt", "-"], `# mine\nBYBIT_TESTNET_API_KEY=${OWN}\n`);

  // What is left where everything was killed at once, or the machine was.
  fs.symlinkSync(path.join(home, "runtime", "gone"), at(".dev.vars"));
  fs.writeFileSync(at("workers", "trade-worker", ".dev.vars"), `# Written by npm run dev from .dev.vars.age while it runs; changes here are lost.\nOLD=${OWN}\n`);

  await t.test("stopped by Ctrl-C", async () => {
    const { script, exit, info } = await start();
    const searched = values();
    assert.ok(searched.includes(OWN) && searched.includes(info.operatorKey) && searched.length === 8);
    // What was missing was generated and is in the encrypted file, which the workers run on.
    const answer = await fetch(`${info.gateway}/v1/orders`, { headers: { authorization: `Bearer ${info.operatorKey}` } });
    assert.equal(answer.status, 200);
    const read = (file) => fs.readFileSync(file, "utf8");
    assert.ok(read(at("workers", "trade-worker", ".dev.vars")).includes(OWN));
    assert.ok(!read(at(".dev.vars")).includes(OWN) && !read(at("workers", "d1-worker", ".dev.vars")).includes(OWN));
    assert.ok(found(searched).every((file) => !file.startsWith("ps: ")));
    script.kill("SIGINT");
    assert.deepEqual(await exit, [0, null]);
    assert.deepEqual(found(searched), []);
  });

  await t.test("killed", async () => {
    const { script, exit } = await start();
    const searched = values();
    script.kill("SIGKILL");
    await exit;
    let left;
    const clean = await until(GONE_MS, () => {
      try {
        left = found(searched);
        return left.length === 0 ? true : undefined;
      } catch (error) {
        // It was removed while it was looked at: look again.
        if (error.code === "ENOENT") return undefined;
        throw error;
      }
    });
    assert.ok(clean, `still there: ${left}`);
  });

  await t.test("beside a plain file it does not start", () => {
    fs.writeFileSync(at(".dev.vars"), "OPERATOR_KEY=mine\n");
    const done = spawnSync(process.execPath, ["scripts/dev.mjs", "--port", "0"], { cwd: checkout, env, encoding: "utf8" });
    assert.equal(done.status, 2);
    assert.match(done.stderr, /There is a \.dev\.vars beside \.dev\.vars\.age/);
    assert.equal(fs.readFileSync(at(".dev.vars"), "utf8"), "OPERATOR_KEY=mine\n");
  });
});
