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

-- Certificates whose rotation the service owns: what is wanted, and how far it has come.
CREATE TABLE managed_certificates (
    id                        UUID    NOT NULL PRIMARY KEY,
    name                      TEXT    NOT NULL COLLATE "C" UNIQUE,
    owner                     TEXT    NOT NULL,
    profile                   TEXT    NOT NULL COLLATE "C",
    -- JSON, without secrets and personal data.
    definition                TEXT    NOT NULL,
    -- 0 active, 1 paused
    state                     BIGINT  NOT NULL CHECK (state IN (0, 1)),
    -- Rises by one with every change.
    revision                  BIGINT  NOT NULL,
    created_at                BIGINT  NOT NULL,
    created_by                TEXT    NOT NULL,
    -- What is current in the target.
    certificate_id            UUID,
    rotation_of_current       UUID,
    not_after                 BIGINT,
    -- The rotation under way, and its last step: begun, issued, delivered, verified, promoted
    rotation_id               UUID,
    rotation_step             TEXT,
    rotation_certificate_id   UUID,
    rotation_begun_at         BIGINT,
    -- What was current before, until it is revoked.
    superseded_id             UUID,
    superseded_revoke_at      BIGINT,
    failures                  BIGINT  NOT NULL,
    last_failed_at            BIGINT,
    last_error                TEXT,
    -- When something is to be done next.
    next_at                   BIGINT  NOT NULL,
    CHECK ((certificate_id IS NULL) = (not_after IS NULL)),
    CHECK ((certificate_id IS NULL) = (rotation_of_current IS NULL)),
    CHECK ((rotation_id IS NULL) = (rotation_step IS NULL)),
    CHECK ((rotation_id IS NULL) = (rotation_begun_at IS NULL)),
    CHECK ((rotation_certificate_id IS NULL) = (rotation_id IS NULL OR rotation_step = 'begun')),
    CHECK ((superseded_id IS NULL) = (superseded_revoke_at IS NULL)),
    CHECK ((last_failed_at IS NULL) = (last_error IS NULL))
);

CREATE INDEX managed_certificates_due ON managed_certificates (next_at, id) WHERE state = 0;
