-- The audit trail. Its rows are in one table for each month, audit_YYYYMM, which d1-worker creates with the first row
-- of the month; docs/AUDIT.md tells how they hang together. Nothing here is ever changed but the two places that say
-- where the trail ends, and these only move forward. No table has a second unique key, so that the triggers on INSERT
-- see every row that INSERT OR REPLACE would remove.

-- Where the trail ends: the month that is written to, and the number of the last row.
CREATE TABLE audit_log (
  id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  segment  INTEGER NOT NULL,
  position INTEGER NOT NULL
) STRICT;

INSERT INTO audit_log (id, segment, position) VALUES (1, 0, 0);

CREATE TRIGGER audit_log_one BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

CREATE TRIGGER audit_log_forward BEFORE UPDATE ON audit_log WHEN NEW.id <> 1 OR NEW.segment < OLD.segment OR NEW.position <> OLD.position + 1 BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

-- Where each chain ends.
CREATE TABLE audit_head (
  chain    TEXT NOT NULL PRIMARY KEY,
  sequence INTEGER NOT NULL,
  hash     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_head_first BEFORE INSERT ON audit_head WHEN NEW.sequence <> 1 OR EXISTS (SELECT 1 FROM audit_head WHERE chain = NEW.chain) BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head WHEN NEW.chain <> OLD.chain OR NEW.sequence <> OLD.sequence + 1 BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

CREATE TRIGGER audit_head_kept BEFORE DELETE ON audit_head BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

-- What is kept of a month that was dropped: for each chain which rows it held and the hash of the last one. Only rows
-- that are linked to the one before are counted, so that a broken month is not dropped.
CREATE TABLE audit_closed (
  chain          TEXT NOT NULL,
  segment        INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  first_previous TEXT NOT NULL,
  last_sequence  INTEGER NOT NULL,
  closing_hash   TEXT NOT NULL,
  linked         INTEGER NOT NULL CHECK (linked = last_sequence - first_sequence + 1),
  PRIMARY KEY (chain, segment)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_closed_next BEFORE INSERT ON audit_closed WHEN EXISTS (SELECT 1 FROM audit_closed WHERE chain = NEW.chain AND segment >= NEW.segment) OR NEW.first_sequence <> coalesce((SELECT last_sequence FROM audit_closed WHERE chain = NEW.chain ORDER BY segment DESC LIMIT 1), 0) + 1 OR NEW.first_previous <> coalesce((SELECT closing_hash FROM audit_closed WHERE chain = NEW.chain ORDER BY segment DESC LIMIT 1), '0000000000000000000000000000000000000000000000000000000000000000') BEGIN SELECT RAISE(ABORT, 'audit: does not join the month before'); END;

CREATE TRIGGER audit_closed_same BEFORE UPDATE ON audit_closed BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

CREATE TRIGGER audit_closed_kept BEFORE DELETE ON audit_closed BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;
