// From measurements to figures: medians over rounds, ratios within a round, a table to read.

export function median(values) {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median over rounds of one case against another: both were measured in each round, so what disturbs a round disturbs both. */
export function ratioOf(cells, name, against, connections, figure) {
  const of = (wanted) => cells.filter((cell) => cell.name === wanted && cell.connections === connections);
  const others = of(against);
  const ratios = of(name).flatMap(({ round, [figure]: value }) => others.filter((other) => other.round === round).map((other) => value / other[figure]));
  return ratios.length === 0 ? undefined : median(ratios);
}

const FIGURES = ["perSecond", "p50", "p99", "cpuMicros", "client"];

/** For every case and number of connections the median of each figure. */
export function summarise(cells, asked) {
  return Object.fromEntries(
    Object.keys(asked).map((name) => [
      name,
      Object.fromEntries(
        [...new Set(cells.map(({ connections }) => connections))].map((connections) => {
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
export function table({ ratios, cases, refusal_times: times, cold_start_ms: cold, memory_mib: memory, wasm, statements, rounds, cores }, asked) {
  const lines = ["", `${rounds} rounds, ${cores} cores; medians; "client" is the load generator's share of one core`, ""];
  lines.push(`${"".padEnd(48)}${COLUMNS.map(([title, width]) => title.padStart(width + 2)).join("")}`);
  for (const [name, { says }] of Object.entries(asked)) {
    for (const [place, [connections, figures]] of Object.entries(cases[name]).entries()) {
      lines.push(`${(place === 0 ? says : "").padEnd(48)}${COLUMNS.map(([, width, of]) => String(of(figures, connections)).padStart(width + 2)).join("")}`);
    }
  }
  lines.push("", `refusals by key, ${times.count} of each kind in random order over one connection; median, µs: ${Object.entries(times.p50_micros).map(([name, micros]) => `${name} ${micros.toFixed(0)}`).join(", ")}`);
  for (const { pair, noise, micros, z } of times.pairs) lines.push(`  ${pair.padEnd(32)} ${micros.toFixed(1).padStart(6)} µs apart, ${z.toFixed(1).padStart(5)} standard deviations${noise ? "  (one and the same request: noise)" : ""}`);
  const ms = (value) => `${value.toFixed(0)} ms`;
  lines.push("", `cold start of a gateway alone, from the process to the first answer: bare ${ms(cold.bare_alone)}, same ${ms(cold.same_alone)}, Hoox ${ms(cold.hoox_alone)}`);
  lines.push(`of the whole stack, to the first alert accepted by a new Ledger: same ${ms(cold.same)}, Hoox ${ms(cold.hoox)}`);
  lines.push(`memory after the load: ${Object.entries(memory).map(([stack, { now, peak }]) => `${stack} ${now.toFixed(0)} MiB (at most ${peak.toFixed(0)})`).join(", ")}`);
  lines.push(`wasm: ${Object.entries(wasm).map(([worker, { bytes, gzip }]) => `${worker} ${(bytes / 1024).toFixed(0)} KiB (${(gzip / 1024).toFixed(0)} gzip)`).join(", ")}`);
  lines.push(`statements of one accepted alert: Hoox ${statements.hoox}, same ${statements.same}, ${statements.equal ? "the same ones in the same order" : "NOT the same: run with --statements"}`, "");
  for (const [name, ratio] of Object.entries(ratios)) lines.push(`${name.padEnd(36)} ${ratio === undefined ? "not measured" : ratio.toFixed(2)}`);
  return `${lines.join("\n")}\n`;
}
