// Signs messages with the schemes' own client libraries: reads [{scheme, secret, body, id?, later?}] from stdin and
// prints the headers of each as JSON. `later` is how many seconds from now it is signed.
import { text } from "node:stream/consumers";
import { sign } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";

// Signing calls nobody; the client wants a key all the same.
const stripe = new Stripe("sk_test_none");

const SIGN = {
  standard({ secret, body, id, later = 0 }) {
    const now = new Date(Date.now() + later * 1000);
    const headers = { "webhook-id": id, "webhook-timestamp": String(Math.floor(now.getTime() / 1000)) };
    return { ...headers, "webhook-signature": new Webhook(secret).sign(id, now, body) };
  },
  stripe({ secret, body, later = 0 }) {
    const timestamp = Math.floor(Date.now() / 1000) + later;
    return { "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp }) };
  },
  github: async ({ secret, body }) => ({ "x-hub-signature-256": await sign(secret, body) }),
};

const messages = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(await Promise.all(messages.map((message) => SIGN[message.scheme](message)))));
