// The gateway without the private workers behind it, as while they are being deployed: `node tests/gateway-alone.mjs DIR`.
// DIR is the state folder of a sandbox that is not running. Prints `gateway URL` when it answers; runs until killed.
import path from "node:path";
import { Stop, main } from "../scripts/lib/base.mjs";
import { LOOPBACK, freePort, poll } from "../scripts/lib/net.mjs";
import { Service } from "../scripts/lib/proc.mjs";
import { ensureSecrets } from "../scripts/lib/secrets.mjs";
import { CONFIGS, wrangler } from "../scripts/lib/wrangler.mjs";
import { build } from "../scripts/build.mjs";

await main(async () => {
  const state = path.resolve(process.argv[2]);
  await build(undefined, { lenient: true });
  ensureSecrets();
  const [port, inspector] = [await freePort(), await freePort()];
  const persist = path.join(state, "wrangler");
  const at = wrangler(
    ["dev", "-c", CONFIGS[0], "--local", "--ip", LOOPBACK, "--port", String(port), "--inspector-port", String(inspector), "--persist-to", persist, "--show-interactive-dev-session=false"],
    state,
  );
  const service = new Service("wrangler", at.command, at.args, { env: { ...at.env, HOOX_BUILD: "skip" } });
  const url = `http://${LOOPBACK}:${port}`;
  const up = await poll(`${url}/health`, { timeoutMs: 60_000, good: ({ status }) => status === 200, stopped: () => !service.running });
  if (up === undefined) throw new Stop(`The gateway did not start:\n${service.output.text()}`, 1);
  process.stdout.write(`gateway ${url}\n`);
  throw new Stop(`The gateway ended by itself (${await service.exit}).`, 1);
});
