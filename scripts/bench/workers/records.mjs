// The place of records for the benchmark: takes every delivery, reads it as d1-worker would have to, and keeps nothing.
export default {
  async fetch(request) {
    const rows = await request.json();
    return Response.json({ Ok: rows.length > 0 ? [] : [0] });
  },
};
