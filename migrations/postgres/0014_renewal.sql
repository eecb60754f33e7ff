-- Renewal windows that an operator moved: a handful, read as a whole.
CREATE TABLE renewal_window_moves (
    id               UUID     NOT NULL PRIMARY KEY,
    -- Whose windows; NULL does not restrict.
    authority        TEXT     COLLATE "C",
    profile          TEXT     COLLATE "C",
    certificate_id   UUID,
    issued_after     BIGINT,
    issued_before    BIGINT   NOT NULL,
    window_start     BIGINT   NOT NULL,
    window_end       BIGINT   NOT NULL CHECK (window_end >= window_start),
    waves            BIGINT   NOT NULL CHECK (waves > 0),
    explanation_url  TEXT,
    moved_by         TEXT     NOT NULL,
    moved_at         BIGINT   NOT NULL
);

-- Certificates whose holder asked for a second successor beside the one in the row: told once for each.
CREATE TABLE repeated_renewals (
    certificate_id  UUID NOT NULL,
    successor_id    UUID NOT NULL,
    PRIMARY KEY (certificate_id, successor_id)
);
