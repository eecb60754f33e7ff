-- Events on their way: from the outbox to each sink.

-- Messages are few that go to no sink yet, and they come and go.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

-- One row for each message and sink, until the sink has it. Its number is that of its message: of one certificate the order of
-- numbers is that of commits, since whoever writes a message about a certificate has locked its row in `serials` before.
CREATE TABLE deliveries (
    id               UUID     NOT NULL PRIMARY KEY,
    sequence         BIGINT   NOT NULL,
    created_at       BIGINT   NOT NULL,
    next_attempt_at  BIGINT   NOT NULL,
    last_attempt_at  BIGINT,
    certificate_id   UUID,
    attempts         INTEGER  NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- 0 pending, 1 dead: not tried again unless it is replayed.
    state            SMALLINT NOT NULL DEFAULT 0 CHECK (state IN (0, 1)),
    sink             TEXT     NOT NULL COLLATE "C",
    topic            TEXT     NOT NULL,
    payload          TEXT     NOT NULL,
    last_error       TEXT,
    CHECK ((last_attempt_at IS NULL) = (last_error IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

CREATE INDEX deliveries_due ON deliveries (sink, next_attempt_at, sequence) WHERE state = 0;
CREATE INDEX deliveries_in_order ON deliveries (sink, certificate_id, sequence) WHERE state = 0;
CREATE UNIQUE INDEX deliveries_pending ON deliveries (sink, sequence) WHERE state = 0;
CREATE INDEX deliveries_dead ON deliveries (sink) WHERE state = 1;
CREATE INDEX deliveries_by_state ON deliveries (state, id);
