// From measurements to figures: medians over rounds, ratios within a round, a table to read.

export function median(values) {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median over rounds of one case against another: both were measured in each round, so what disturbs a round disturbs both. */
function ratioOf(cells, name, against, connections, figure) {
  const of = (wanted) => cells.filter((cell) => cell.name === wanted && cell.connections === connections);
  const others = of(against);
  const ratios = of(name).flatMap(({ round, [figure]: value }) => others.filter((other) => other.round === round).map((other) => value / other[figure]));
  return ratios.length === 0 ? undefined : median(ratios);
}

/** The ratios that Hoox is judged by: what they compare, what each has to be, and where it shall come to. */
const RATIOS = {
  accept_vs_lean_throughput_16: { of: ["accept", "lean", 16, "perSecond"], least: true, must: 0.55, horizon: 0.85 },
  accept_vs_lean_p50_1: { of: ["accept", "lean", 1, "p50"], must: 1.7, horizon: 1.2 },
  order_vs_lean_p50: { of: ["order", "leanOrder", 1, "p50"], must: 1.7, horizon: 1.1 },
  orders_vs_lean_throughput_16: { of: ["order", "leanOrder", 16, "perSecond"], least: true, must: 0.5, horizon: 0.9 },
  refusal_vs_bare_throughput_16: { of: ["address", "bare", 16, "perSecond"], least: true, must: 0.7, horizon: 0.9 },
  cold_all_vs_lean: { must: 1.8, horizon: 1.3 },
};

/** Every ratio; undefined where one side was not measured. */
export function ratiosOf(cells, cold) {
  const of = Object.fromEntries(Object.entries(RATIOS).filter(([, ratio]) => ratio.of !== undefined).map(([name, ratio]) => [name, ratioOf(cells, ...ratio.of)]));
  return { ...of, cold_all_vs_lean: cold && cold.hoox / cold.lean };
}

/** Of every ratio that was measured what it has to be, and whether it is. */
export function judged(ratios) {
  const meets = (is, bound, least) => (least ? is >= bound : is <= bound);
  return Object.fromEntries(
    Object.entries(RATIOS)
      .filter(([name]) => ratios[name] !== undefined)
      .map(([name, { least = false, must, horizon }]) => [name, { [least ? "least" : "most"]: must, horizon, met: meets(ratios[name], must, least), beyond: meets(ratios[name], horizon, least) }]),
  );
}

const FIGURES = ["perSecond", "p50", "p99", "cpuMicros", "client"];

/** For every case and number of connections the median of each figure. */
export function summarise(cells, asked) {
  return Object.fromEntries(
    Object.keys(asked).map((name) => [
      name,
      Object.fromEntries(
        [...new Set(cells.filter((cell) => cell.name === name).map(({ connections }) => connections))].map((connections) => {
          const own = cells.filter((cell) => cell.name === name && cell.connections === connections);
          const figures = Object.fromEntries(FIGURES.map((figure) => [figure, median(own.map((cell) => cell[figure]))]));
          return [connections, { ...figures, requests: own.reduce((sum, { requests }) => sum + requests, 0), wrong: own.reduce((sum, { wrong }) => sum + wrong, 0) }];
        }),
      ),
    ]),
  );
}

const COLUMNS = [
  ["connections", 11, (_, connections) => connections],
  ["requests/s", 10, ({ perSecond }) => perSecond.toFixed(0)],
  ["p50 ms", 8, ({ p50 }) => p50.toFixed(2)],
  ["p99 ms", 8, ({ p99 }) => p99.toFixed(2)],
  ["CPU µs", 8, ({ cpuMicros }) => cpuMicros.toFixed(0)],
  ["client", 8, ({ client }) => `${(client * 100).toFixed(0)} %`],
];

/** Everything for people. */
export function table({ ratios, targets, cases, refusal_times: times, cold_start_ms: cold, memory_mib: memory, wasm, stored_in: stored, rounds, cores }, asked) {
  const lines = ["", `${rounds} rounds, ${cores} cores; objects stored in ${stored}; medians; "client" is the load generator's share of one core`, ""];
  lines.push(`${"".padEnd(48)}${COLUMNS.map(([title, width]) => title.padStart(width + 2)).join("")}`);
  for (const [name, { says }] of Object.entries(asked)) {
    for (const [place, [connections, figures]] of Object.entries(cases[name]).entries()) {
      lines.push(`${(place === 0 ? says : "").padEnd(48)}${COLUMNS.map(([, width, of]) => String(of(figures, connections)).padStart(width + 2)).join("")}`);
    }
  }
  if (times !== undefined) lines.push("", ...refusalLines(times));
  if (cold !== undefined) lines.push("", ...coldLines(cold));
  lines.push("", `memory after the load: ${Object.entries(memory).map(([stack, { now, peak }]) => `${stack} ${now.toFixed(0)} MiB (at most ${peak.toFixed(0)})`).join(", ")}`);
  lines.push(`wasm: ${Object.entries(wasm).map(([worker, { bytes, gzip }]) => `${worker} ${(bytes / 1024).toFixed(0)} KiB (${(gzip / 1024).toFixed(0)} gzip)`).join(", ")}`);
  lines.push("");
  for (const [name, ratio] of Object.entries(ratios)) lines.push(`${name.padEnd(36)} ${ratio === undefined ? "not measured" : `${ratio.toFixed(2)}   ${judgement(targets[name])}`}`);
  return `${lines.join("\n")}\n`;
}

function judgement({ least, most, horizon, met, beyond }) {
  const bound = least === undefined ? `at most ${most}` : `at least ${least}`;
  return `${met ? "✓" : "✗"} ${bound}${beyond ? "; the horizon is reached" : `, the horizon is ${horizon}`}`;
}

function refusalLines({ count, p50_micros: medians, pairs }) {
  const each = Object.entries(medians).map(([name, micros]) => `${name} ${micros.toFixed(0)}`);
  return [
    `refusals by key, ${count} of each kind in random order over one connection; median, µs: ${each.join(", ")}`,
    ...pairs.map(({ pair, noise, micros, z }) => `  ${pair.padEnd(32)} ${micros.toFixed(1).padStart(6)} µs apart, ${z.toFixed(1).padStart(5)} standard deviations${noise ? "  (one and the same request: noise)" : ""}`),
  ];
}

function coldLines(cold) {
  const ms = (value) => `${value.toFixed(0)} ms`;
  return [
    `cold start of a gateway alone, from the process to the first answer: bare ${ms(cold.bare_alone)}, lean ${ms(cold.lean_alone)}, Hoox ${ms(cold.hoox_alone)}`,
    `of all workers, to the first alert accepted by a new Ledger: lean ${ms(cold.lean)}, Hoox ${ms(cold.hoox)}`,
  ];
}
