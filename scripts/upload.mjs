// What `hoox deploy` does by wrangler: `node scripts/upload.mjs build`, `migrations`, or `WORKER`, which uploads what was
// built; with `--secrets` together with those that come on stdin as JSON.
// The token comes by the environment. Nothing here writes a secret to a file.
import path from "node:path";
import { Stop, TOOL_DIR, main, options } from "./lib/base.mjs";
import { step } from "./lib/proc.mjs";
import { ensureTools } from "./lib/tools.mjs";
import { configOf, wrangler } from "./lib/wrangler.mjs";
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
  await step(title, at.command, at.args, { env: { ...at.env, ...ACCOUNT, CI: "1", HOOX_BUILD: "skip" }, cwd: at.cwd, show: false, stdin });
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
