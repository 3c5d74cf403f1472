-- Records of Hoox. Ledgers fill these tables through their outbox, at least once and in any order:
-- a row is replaced only by one with a higher revision.
-- Amounts and ids are TEXT, because numbers cross JavaScript as binary floating point.
-- Times are INTEGER milliseconds since 1970-01-01T00:00:00Z, truth values
-- INTEGER 0 or 1.

-- Ids of signals sort by time of arrival.
CREATE TABLE signals (
  id          TEXT NOT NULL PRIMARY KEY,
  revision    INTEGER NOT NULL,
  request_id  TEXT NOT NULL,
  account_id  TEXT NOT NULL,
  account     TEXT NOT NULL,
  sender      TEXT NOT NULL,
  action      TEXT NOT NULL,
  symbol      TEXT NOT NULL,
  state       TEXT NOT NULL,
  code        TEXT,
  message     TEXT,
  received_at INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  dry_run     INTEGER NOT NULL,
  strategy    TEXT,
  order_id    TEXT,
  comment     TEXT,
  body        TEXT NOT NULL
) STRICT;

CREATE INDEX signals_by_account ON signals (account_id, id);

-- Client order ids contain their signal's id, so they sort by time too.
CREATE TABLE orders (
  client_order_id TEXT NOT NULL PRIMARY KEY,
  revision        INTEGER NOT NULL,
  signal_id       TEXT NOT NULL,
  account_id      TEXT NOT NULL,
  venue           TEXT NOT NULL,
  symbol          TEXT NOT NULL,
  product         TEXT NOT NULL,
  leg             INTEGER NOT NULL,
  side            TEXT NOT NULL,
  order_type      TEXT NOT NULL,
  quantity        TEXT NOT NULL,
  price           TEXT,
  reduce_only     INTEGER NOT NULL,
  state           TEXT NOT NULL,
  venue_order_id  TEXT,
  filled_quantity TEXT NOT NULL,
  average_price   TEXT,
  fee             TEXT,
  fee_currency    TEXT,
  code            TEXT,
  message         TEXT,
  created_at      INTEGER NOT NULL,
  sent_at         INTEGER,
  updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_by_account ON orders (account_id, client_order_id);

CREATE TABLE fills (
  account_id      TEXT NOT NULL,
  fill_id         TEXT NOT NULL,
  revision        INTEGER NOT NULL,
  client_order_id TEXT NOT NULL,
  venue           TEXT NOT NULL,
  symbol          TEXT NOT NULL,
  product         TEXT NOT NULL,
  side            TEXT NOT NULL,
  quantity        TEXT NOT NULL,
  price           TEXT NOT NULL,
  fee             TEXT,
  fee_currency    TEXT,
  filled_at       INTEGER NOT NULL,
  PRIMARY KEY (account_id, fill_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX fills_by_time ON fills (filled_at, fill_id, account_id);
CREATE INDEX fills_by_account ON fills (account_id, filled_at, fill_id);

CREATE TABLE positions (
  account_id     TEXT NOT NULL,
  symbol         TEXT NOT NULL,
  product        TEXT NOT NULL,
  revision       INTEGER NOT NULL,
  account        TEXT NOT NULL,
  venue          TEXT NOT NULL,
  side           TEXT,
  quantity       TEXT NOT NULL,
  entry_price    TEXT,
  leverage       TEXT,
  unrealised_pnl TEXT,
  updated_at     INTEGER NOT NULL,
  PRIMARY KEY (account_id, symbol, product)
) STRICT, WITHOUT ROWID;
