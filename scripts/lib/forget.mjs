// Waits until the process that started it has ended, however that came about, or says that it is done (its end of our
// stdin closes), and then removes what only a running sandbox may leave in plain text.
import { forgetCopies } from "./secrets.mjs";

const [state] = process.argv.slice(2);
const forget = () => forgetCopies(state);

process.stdin.resume();
process.stdin.once("end", forget);
process.stdin.once("error", forget);
// What ends the others must not end this first.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => {});
