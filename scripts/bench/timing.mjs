// Whether the time of a refusal tells why: keys that are wrong in different ways, asked in random order over one
// connection, compared pair by pair with the rank-sum test of Mann and Whitney. Two sets of the very same request are
// compared as well: what they differ by is noise.
import { Connection } from "./client.mjs";
import { median } from "./figures.mjs";

/** Latencies in milliseconds of each kind of request, `count` of each, after as many of each that do not count. */
async function sample(port, kinds, status, count) {
  const names = Object.keys(kinds);
  const took = Object.fromEntries(names.map((name) => [name, []]));
  const order = [...shuffled(names, count), ...shuffled(names, count)];
  const warm = order.length / 2;
  let [asked, answered] = [0, 0];
  const connection = new Connection(
    port,
    () => (asked < order.length ? kinds[order[asked++]] : undefined),
    (got, latency) => {
      if (got !== status) throw new Error(`a key that is ${order[answered]} was answered with ${got}`);
      if (answered >= warm) took[order[answered]].push(latency);
      answered += 1;
    },
  );
  await connection.ended;
  return took;
}

/** Every name `count` times, in random order. */
function shuffled(names, count) {
  const all = names.flatMap((name) => Array(count).fill(name));
  for (let place = all.length - 1; place > 0; place -= 1) {
    const other = Math.floor(Math.random() * (place + 1));
    [all[place], all[other]] = [all[other], all[place]];
  }
  return all;
}

/** How many standard deviations the ranks of one set are above the other's. */
export function rankSum(one, other) {
  const all = [...one.map((value) => [value, 1]), ...other.map((value) => [value, 0])].sort(([a], [b]) => a - b);
  let sum = 0;
  for (let from = 0; from < all.length; ) {
    let to = from;
    while (to < all.length && all[to][0] === all[from][0]) to += 1;
    const rank = (from + to + 1) / 2;
    for (let place = from; place < to; place += 1) sum += all[place][1] * rank;
    from = to;
  }
  const [m, n] = [one.length, other.length];
  const mean = (m * (m + n + 1)) / 2;
  return (sum - mean) / Math.sqrt((m * n * (m + n + 1)) / 12);
}

/** Compares all kinds; `same` names two of them that are one. */
export async function compareTimes(port, kinds, { status, count, same }) {
  const took = await sample(port, kinds, status, count);
  const names = Object.keys(kinds);
  const pairs = names.flatMap((one, place) =>
    names.slice(place + 1).map((other) => ({
      pair: `${one} / ${other}`,
      noise: same.includes(one) && same.includes(other),
      micros: (median(took[one]) - median(took[other])) * 1000,
      z: rankSum(took[one], took[other]),
    })),
  );
  return { count, p50_micros: Object.fromEntries(names.map((name) => [name, median(took[name]) * 1000])), pairs };
}
