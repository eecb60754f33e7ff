-- Authorities whose certificates are made elsewhere, by who holds their keys and chooses serials. SQLite changes no CHECK in place.

CREATE TABLE authorities_with_issuers (
    id               TEXT NOT NULL PRIMARY KEY,
    certificate_id   BLOB NOT NULL CHECK (length(certificate_id) = 16),
    certificate_der  BLOB NOT NULL,
    parent           TEXT,
    -- sealed: in sealed_keys under key_id; file: in an encrypted file outside the database; kms: in AWS KMS, key_id is the ARN;
    -- pkcs11: in a token, key_id is the URI (RFC 7512), without a PIN; acm-pca: with AWS Private CA, which issues by itself, key_id is
    -- the ARN of the certificate authority.
    key_home         TEXT NOT NULL CHECK (key_home IN ('sealed', 'file', 'kms', 'pkcs11', 'acm-pca')),
    key_id           TEXT,
    state            TEXT NOT NULL CHECK (state IN ('active', 'retiring', 'retired')),
    CHECK ((key_home = 'file') = (key_id IS NULL))
) STRICT;

INSERT INTO authorities_with_issuers SELECT * FROM authorities;
DROP TABLE authorities;
ALTER TABLE authorities_with_issuers RENAME TO authorities;

-- What an issuer elsewhere was asked for, beside its reservation; on record before it is asked. A row is dropped when the
-- reservation has ended.
CREATE TABLE upstream_issuances (
    certificate_id  BLOB    NOT NULL PRIMARY KEY CHECK (length(certificate_id) = 16),
    asked_at        INTEGER NOT NULL,
    -- Whether the roles of the predecessor are to pass on.
    inherit_roles   INTEGER NOT NULL CHECK (inherit_roles IN (0, 1)),
    -- DER of the CSR; NULL where it may be personal data.
    csr             BLOB,
    request_id      TEXT,
    -- By what name the issuer hands the certificate out, once it has said so.
    name            TEXT
) STRICT, WITHOUT ROWID;
