-- Revocations of many certificates by one request. A row stays; what of it is left to do goes batch by batch.
CREATE TABLE bulk_revocations (
    id                      UUID     NOT NULL PRIMARY KEY,
    -- What was asked for, in words, without personal data.
    scope                   TEXT     NOT NULL,
    -- A code of RFC 5280 §5.3.1.
    reason                  SMALLINT NOT NULL,
    invalidity_date         BIGINT,
    requested_by            TEXT     NOT NULL,
    request_id              TEXT,
    created_at              BIGINT   NOT NULL,
    count                   BIGINT   NOT NULL,
    -- JSON: [[authority, profile, count], …]
    shares                  TEXT     NOT NULL,
    refused                 BIGINT   NOT NULL,
    -- Ids of certificates, 16 octets each.
    refused_first           BYTEA    NOT NULL,
    -- 0 running, 1 completed, 2 canceled
    state                   SMALLINT NOT NULL,
    revoked                 BIGINT   NOT NULL,
    skipped                 BIGINT   NOT NULL,
    -- The newest number of the sequence of revocations that it took.
    sequence                BIGINT   NOT NULL,
    ended_at                BIGINT,
    idempotency_sha256      BYTEA    CHECK (octet_length(idempotency_sha256) = 32),
    request_sha256          BYTEA    CHECK (octet_length(request_sha256) = 32),
    idempotency_expires_at  BIGINT
);

CREATE INDEX bulk_revocations_running ON bulk_revocations (id) WHERE state = 0;
CREATE UNIQUE INDEX bulk_revocations_by_idempotency ON bulk_revocations (idempotency_sha256)
    WHERE idempotency_sha256 IS NOT NULL;
CREATE INDEX bulk_revocations_by_end_of_idempotency ON bulk_revocations (idempotency_expires_at)
    WHERE idempotency_expires_at IS NOT NULL;

-- What is left to do.
CREATE TABLE bulk_revocation_batches (
    bulk_revocation_id  UUID     NOT NULL REFERENCES bulk_revocations (id),
    number              INTEGER  NOT NULL,
    -- Ids of certificates, 16 octets each.
    certificates        BYTEA    NOT NULL,
    PRIMARY KEY (bulk_revocation_id, number)
);
