// Which sandboxes of this checkout run: each leads to its own file (address, keys, state folder) by .hoox/dev/PORT.json
// while it runs, and the first of them by .hoox/dev.json as well, which it keeps until it ends. Links, so that there is one
// copy of the keys. `hoox --local` finds them there.
import fs from "node:fs";
import path from "node:path";
import { TOOL_DIR, readJson, remove } from "./base.mjs";
import { ownerOf } from "./proc.mjs";

/** The file that a sandbox with this state folder is locked by. */
export const lockOf = (state) => path.join(state, "sandbox.lock");

const firstIn = (folder) => path.join(folder, "dev.json");
const eachIn = (folder) => path.join(folder, "dev");
const linkOf = (info, folder) => path.join(eachIn(folder), `${new URL(info.gateway).port}.json`);

/** Makes a ready sandbox known, whose `file` holds its `info`. Answers what the other one told that is the first, if this one is not. */
export function announce(file, info, folder = TOOL_DIR) {
  const own = linkOf(info, folder);
  fs.mkdirSync(path.dirname(own), { recursive: true, mode: 0o700 });
  forgetKilled(folder);
  remove(own);
  fs.symlinkSync(file, own);
  const first = firstIn(folder);
  for (;;) {
    try {
      fs.symlinkSync(file, first);
      return undefined;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (leadsTo(first) === file) return undefined;
    const other = readJson(first);
    if (runs(other)) return other;
    remove(first);
  }
}

/** Takes back what `announce` made; what another sandbox has made meanwhile stays. */
export function withdraw(file, info, folder = TOOL_DIR) {
  for (const link of [linkOf(info, folder), firstIn(folder)]) if (leadsTo(link) === file) remove(link);
}

/** Removes what killed sandboxes left in the folder. */
function forgetKilled(folder) {
  for (const name of fs.readdirSync(eachIn(folder))) {
    const link = path.join(eachIn(folder), name);
    if (!runs(readJson(link))) remove(link);
  }
}

/** Whether the sandbox that told this is another process that lives. */
const runs = (info) => info?.state !== undefined && ownerOf(lockOf(info.state)) !== undefined;

function leadsTo(link) {
  try {
    return fs.readlinkSync(link);
  } catch {
    return undefined;
  }
}
