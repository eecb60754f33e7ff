-- Revocations of many certificates by one request. A row stays; what of it is left to do goes batch by batch.
CREATE TABLE bulk_revocations (
    id                      BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- What was asked for, in words, without personal data.
    scope                   TEXT    NOT NULL,
    -- A code of RFC 5280 §5.3.1.
    reason                  INTEGER NOT NULL,
    invalidity_date         INTEGER,
    requested_by            TEXT    NOT NULL,
    request_id              TEXT,
    created_at              INTEGER NOT NULL,
    count                   INTEGER NOT NULL,
    -- JSON: [[authority, profile, count], …]
    shares                  TEXT    NOT NULL,
    refused                 INTEGER NOT NULL,
    -- Ids of certificates, 16 octets each.
    refused_first           BLOB    NOT NULL,
    -- 0 running, 1 completed, 2 canceled
    state                   INTEGER NOT NULL,
    revoked                 INTEGER NOT NULL,
    skipped                 INTEGER NOT NULL,
    -- The newest number of the sequence of revocations that it took.
    sequence                INTEGER NOT NULL,
    ended_at                INTEGER,
    idempotency_sha256      BLOB    CHECK (length(idempotency_sha256) = 32),
    request_sha256          BLOB    CHECK (length(request_sha256) = 32),
    idempotency_expires_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX bulk_revocations_running ON bulk_revocations (id) WHERE state = 0;
CREATE UNIQUE INDEX bulk_revocations_by_idempotency ON bulk_revocations (idempotency_sha256)
    WHERE idempotency_sha256 IS NOT NULL;
CREATE INDEX bulk_revocations_by_end_of_idempotency ON bulk_revocations (idempotency_expires_at)
    WHERE idempotency_expires_at IS NOT NULL;

-- What is left to do.
CREATE TABLE bulk_revocation_batches (
    bulk_revocation_id  BLOB    NOT NULL REFERENCES bulk_revocations (id),
    number              INTEGER NOT NULL,
    -- Ids of certificates, 16 octets each.
    certificates        BLOB    NOT NULL,
    PRIMARY KEY (bulk_revocation_id, number)
) STRICT, WITHOUT ROWID;
