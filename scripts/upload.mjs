// What `hoox deploy` does by wrangler: `node scripts/upload.mjs build`, `migrations`, or `WORKER`, which uploads what was
// built; with `--secrets` together with those that come on stdin as JSON.
// The token comes by the environment. Nothing here writes a secret to a file. Where Cloudflare limits calls stdout says
// `limited SECONDS`, and the caller waits: wrangler itself waits at some of its calls only.
import path from "node:path";
import { stripVTControlCharacters } from "node:util";
import { Stop, TOOL_DIR, main, options } from "./lib/base.mjs";
import { step } from "./lib/proc.mjs";
import { ensureTools } from "./lib/tools.mjs";
import { configOf, network, wrangler } from "./lib/wrangler.mjs";
import { WORKERS, build } from "./build.mjs";

const USAGE = "node scripts/upload.mjs build|migrations|WORKER [--secrets]";

/** For wrangler alone: no compiler, build script or package manager that runs before it gets them. */
const ACCOUNT = {};
for (const name of ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_BASE_URL"]) {
  if (process.env[name] !== undefined) ACCOUNT[name] = process.env[name];
  delete process.env[name];
}

/** Runs wrangler with the account's token. A pipe has to be handed on as it is: Node's own cannot be opened by name. */
async function run(title, args, stdin) {
  const at = wrangler(args, path.join(TOOL_DIR, "deploy"));
  const env = { ...at.env, ...network(), ...ACCOUNT, CI: "1", HOOX_BUILD: "skip" };
  await step(title, at.command, at.args, { env, cwd: at.cwd, show: false, stdin, known: isLimit });
}

/** Whether wrangler failed because Cloudflare limits calls, which it says in the answer's words. */
function isLimit(coloured) {
  const output = stripVTControlCharacters(coloured);
  const failure = output.slice(output.lastIndexOf("[ERROR]"));
  const wait = /"Retry-After" header indicating you should wait (\d+) second/.exec(failure)?.[1];
  if (wait === undefined && !/\[code: (971|10429)\]|\b429 Too Many Requests/.test(failure)) return false;
  process.stdout.write(`limited ${wait ?? ""}\n`);
  return true;
}

await main(async () => {
  const { _: [what, ...more], secrets } = options(process.argv.slice(2), { secrets: "flag" }, USAGE);
  if (more.length > 0 || !["build", "migrations", ...WORKERS].includes(what)) throw new Stop(`Usage: ${USAGE}. There are ${WORKERS.join(", ")}.`);
  await ensureTools();
  if (what === "migrations") {
    await run("migrating the D1 database", ["d1", "migrations", "apply", "DB", "--remote", "-c", configOf("d1-worker")], "ignore");
    return;
  }
  if (what === "build") {
    await build();
    return;
  }
  const given = secrets ? ["--secrets-file", "/dev/stdin"] : [];
  await run(`uploading ${what}`, ["deploy", "-c", configOf(what), ...given], secrets ? "inherit" : "ignore");
});
