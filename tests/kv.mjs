// Puts a text into CONFIG_KV on the state of a sandbox that is not running: `node tests/kv.mjs DIR KEY TEXT`.
import path from "node:path";
import { main } from "../scripts/lib/base.mjs";
import { step } from "../scripts/lib/proc.mjs";
import { wrangler } from "../scripts/lib/wrangler.mjs";

await main(async () => {
  const [folder, key, text] = process.argv.slice(2);
  const state = path.resolve(folder);
  const persist = path.join(state, "wrangler");
  const put = wrangler(["kv", "key", "put", key, text, "-c", "wrangler.toml", "--binding", "CONFIG_KV", "--local", "--persist-to", persist], state);
  await step(`putting ${key}`, put.command, put.args, { env: put.env, cwd: put.cwd, show: false });
});
