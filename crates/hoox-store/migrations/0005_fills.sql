-- Fills by their order's id, which begins with the time of its signal: the oldest are found by it, and no other index
-- is written with a fill. Nothing lists fills.

CREATE TABLE fills_by_order (
  client_order_id TEXT NOT NULL,
  account_id      TEXT NOT NULL,
  fill_id         TEXT NOT NULL,
  revision        INTEGER NOT NULL,
  venue           TEXT NOT NULL,
  symbol          TEXT NOT NULL,
  product         TEXT NOT NULL,
  side            TEXT NOT NULL,
  quantity        TEXT NOT NULL,
  price           TEXT NOT NULL,
  fee             TEXT,
  fee_currency    TEXT,
  filled_at       INTEGER NOT NULL,
  PRIMARY KEY (client_order_id, account_id, fill_id)
) STRICT, WITHOUT ROWID;

INSERT INTO fills_by_order (client_order_id, account_id, fill_id, revision, venue, symbol, product, side, quantity, price, fee, fee_currency, filled_at)
SELECT client_order_id, account_id, fill_id, revision, venue, symbol, product, side, quantity, price, fee, fee_currency, filled_at FROM fills;

DROP TABLE fills;

ALTER TABLE fills_by_order RENAME TO fills;
