-- The record of a certificate authority: everything it must not lose. README.md has the conventions.

-- Text is compared by octets (COLLATE "C"): an operating system that sorts words otherwise after an upgrade breaks no index.

CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- Serial numbers and where they stand: narrow, never pruned, not partitioned, the authority for uniqueness and for OCSP.
-- The serial comes first in the key, so that one index answers both (authority, serial) and a serial of any issuer.
-- No index holds `state`, and a page keeps room: so the change from reserved to active writes no index (a HOT update). The
-- indexes tell the rest by `reason`: live are rows without one or on hold (6), in a CRL are rows that have one.
CREATE TABLE serials (
    certificate_id   UUID     NOT NULL,
    not_after        BIGINT   NOT NULL,
    -- 0 reserved, 1 active, 2 on hold, 3 revoked, 4 abandoned. Live are 0 to 2, in a CRL 2 to 4.
    state            SMALLINT NOT NULL CHECK (state BETWEEN 0 AND 4),
    -- CRLReason (RFC 5280 §5.3.1).
    reason           SMALLINT CHECK (reason BETWEEN 0 AND 10),
    serial           BYTEA    NOT NULL CHECK (octet_length(serial) BETWEEN 1 AND 20),
    authority        TEXT     NOT NULL COLLATE "C",
    revoked_at       BIGINT,
    invalidity_date  BIGINT,
    -- The predecessor, of which there may be one live successor.
    renews           UUID,
    PRIMARY KEY (serial, authority),
    CHECK ((state >= 2) = (reason IS NOT NULL)),
    CHECK ((state >= 2) = (revoked_at IS NOT NULL)),
    CHECK (state >= 2 OR invalidity_date IS NULL),
    CHECK (state < 2 OR (state = 2) = (reason = 6))
) WITH (fillfactor = 80);

-- An id leads to the month of its wide row.
CREATE UNIQUE INDEX serials_by_certificate ON serials (certificate_id);
CREATE UNIQUE INDEX serials_one_live_successor ON serials (renews)
    WHERE renews IS NOT NULL AND (reason IS NULL OR reason = 6);
CREATE INDEX serials_in_crl ON serials (authority, serial) INCLUDE (not_after, reason, revoked_at, invalidity_date)
    WHERE reason IS NOT NULL;
CREATE INDEX serials_held ON serials (certificate_id) WHERE reason = 6;
CREATE INDEX serials_revoked ON serials (certificate_id) WHERE reason <> 6;

CREATE TRIGGER serials_are_kept BEFORE DELETE OR TRUNCATE ON serials
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();

-- Issuances under way: the exact octets to be signed, on record before the key is used. A completed one is deleted (its
-- octets are inside the certificate), an abandoned one stays, since its signature may exist somewhere.
CREATE TABLE reservations (
    id                  UUID   NOT NULL PRIMARY KEY,
    not_before          BIGINT NOT NULL,
    not_after           BIGINT NOT NULL,
    reserved_at         BIGINT NOT NULL,
    abandoned_at        BIGINT,
    renews              UUID,
    token_id            UUID,
    authority           TEXT   NOT NULL COLLATE "C",
    serial              BYTEA  NOT NULL,
    profile             TEXT   NOT NULL COLLATE "C",
    -- DER of the RDNSequence.
    subject             BYTEA  NOT NULL,
    -- DER of the GeneralNames; empty when there are none.
    names               BYTEA  NOT NULL,
    spki_sha256         BYTEA  NOT NULL CHECK (octet_length(spki_sha256) = 32),
    owner               TEXT   NOT NULL COLLATE "C",
    requested_by        TEXT   NOT NULL COLLATE "C",
    idempotency_sha256  BYTEA  CHECK (octet_length(idempotency_sha256) = 32),
    -- The terms of certificate_names, 32 octets each.
    terms               BYTEA  NOT NULL CHECK (octet_length(terms) % 32 = 0),
    -- DER of the TBSCertificate.
    to_be_signed        BYTEA  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

CREATE INDEX reservations_open ON reservations (reserved_at, id) WHERE abandoned_at IS NULL;

-- Certificates on record: wide rows, in a table for each month (UTC) of `not_after`. ensure_month() makes the tables.
CREATE TABLE certificates (
    id                  UUID   NOT NULL,
    not_before          BIGINT NOT NULL,
    not_after           BIGINT NOT NULL,
    issued_at           BIGINT NOT NULL,
    renews              UUID,
    authority           TEXT   NOT NULL COLLATE "C",
    serial              BYTEA  NOT NULL,
    profile             TEXT   NOT NULL COLLATE "C",
    subject             BYTEA  NOT NULL,
    names               BYTEA  NOT NULL,
    spki_sha256         BYTEA  NOT NULL CHECK (octet_length(spki_sha256) = 32),
    fingerprint_sha256  BYTEA  NOT NULL CHECK (octet_length(fingerprint_sha256) = 32),
    owner               TEXT   NOT NULL COLLATE "C",
    requested_by        TEXT   NOT NULL COLLATE "C",
    der                 BYTEA  NOT NULL,
    PRIMARY KEY (id, not_after)
) PARTITION BY RANGE (not_after);

-- Lists run from the newest id to the oldest; each index ends in the id, so that a page is one walk in each month.
CREATE INDEX certificates_by_authority ON certificates (authority, id);
CREATE INDEX certificates_by_profile ON certificates (profile, id);
CREATE INDEX certificates_by_owner ON certificates (owner, id);
CREATE INDEX certificates_by_key ON certificates (spki_sha256, id);
CREATE INDEX certificates_by_end ON certificates (not_after, id);
CREATE INDEX certificates_by_issuance ON certificates (issued_at, id);

-- What certificates are found by. A term is SHA-256 over one octet (0 for a subject alternative name or common name, 1 for the
-- whole subject as RFC 4514 text) and the text in lower case: of one size whatever the name's, and no name in clear.
CREATE TABLE certificate_names (
    term            BYTEA  NOT NULL CHECK (octet_length(term) = 32),
    certificate_id  UUID   NOT NULL,
    not_after       BIGINT NOT NULL,
    PRIMARY KEY (term, certificate_id, not_after)
) PARTITION BY RANGE (not_after);

-- Makes the tables of the month of an instant, unless they are there. A table is made apart and then attached, which, unlike
-- making it in its place, keeps nobody waiting who reads or writes other months. It runs with the rights of its owner: the
-- service needs none to make tables.
CREATE FUNCTION ensure_month(instant BIGINT) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    month_start CONSTANT TIMESTAMP := date_trunc('month', to_timestamp(instant / 1000.0) AT TIME ZONE 'UTC');
    suffix      CONSTANT TEXT      := to_char(month_start, 'YYYY_MM');
    lower_end   CONSTANT BIGINT    := extract(epoch FROM month_start) * 1000;
    upper_end   CONSTANT BIGINT    := extract(epoch FROM month_start + INTERVAL '1 month') * 1000;
    parent      TEXT;
    child       TEXT;
BEGIN
    -- One at a time; what another has made is seen after the wait.
    PERFORM pg_advisory_xact_lock(1128350529, 2);
    FOREACH parent IN ARRAY ARRAY['certificates', 'certificate_names'] LOOP
        child := parent || '_' || suffix;
        IF to_regclass(quote_ident(child)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, child, lower_end, upper_end);
        END IF;
    END LOOP;
END $$;

-- Numbers that rise by one in the transaction that uses them, and so without gaps and in the order of commits.
CREATE TABLE counters (
    name   TEXT   NOT NULL PRIMARY KEY COLLATE "C",
    value  BIGINT NOT NULL
) WITH (fillfactor = 10);

-- Tells our databases from those of other programs.
COMMENT ON TABLE counters IS 'record of a certificate authority';

INSERT INTO counters (name, value) VALUES ('revocations', 0);

-- Every change of a standing, in commit order.
CREATE TABLE revocations (
    sequence         BIGINT   NOT NULL PRIMARY KEY,
    not_after        BIGINT   NOT NULL,
    -- NULL when a hold was ended.
    reason           SMALLINT CHECK (reason BETWEEN 0 AND 10),
    revoked_at       BIGINT,
    invalidity_date  BIGINT,
    authority        TEXT     NOT NULL COLLATE "C",
    serial           BYTEA    NOT NULL,
    CHECK ((reason IS NULL) = (revoked_at IS NULL))
);

CREATE TRIGGER revocations_are_kept BEFORE DELETE OR TRUNCATE ON revocations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();

-- Public keys that are blocked for ever (keyCompromise).
CREATE TABLE blocked_keys (
    spki_sha256     BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(spki_sha256) = 32),
    certificate_id  UUID   NOT NULL,
    blocked_at      BIGINT NOT NULL
);

-- CRLs intended and published. The rows stay for ever: numbers and times never go back.
CREATE TABLE crls (
    number               BIGINT  NOT NULL CHECK (number >= 0),
    this_update          BIGINT  NOT NULL,
    next_update          BIGINT  NOT NULL,
    entries              BIGINT  NOT NULL CHECK (entries >= 0),
    revocation_sequence  BIGINT  NOT NULL CHECK (revocation_sequence >= 0),
    published            BOOLEAN NOT NULL DEFAULT FALSE,
    authority            TEXT    NOT NULL COLLATE "C",
    to_be_signed_sha256  BYTEA   NOT NULL CHECK (octet_length(to_be_signed_sha256) = 32),
    PRIMARY KEY (authority, number)
);

-- The newest published list of each authority.
CREATE TABLE published_crls (
    authority  TEXT   NOT NULL PRIMARY KEY COLLATE "C",
    number     BIGINT NOT NULL,
    der        BYTEA  NOT NULL,
    FOREIGN KEY (authority, number) REFERENCES crls (authority, number)
);

-- A signed list does not shrink when it is compressed.
ALTER TABLE published_crls ALTER COLUMN der SET STORAGE EXTERNAL;

-- Private keys, sealed.
CREATE TABLE sealed_keys (
    -- Lower-case hexadecimal SHA-256 of the SubjectPublicKeyInfo.
    id          TEXT   NOT NULL PRIMARY KEY COLLATE "C",
    -- Which data key opens it: authorities or responders.
    room        TEXT   NOT NULL COLLATE "C" CHECK (room IN ('authorities', 'responders')),
    key_type    TEXT   NOT NULL,
    spki        BYTEA  NOT NULL,
    sealed      BYTEA  NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE INDEX sealed_keys_by_room ON sealed_keys (room, created_at, id);

CREATE TABLE authorities (
    id               TEXT  NOT NULL PRIMARY KEY COLLATE "C",
    certificate_id   UUID  NOT NULL,
    certificate_der  BYTEA NOT NULL,
    parent           TEXT  COLLATE "C",
    -- sealed: in sealed_keys under key_id; file: in an encrypted file outside the database.
    key_home         TEXT  NOT NULL CHECK (key_home IN ('sealed', 'file')),
    key_id           TEXT,
    state            TEXT  NOT NULL CHECK (state IN ('active', 'retiring', 'retired')),
    CHECK ((key_home = 'sealed') = (key_id IS NOT NULL))
);

CREATE TABLE responders (
    certificate_id   UUID   NOT NULL PRIMARY KEY,
    authority        TEXT   NOT NULL COLLATE "C",
    certificate_der  BYTEA  NOT NULL,
    key_id           TEXT   NOT NULL,
    not_before       BIGINT NOT NULL,
    not_after        BIGINT NOT NULL
);

CREATE INDEX responders_by_end ON responders (not_after);

-- Values of the service as a whole.
CREATE TABLE settings (
    name   TEXT  NOT NULL PRIMARY KEY COLLATE "C",
    value  BYTEA NOT NULL
);

CREATE TABLE idempotency_keys (
    -- SHA-256 over principal, route and key; over the request.
    scope_sha256    BYTEA  NOT NULL PRIMARY KEY CHECK (octet_length(scope_sha256) = 32),
    request_sha256  BYTEA  NOT NULL CHECK (octet_length(request_sha256) = 32),
    certificate_id  UUID   NOT NULL,
    expires_at      BIGINT NOT NULL
);

CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);

CREATE TABLE enrolment_tokens (
    id             UUID    NOT NULL PRIMARY KEY,
    secret_sha256  BYTEA   NOT NULL CHECK (octet_length(secret_sha256) = 32),
    -- What it may ask for: a profile, names (DER of GeneralNames; empty when there are none), a common name.
    profile        TEXT    NOT NULL,
    names          BYTEA   NOT NULL,
    common_name    TEXT,
    uses           BIGINT  NOT NULL CHECK (uses >= 1),
    used           BIGINT  NOT NULL CHECK (used BETWEEN 0 AND uses),
    expires_at     BIGINT  NOT NULL,
    created_at     BIGINT  NOT NULL,
    created_by     TEXT    NOT NULL,
    withdrawn      BOOLEAN NOT NULL
);

-- Roles belong to certificates, never to names.
CREATE TABLE roles (
    certificate_id  UUID   NOT NULL,
    role            TEXT   NOT NULL COLLATE "C",
    granted_at      BIGINT NOT NULL,
    PRIMARY KEY (certificate_id, role)
);

-- A row stays when its lease is given back, so that its token never falls.
CREATE TABLE leases (
    name        TEXT   NOT NULL PRIMARY KEY COLLATE "C",
    holder      TEXT   NOT NULL,
    token       BIGINT NOT NULL CHECK (token >= 1),
    expires_at  BIGINT NOT NULL
) WITH (fillfactor = 10);

-- Messages to be delivered after the commit. Their ids rise, but commits come in another order: what is delivered is deleted,
-- never skipped by a remembered id.
CREATE TABLE outbox (
    id              BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    certificate_id  UUID,
    created_at      BIGINT NOT NULL,
    topic           TEXT   NOT NULL,
    payload         TEXT   NOT NULL
);

-- Events, committed with the change they tell of; a place in the chain is given to each within a second. Ids rise, but
-- commits come in another order: the sequencer asks for what has no place, never for what comes after an id.
CREATE TABLE audit_events (
    id         BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    sequence   BIGINT CHECK (sequence >= 1),
    -- The octets that are hashed; the three columns after it repeat parts of them to be searched.
    canonical  BYTEA  NOT NULL,
    action     TEXT   NOT NULL COLLATE "C",
    principal  TEXT   NOT NULL COLLATE "C",
    subject    TEXT   NOT NULL COLLATE "C",
    hash       BYTEA  CHECK (octet_length(hash) = 32),
    CHECK ((sequence IS NULL) = (hash IS NULL))
);

CREATE INDEX audit_events_pending ON audit_events (id) WHERE sequence IS NULL;
CREATE UNIQUE INDEX audit_events_chain ON audit_events (sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_events_by_action ON audit_events (action, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_events_by_principal ON audit_events (principal, sequence) WHERE sequence IS NOT NULL;
CREATE INDEX audit_events_by_subject ON audit_events (subject, sequence) WHERE sequence IS NOT NULL;

CREATE TRIGGER audit_events_are_kept BEFORE DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();

-- The one change an event may see is that it gets its place.
CREATE TRIGGER audit_events_stay BEFORE UPDATE ON audit_events FOR EACH ROW
    WHEN (OLD.sequence IS NOT NULL OR NEW.id <> OLD.id OR NEW.canonical <> OLD.canonical OR NEW.action <> OLD.action
        OR NEW.principal <> OLD.principal OR NEW.subject <> OLD.subject)
    EXECUTE FUNCTION refuse_change();
