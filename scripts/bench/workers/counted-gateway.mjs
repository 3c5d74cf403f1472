// Stands before the gateway, whose clock `/cost/clock` moves. That is not served by anything that ships.
import { WorkerEntrypoint } from "cloudflare:workers";
import { setAhead } from "./clock.mjs";
import * as real from "counted";

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/cost/clock") return new real.default(this.ctx, this.env).fetch(request);
    setAhead(Number(searchParams.get("ahead")));
    return new Response("moved");
  }
}
