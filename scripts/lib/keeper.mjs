// Runs a command in this process's group and ends the group when the parent is gone (its end of our stdin closes).
import { spawn } from "node:child_process";

const [command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });

process.stdin.resume();
process.stdin.on("end", () => process.kill(-process.pid, "SIGKILL"));
process.stdin.on("error", () => process.kill(-process.pid, "SIGKILL"));
process.on("SIGTERM", () => child.kill("SIGTERM"));
// A terminal's Ctrl-C is the parent's business: it ends its services in order.
process.on("SIGINT", () => {});

child.once("error", (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exit(127);
});
child.once("exit", (code) => process.exit(code ?? 1));
