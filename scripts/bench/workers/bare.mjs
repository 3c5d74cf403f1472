// (a) The least a webhook can do: read the body, parse it, answer.
export default {
  async fetch(request) {
    const alert = await request.json();
    return Response.json({ success: true, symbol: alert.symbol });
  },
};
