// Whether (b) still does what Hoox does: the statements, transactions and alarms of one accepted alert, traced in both.
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Stop, say } from "../lib/base.mjs";
import { once } from "./client.mjs";
import { Server } from "./workerd.mjs";

/** Alerts that are not looked at: they create tables and learn the configuration. */
const WARM = 2;
/** Everything of an alert has been done within this time; the recovery alarm comes after it. */
const QUIET_MS = 400;

/** The trace of the start and of the first alert after the warm ones. */
async function traceOf(stack, folder, sender, request) {
  const starts = [];
  let lines = starts;
  const server = new Server(stack, (line) => {
    if (line.startsWith("trace ")) lines.push(JSON.parse(line.slice(6)));
  });
  try {
    await server.start(path.join(folder, `traced-${stack}`), { ...sender, traced: true });
    for (let count = 0; count <= WARM; count += 1) {
      if (count > 0) lines = [];
      const answer = await once(server.port, request());
      if (answer?.status !== 202) throw new Stop(`An alert to the stack "${stack}" was answered with ${answer?.status}: ${answer?.body}`, 1);
      await pause(QUIET_MS);
    }
    return { starts, lines };
  } finally {
    await server.stop();
  }
}

/** A statement as it is compared: names given to columns of a result change nothing. */
const plain = (line) => line.replaceAll(/ AS (open|rows|due)\b/g, "").replaceAll(/\( /g, "(").replaceAll(/ \)/g, ")");

/** Counts the statements of both and says whether they are the same; with `print` shows them side by side on stdout. */
export async function compareStatements(folder, sender, request, print) {
  const first = await traceOf("hoox", folder, sender, request);
  // Tables and indexes are those of the Ledger: the meta table, then its migrations.
  const schema = first.starts.filter((line) => /^(CREATE|ALTER) /.test(line));
  const second = await traceOf("same", folder, { ...sender, schema }, request).catch((error) => {
    if (!(error instanceof Stop)) throw error;
    throw new Stop(`(b) does not know the Ledger's present tables (${error.message}). Only \`npm run bench -- --cost\` runs until it does.`, 1);
  });
  const [hoox, same] = [first, second].map(({ lines }) => lines.map(plain));
  const counted = (lines) => lines.filter((line) => !["BEGIN", "END", "ALARM"].includes(line)).length;
  const equal = hoox.length === same.length && hoox.every((line, place) => line === same[place]);
  if (print) {
    for (let place = 0; place < Math.max(hoox.length, same.length); place += 1) {
      const [one, other] = [hoox[place] ?? "(nothing)", same[place] ?? "(nothing)"];
      process.stdout.write(one === other ? `  ${one}\n` : `hoox ${one}\nsame ${other}\n`);
    }
  } else if (!equal) {
    say("warning: (b) does not run the statements that Hoox runs: see `npm run bench -- --statements`");
  }
  return { hoox: counted(hoox), same: counted(same), transactions: hoox.filter((line) => line === "BEGIN").length, equal, schema };
}
