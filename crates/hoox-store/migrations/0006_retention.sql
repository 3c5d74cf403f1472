-- How far old records have been pruned; no row where none has been yet. Whatever is older than `pruned_until` is gone,
-- but for signals that are not finished.
CREATE TABLE retention (
  id            INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  pruned_until INTEGER NOT NULL,
  pruned_at     INTEGER NOT NULL,
  by_size       INTEGER NOT NULL
) STRICT;
