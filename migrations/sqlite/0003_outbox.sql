-- Events on their way: from the outbox to each sink.

-- The same table, whose numbers are never given twice: what is done is deleted, and receivers go by the numbers.
CREATE TABLE outbox_numbered (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    topic           TEXT    NOT NULL,
    certificate_id  BLOB    CHECK (length(certificate_id) = 16),
    payload         TEXT    NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

INSERT INTO outbox_numbered SELECT id, topic, certificate_id, payload, created_at FROM outbox ORDER BY id;
DROP TABLE outbox;
ALTER TABLE outbox_numbered RENAME TO outbox;

-- One row for each message and sink, until the sink has it. Its number is that of its message.
CREATE TABLE deliveries (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    sink             TEXT    NOT NULL,
    sequence         INTEGER NOT NULL,
    topic            TEXT    NOT NULL,
    certificate_id   BLOB    CHECK (length(certificate_id) = 16),
    payload          TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    -- 0 pending, 1 dead: not tried again unless it is replayed.
    state            INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1)),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at  INTEGER NOT NULL,
    last_attempt_at  INTEGER,
    last_error       TEXT,
    CHECK ((last_attempt_at IS NULL) = (last_error IS NULL))
) STRICT;

CREATE INDEX deliveries_due ON deliveries (sink, next_attempt_at, sequence) WHERE state = 0;
CREATE INDEX deliveries_in_order ON deliveries (sink, certificate_id, sequence) WHERE state = 0;
CREATE UNIQUE INDEX deliveries_pending ON deliveries (sink, sequence) WHERE state = 0;
CREATE INDEX deliveries_dead ON deliveries (sink) WHERE state = 1;
CREATE INDEX deliveries_by_state ON deliveries (state, id);
