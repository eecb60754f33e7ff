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

-- Certificates whose rotation the service owns: what is wanted, and how far it has come.
CREATE TABLE managed_certificates (
    id                        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name                      TEXT    NOT NULL UNIQUE,
    owner                     TEXT    NOT NULL,
    profile                   TEXT    NOT NULL,
    -- JSON, without secrets and personal data.
    definition                TEXT    NOT NULL,
    -- 0 active, 1 paused
    state                     INTEGER NOT NULL CHECK (state IN (0, 1)),
    -- Rises by one with every change.
    revision                  INTEGER NOT NULL,
    created_at                INTEGER NOT NULL,
    created_by                TEXT    NOT NULL,
    -- What is current in the target.
    certificate_id            BLOB CHECK (length(certificate_id) = 16),
    rotation_of_current       BLOB CHECK (length(rotation_of_current) = 16),
    not_after                 INTEGER,
    -- The rotation under way, and its last step: begun, issued, delivered, verified, promoted
    rotation_id               BLOB CHECK (length(rotation_id) = 16),
    rotation_step             TEXT,
    rotation_certificate_id   BLOB CHECK (length(rotation_certificate_id) = 16),
    rotation_begun_at         INTEGER,
    -- What was current before, until it is revoked.
    superseded_id             BLOB CHECK (length(superseded_id) = 16),
    superseded_revoke_at      INTEGER,
    failures                  INTEGER NOT NULL,
    last_failed_at            INTEGER,
    last_error                TEXT,
    -- When something is to be done next.
    next_at                   INTEGER NOT NULL,
    CHECK ((certificate_id IS NULL) = (not_after IS NULL)),
    CHECK ((certificate_id IS NULL) = (rotation_of_current IS NULL)),
    CHECK ((rotation_id IS NULL) = (rotation_step IS NULL)),
    CHECK ((rotation_id IS NULL) = (rotation_begun_at IS NULL)),
    CHECK ((rotation_certificate_id IS NULL) = (rotation_id IS NULL OR rotation_step = 'begun')),
    CHECK ((superseded_id IS NULL) = (superseded_revoke_at IS NULL)),
    CHECK ((last_failed_at IS NULL) = (last_error IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX managed_certificates_due ON managed_certificates (next_at, id) WHERE state = 0;
