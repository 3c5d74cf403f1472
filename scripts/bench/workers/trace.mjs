// Stands before a private worker and prints every statement, transaction and alarm of its Ledger. Never measured.
import * as real from "traced";

const show = (line) => console.log(`trace ${JSON.stringify(line)}`);

/** Replaces a method of the platform's own class, once. */
function wrap(object, name, around) {
  const prototype = Object.getPrototypeOf(object);
  const own = prototype[name];
  if (own.traced) return;
  prototype[name] = function (...args) {
    return around(() => own.apply(this, args), ...args);
  };
  prototype[name].traced = true;
}

function trace({ storage }) {
  wrap(storage.sql, "exec", (run, text) => {
    show(text.replaceAll(/\s+/g, " ").trim());
    return run();
  });
  wrap(storage, "transactionSync", (run) => {
    show("BEGIN");
    try {
      return run();
    } finally {
      show("END");
    }
  });
  wrap(storage, "setAlarm", (run) => {
    show("ALARM");
    return run();
  });
}

export const Ledger = new Proxy(real.Ledger, {
  construct(target, args, newTarget) {
    trace(args[0]);
    return Reflect.construct(target, args, newTarget === Ledger ? target : newTarget);
  },
});
export const Control = real.Control ?? real.default;
export default real.default;
