// Several sandboxes of one checkout, one after another and side by side.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, test } from "node:test";
import { readJson } from "./base.mjs";
import { announce, lockOf, withdraw } from "./sandboxes.mjs";

const home = fs.mkdtempSync(path.join(os.tmpdir(), "hoox-sandboxes-"));
const folder = path.join(home, ".hoox");
const running = [];
after(() => {
  running.forEach(({ child }) => child.kill("SIGKILL"));
  fs.rmSync(home, { recursive: true, force: true });
});

/** A process that has a state folder as a sandbox has it. */
async function sandbox(name, port) {
  const state = path.join(home, name);
  const file = path.join(state, "dev.json");
  const script = `import { tryLock } from ${JSON.stringify(new URL("proc.mjs", import.meta.url).href)}; tryLock(${JSON.stringify(lockOf(state))}); console.log("locked"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const info = { gateway: `http://127.0.0.1:${port}`, state };
  fs.writeFileSync(file, JSON.stringify(info));
  const found = { child, file, info };
  running.push(found);
  return found;
}

async function kill({ child }) {
  const end = once(child, "exit");
  child.kill("SIGKILL");
  await end;
}

const told = (...names) => readJson(path.join(folder, ...names))?.gateway;
const listed = () => fs.readdirSync(path.join(folder, "dev")).sort();

test("the first sandbox keeps dev.json, and each has a file of its own", async () => {
  const one = await sandbox("one", 8787);
  const two = await sandbox("two", 8788);
  assert.equal(announce(one.file, one.info, folder), undefined);
  assert.deepEqual(announce(two.file, two.info, folder), one.info);
  assert.equal(told("dev.json"), one.info.gateway);
  assert.deepEqual(listed(), ["8787.json", "8788.json"]);

  withdraw(two.file, two.info, folder);
  assert.deepEqual(listed(), ["8787.json"]);
  assert.equal(told("dev.json"), one.info.gateway);

  announce(two.file, two.info, folder);
  withdraw(one.file, one.info, folder);
  assert.equal(fs.existsSync(path.join(folder, "dev.json")), false);
  assert.deepEqual(listed(), ["8788.json"]);
  withdraw(two.file, two.info, folder);
  await kill(one);
  await kill(two);
});

test("what a killed one left goes to the next", async () => {
  const killed = await sandbox("killed", 8787);
  announce(killed.file, killed.info, folder);
  await kill(killed);
  const next = await sandbox("next", 8788);
  assert.equal(announce(next.file, next.info, folder), undefined);
  assert.equal(told("dev.json"), next.info.gateway);
  assert.deepEqual(listed(), ["8788.json"]);

  // Its state is gone, and the links lead nowhere.
  await kill(next);
  fs.rmSync(next.info.state, { recursive: true });
  const last = await sandbox("last", 8788);
  assert.equal(announce(last.file, last.info, folder), undefined);
  assert.equal(told("dev.json"), last.info.gateway);
  assert.equal(told("dev", "8788.json"), last.info.gateway);
  // One that ends late takes nothing away from its successor at the same port.
  withdraw(next.file, next.info, folder);
  assert.equal(told("dev", "8788.json"), last.info.gateway);
  await kill(last);
});
