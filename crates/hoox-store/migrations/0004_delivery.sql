-- The audit trail's two places that say where it ends move once a delivery, not once a row. A delivery of several rows
-- first says how many come: `position` goes to the last of them, `before` is where it stood. The month's trigger on the
-- last of these rows moves the ends of their chains. A single row says nothing before.

ALTER TABLE audit_log ADD COLUMN before INTEGER NOT NULL DEFAULT 0;

-- The month whose table has the triggers that know this; 0 for none.
ALTER TABLE audit_log ADD COLUMN ready INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER audit_log_forward;

CREATE TRIGGER audit_log_forward BEFORE UPDATE ON audit_log WHEN NEW.id <> 1 OR NEW.segment < OLD.segment OR NEW.position <= OLD.position OR (NEW.position > OLD.position + 1 AND NEW.before <> OLD.position) BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;

-- A chain's first row makes its place, with number 1; a delivery then moves it by as many rows as it has at most.
DROP TRIGGER audit_head_forward;

CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head WHEN NEW.chain <> OLD.chain OR NEW.sequence <= OLD.sequence OR (NEW.sequence > OLD.sequence + 1 AND NEW.sequence > OLD.sequence + (SELECT position - before FROM audit_log)) BEGIN SELECT RAISE(ABORT, 'audit: append-only'); END;
