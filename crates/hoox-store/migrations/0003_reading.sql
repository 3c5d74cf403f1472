-- What the sender should know of a signal that was accepted: a JSON array of texts, NULL for none.
ALTER TABLE signals ADD COLUMN notes TEXT;

-- The signal that the alert was read as: JSON, NULL where an older version stored the row.
ALTER TABLE signals ADD COLUMN reading TEXT;
