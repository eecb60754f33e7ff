-- The record of a certificate authority: everything it must not lose. README.md has the conventions.

-- "CaCA": tells our files from those of other programs.
PRAGMA application_id = 0x43614341;

-- Rows of an issuance are written by one string of statements and found by their ids; foreign keys between them would make
-- every insertion look for orphans that there cannot be, so there are none.

-- Serial numbers and where they stand: narrow, never pruned, the authority for uniqueness and for OCSP.
-- The serial comes first in the key, so that one index answers both (authority, serial) and a serial of any issuer.
CREATE TABLE serials (
    serial          BLOB    NOT NULL CHECK (length(serial) BETWEEN 1 AND 20),
    authority       TEXT    NOT NULL,
    -- The certificate, or the reservation it begins as.
    certificate_id  BLOB    NOT NULL CHECK (length(certificate_id) = 16),
    -- 0 reserved, 1 active, 2 on hold, 3 revoked, 4 abandoned. Live are 0 to 2, in a CRL 2 to 4.
    state           INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    -- CRLReason (RFC 5280 §5.3.1).
    reason          INTEGER CHECK (reason BETWEEN 0 AND 10),
    revoked_at      INTEGER,
    invalidity_date INTEGER,
    not_after       INTEGER NOT NULL,
    -- The predecessor, of which there may be one live successor.
    renews          BLOB    CHECK (length(renews) = 16),
    PRIMARY KEY (serial, authority),
    CHECK ((state >= 2) = (reason IS NOT NULL)),
    CHECK ((state >= 2) = (revoked_at IS NOT NULL)),
    CHECK (state >= 2 OR invalidity_date IS NULL),
    CHECK (state < 2 OR (state = 2) = (reason = 6))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX serials_one_live_successor ON serials (renews) WHERE renews IS NOT NULL AND state <= 2;
CREATE INDEX serials_in_crl ON serials (authority, serial, not_after, reason, revoked_at, invalidity_date) WHERE state >= 2;
CREATE INDEX serials_by_standing ON serials (state, certificate_id) WHERE state >= 2;

CREATE TRIGGER serials_are_kept BEFORE DELETE ON serials
BEGIN
    SELECT RAISE(ABORT, 'serial numbers are never deleted');
END;

-- Issuances under way: the exact octets to be signed, on record before the key is used. A completed one is deleted (its
-- octets are inside the certificate), an abandoned one stays, since its signature may exist somewhere.
CREATE TABLE reservations (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    authority           TEXT    NOT NULL,
    serial              BLOB    NOT NULL,
    profile             TEXT    NOT NULL,
    not_before          INTEGER NOT NULL,
    not_after           INTEGER NOT NULL,
    -- DER of the RDNSequence.
    subject             BLOB    NOT NULL,
    -- DER of the GeneralNames; empty when there are none.
    names               BLOB    NOT NULL,
    spki_sha256         BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    -- DER of the TBSCertificate.
    to_be_signed        BLOB    NOT NULL,
    owner               TEXT    NOT NULL,
    requested_by        TEXT    NOT NULL,
    renews              BLOB    CHECK (length(renews) = 16),
    token_id            BLOB    CHECK (length(token_id) = 16),
    idempotency_sha256  BLOB    CHECK (length(idempotency_sha256) = 32),
    reserved_at         INTEGER NOT NULL,
    abandoned_at        INTEGER,
    -- What the certificate will be found by: a JSON array, and the value of kind 1 in certificate_names.
    search_names        TEXT    NOT NULL,
    search_subject      TEXT    NOT NULL
) STRICT;

CREATE INDEX reservations_open ON reservations (reserved_at, id) WHERE abandoned_at IS NULL;

-- Certificates on record: wide rows.
CREATE TABLE certificates (
    id                  BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    authority           TEXT    NOT NULL,
    serial              BLOB    NOT NULL,
    profile             TEXT    NOT NULL,
    not_before          INTEGER NOT NULL,
    not_after           INTEGER NOT NULL,
    subject             BLOB    NOT NULL,
    names               BLOB    NOT NULL,
    spki_sha256         BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    fingerprint_sha256  BLOB    NOT NULL CHECK (length(fingerprint_sha256) = 32),
    owner               TEXT    NOT NULL,
    requested_by        TEXT    NOT NULL,
    issued_at           INTEGER NOT NULL,
    renews              BLOB    CHECK (length(renews) = 16),
    der                 BLOB    NOT NULL
) STRICT;

-- Lists run from the newest id to the oldest; each index ends in the id, so that a page is one walk.
CREATE INDEX certificates_by_authority ON certificates (authority, id);
CREATE INDEX certificates_by_profile ON certificates (profile, id);
CREATE INDEX certificates_by_owner ON certificates (owner, id);
CREATE INDEX certificates_by_key ON certificates (spki_sha256, id);
CREATE INDEX certificates_by_end ON certificates (not_after, id);
CREATE INDEX certificates_by_issuance ON certificates (issued_at, id);

-- What certificates are found by, in lower case.
CREATE TABLE certificate_names (
    -- 0 a subject alternative name or common name, 1 the whole subject as RFC 4514 text.
    kind            INTEGER NOT NULL CHECK (kind IN (0, 1)),
    value           TEXT    NOT NULL,
    certificate_id  BLOB    NOT NULL CHECK (length(certificate_id) = 16),
    PRIMARY KEY (kind, value, certificate_id)
) STRICT, WITHOUT ROWID;

-- Numbers that rise by one in the transaction that uses them, and so without gaps and in the order of commits.
CREATE TABLE counters (
    name   TEXT    NOT NULL PRIMARY KEY,
    value  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('revocations', 0);

-- Every change of a standing, in commit order.
CREATE TABLE revocations (
    sequence        INTEGER NOT NULL PRIMARY KEY,
    authority       TEXT    NOT NULL,
    serial          BLOB    NOT NULL,
    -- NULL when a hold was ended.
    reason          INTEGER CHECK (reason BETWEEN 0 AND 10),
    revoked_at      INTEGER,
    invalidity_date INTEGER,
    not_after       INTEGER NOT NULL,
    CHECK ((reason IS NULL) = (revoked_at IS NULL))
) STRICT;

CREATE TRIGGER revocations_are_kept BEFORE DELETE ON revocations
BEGIN
    SELECT RAISE(ABORT, 'revocations are never deleted');
END;

-- Public keys that are blocked for ever (keyCompromise).
CREATE TABLE blocked_keys (
    spki_sha256     BLOB    NOT NULL PRIMARY KEY CHECK (length(spki_sha256) = 32),
    certificate_id  BLOB    NOT NULL,
    blocked_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- CRLs intended and published. The rows stay for ever: numbers and times never go back.
CREATE TABLE crls (
    authority               TEXT    NOT NULL,
    number                  INTEGER NOT NULL CHECK (number >= 0),
    this_update             INTEGER NOT NULL,
    next_update             INTEGER NOT NULL,
    entries                 INTEGER NOT NULL CHECK (entries >= 0),
    revocation_sequence     INTEGER NOT NULL CHECK (revocation_sequence >= 0),
    to_be_signed_sha256     BLOB    NOT NULL CHECK (length(to_be_signed_sha256) = 32),
    -- 0 intended, 1 published.
    published               INTEGER NOT NULL DEFAULT 0 CHECK (published IN (0, 1)),
    PRIMARY KEY (authority, number)
) STRICT, WITHOUT ROWID;

-- The newest published list of each authority.
CREATE TABLE published_crls (
    authority  TEXT    NOT NULL PRIMARY KEY,
    number     INTEGER NOT NULL,
    der        BLOB    NOT NULL,
    FOREIGN KEY (authority, number) REFERENCES crls (authority, number)
) STRICT;

-- Private keys, sealed.
CREATE TABLE sealed_keys (
    -- Lower-case hexadecimal SHA-256 of the SubjectPublicKeyInfo.
    id          TEXT    NOT NULL PRIMARY KEY,
    -- Which data key opens it: authorities or responders.
    room        TEXT    NOT NULL CHECK (room IN ('authorities', 'responders')),
    key_type    TEXT    NOT NULL,
    spki        BLOB    NOT NULL,
    sealed      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX sealed_keys_by_room ON sealed_keys (room, created_at, id);

CREATE TABLE authorities (
    id               TEXT NOT NULL PRIMARY KEY,
    certificate_id   BLOB NOT NULL CHECK (length(certificate_id) = 16),
    certificate_der  BLOB NOT NULL,
    parent           TEXT,
    -- sealed: in sealed_keys under key_id; file: in an encrypted file outside the database.
    key_home         TEXT NOT NULL CHECK (key_home IN ('sealed', 'file')),
    key_id           TEXT,
    state            TEXT NOT NULL CHECK (state IN ('active', 'retiring', 'retired')),
    CHECK ((key_home = 'sealed') = (key_id IS NOT NULL))
) STRICT;

CREATE TABLE responders (
    certificate_id   BLOB    NOT NULL PRIMARY KEY CHECK (length(certificate_id) = 16),
    authority        TEXT    NOT NULL,
    certificate_der  BLOB    NOT NULL,
    key_id           TEXT    NOT NULL,
    not_before       INTEGER NOT NULL,
    not_after        INTEGER NOT NULL
) STRICT;

CREATE INDEX responders_by_end ON responders (not_after);

-- Values of the service as a whole.
CREATE TABLE settings (
    name   TEXT NOT NULL PRIMARY KEY,
    value  BLOB NOT NULL
) STRICT;

CREATE TABLE idempotency_keys (
    -- SHA-256 over principal, route and key; over the request.
    scope_sha256    BLOB    NOT NULL PRIMARY KEY CHECK (length(scope_sha256) = 32),
    request_sha256  BLOB    NOT NULL CHECK (length(request_sha256) = 32),
    certificate_id  BLOB    NOT NULL CHECK (length(certificate_id) = 16),
    expires_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);

CREATE TABLE enrolment_tokens (
    id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    secret_sha256  BLOB    NOT NULL CHECK (length(secret_sha256) = 32),
    -- What it may ask for: a profile, names (DER of GeneralNames; empty when there are none), a common name.
    profile        TEXT    NOT NULL,
    names          BLOB    NOT NULL,
    common_name    TEXT,
    uses           INTEGER NOT NULL CHECK (uses >= 1),
    used           INTEGER NOT NULL CHECK (used BETWEEN 0 AND uses),
    expires_at     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    created_by     TEXT    NOT NULL,
    withdrawn      INTEGER NOT NULL CHECK (withdrawn IN (0, 1))
) STRICT;

-- Roles belong to certificates, never to names.
CREATE TABLE roles (
    certificate_id  BLOB    NOT NULL CHECK (length(certificate_id) = 16),
    role            TEXT    NOT NULL,
    granted_at      INTEGER NOT NULL,
    PRIMARY KEY (certificate_id, role)
) STRICT, WITHOUT ROWID;

-- A row stays when its lease is given back, so that its token never falls.
CREATE TABLE leases (
    name        TEXT    NOT NULL PRIMARY KEY,
    holder      TEXT    NOT NULL,
    token       INTEGER NOT NULL CHECK (token >= 1),
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages to be delivered after the commit, in the order of their ids.
CREATE TABLE outbox (
    id              INTEGER NOT NULL PRIMARY KEY,
    topic           TEXT    NOT NULL,
    certificate_id  BLOB    CHECK (length(certificate_id) = 16),
    payload         TEXT    NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

-- Events, committed with the change they tell of; a place in the chain is given to each within a second.
CREATE TABLE audit_events (
    id         INTEGER NOT NULL PRIMARY KEY,
    -- The octets that are hashed; the three columns after it repeat parts of them to be searched.
    canonical  BLOB    NOT NULL,
    action     TEXT    NOT NULL,
    principal  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    sequence   INTEGER CHECK (sequence >= 1),
    hash       BLOB    CHECK (length(hash) = 32),
    CHECK ((sequence IS NULL) = (hash IS NULL))
) STRICT;

CREATE INDEX audit_events_pending ON audit_events (id) WHERE sequence IS NULL;
CREATE UNIQUE INDEX audit_events_chain ON audit_events (sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_events_by_action ON audit_events (action, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_events_by_principal ON audit_events (principal, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_events_by_subject ON audit_events (subject, sequence) WHERE sequence IS NOT NULL;

CREATE TRIGGER audit_events_are_kept BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never deleted');
END;

-- The one change an event may see is that it gets its place.
CREATE TRIGGER audit_events_stay BEFORE UPDATE ON audit_events
WHEN OLD.sequence IS NOT NULL OR NEW.id <> OLD.id OR NEW.canonical <> OLD.canonical OR NEW.action <> OLD.action
    OR NEW.principal <> OLD.principal OR NEW.subject <> OLD.subject
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed');
END;
