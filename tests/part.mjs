// A part of the workers on the state of a sandbox that is not running: `node tests/part.mjs DIR CONFIG…`. The first
// configuration's worker gets the address, and its scheduled handler answers at /cdn-cgi/handler/scheduled.
// Prints `at URL` when it answers; runs until killed.
import path from "node:path";
import { Stop, main } from "../scripts/lib/base.mjs";
import { LOOPBACK, freePort, poll } from "../scripts/lib/net.mjs";
import { Service } from "../scripts/lib/proc.mjs";
import { ensureSecrets } from "../scripts/lib/secrets.mjs";
import { wrangler } from "../scripts/lib/wrangler.mjs";
import { build } from "../scripts/build.mjs";

await main(async () => {
  const [folder, ...configs] = process.argv.slice(2);
  const state = path.resolve(folder);
  await build(undefined, { lenient: true });
  await ensureSecrets(state);
  const [port, inspector] = [await freePort(), await freePort()];
  const persist = path.join(state, "wrangler");
  const at = wrangler(
    [
      "dev", ...configs.flatMap((file) => ["-c", file]), "--local", "--ip", LOOPBACK, "--port", String(port), "--inspector-port", String(inspector),
      "--persist-to", persist, "--show-interactive-dev-session=false",
    ],
    state,
  );
  const service = new Service("wrangler", at.command, at.args, { env: { ...at.env, HOOX_BUILD: "skip" } });
  const url = `http://${LOOPBACK}:${port}`;
  // A private worker answers as well: that it does not know the caller.
  const up = await poll(`${url}/health`, { timeoutMs: 60_000, good: ({ status }) => status < 500, stopped: () => !service.running });
  if (up === undefined) throw new Stop(`${configs[0]} did not start:\n${service.output.text()}`, 1);
  process.stdout.write(`at ${url}\n`);
  throw new Stop(`It ended by itself (${await service.exit}).`, 1);
});
