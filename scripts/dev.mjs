// `npm run dev [-- --port N --state DIR]`: Hoox on this machine against a simulated exchange, until Ctrl-C.
import { main, options, say } from "./lib/base.mjs";
import { announce, withdraw } from "./lib/sandboxes.mjs";
import { OPTIONS, Sandbox, keep, settings } from "./sandbox.mjs";

const AGAIN = "npm run dev --";

/** Passes on errors and warnings of the workers, with the lines that belong to them; the rest is wrangler's small talk. */
function quietly() {
  let showing = false;
  return (line) => {
    const found = /\[(ERROR|WARNING)\]\s*(.*)$/.exec(line);
    if (found !== null) {
      showing = true;
      say(`${found[1].toLowerCase()}: ${found[2]}`);
    } else if (/^\S/.test(line)) {
      showing = false;
      if (/^\[custom build\] *[…✓]/.test(line)) say(line.replace("[custom build] ", ""));
    } else if (showing && line.trim() !== "") {
      say(line);
    }
  };
}

/** `first` is the sandbox that `hoox --local` acts on beside this one. */
function welcome({ gateway, passkey, operatorKey, simulator }, first) {
  const alert = JSON.stringify({ apiKey: passkey, exchange: "bybit", symbol: "BTCUSDT", action: "LONG", quantity: 0.01 });
  return `
Hoox is running on this machine and trades on a simulated exchange. Ctrl-C stops it.

  gateway       ${gateway}
  passkey       ${passkey}
  operator key  ${operatorKey}
  simulator     ${simulator}

Buy 0.01 BTCUSDT at the market (the same alert again within 45 seconds is a duplicate):

  curl -s ${gateway}/webhook -H 'Prefer: wait=2' -d '${alert}'

See the orders that came of it:

  curl -s ${gateway}/v1/orders -H 'Authorization: Bearer ${operatorKey}'
${first === undefined ? "" : `
Another sandbox of this checkout runs at ${first.gateway} (${first.state}); \`hoox --local\` acts on that one,
\`hoox --local=${new URL(gateway).port}\` on this one.
`}
`;
}

await main(async () => {
  const found = options(process.argv.slice(2), OPTIONS, `${AGAIN} [--port N] [--state DIR] [--simulator URL]`);
  // npm runs scripts in the project's folder; a relative --state means the folder the user is in.
  const cwd = process.env.npm_lifecycle_event === "dev" ? process.env.INIT_CWD : process.cwd();
  const given = settings(found, AGAIN, { cwd, rebuild: true });
  const sandbox = new Sandbox(given, quietly());
  const code = await keep(sandbox, () => {
    const first = announce(sandbox.devFile, sandbox.info);
    process.stdout.write(welcome(sandbox.info, first));
  }).finally(() => {
    if (sandbox.info !== undefined) withdraw(sandbox.devFile, sandbox.info);
  });
  say(sandbox.info === undefined ? "\nStopped before it was ready." : `\nStopped. What you traded is kept in ${given.state}.`);
  process.exit(code);
});
