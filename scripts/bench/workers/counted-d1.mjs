// Stands between d1-worker's binding and the local D1 of miniflare, and tells what D1's own `meta` says of every statement.
import D1Entry from "entry";

export default class extends D1Entry {
  async fetch(request) {
    const asked = [await request.clone().json()].flat();
    const answer = await super.fetch(request);
    const results = await answer.clone().json();
    const told = [results].flat().map(({ meta }, place) => ({
      text: asked[place].sql.replaceAll(/\s+/g, " ").trim(),
      read: meta?.rows_read ?? 0,
      written: meta?.rows_written ?? 0,
    }));
    console.log(`cost ${JSON.stringify({ is: "batch", of: "D1", statements: told, failed: Array.isArray(results) ? undefined : results.error })}`);
    return answer;
  }
}
