-- Renewal windows that an operator moved: a handful, read as a whole.
CREATE TABLE renewal_window_moves (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- Whose windows; NULL does not restrict.
    authority        TEXT,
    profile          TEXT,
    certificate_id   BLOB    CHECK (length(certificate_id) = 16),
    issued_after     INTEGER,
    issued_before    INTEGER NOT NULL,
    window_start     INTEGER NOT NULL,
    window_end       INTEGER NOT NULL CHECK (window_end >= window_start),
    waves            INTEGER NOT NULL CHECK (waves > 0),
    explanation_url  TEXT,
    moved_by         TEXT    NOT NULL,
    moved_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Certificates whose holder asked for a second successor beside the one in the row: told once for each.
CREATE TABLE repeated_renewals (
    certificate_id  BLOB NOT NULL CHECK (length(certificate_id) = 16),
    successor_id    BLOB NOT NULL CHECK (length(successor_id) = 16),
    PRIMARY KEY (certificate_id, successor_id)
) STRICT, WITHOUT ROWID;
