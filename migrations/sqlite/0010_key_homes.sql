-- Keys of authorities that are held elsewhere. SQLite changes no CHECK in place.

CREATE TABLE authorities_with_key_homes (
    id               TEXT NOT NULL PRIMARY KEY,
    certificate_id   BLOB NOT NULL CHECK (length(certificate_id) = 16),
    certificate_der  BLOB NOT NULL,
    parent           TEXT,
    -- sealed: in sealed_keys under key_id; file: in an encrypted file outside the database; kms: in AWS KMS, key_id is the ARN;
    -- pkcs11: in a token, key_id is the URI (RFC 7512), without a PIN.
    key_home         TEXT NOT NULL CHECK (key_home IN ('sealed', 'file', 'kms', 'pkcs11')),
    key_id           TEXT,
    state            TEXT NOT NULL CHECK (state IN ('active', 'retiring', 'retired')),
    CHECK ((key_home = 'file') = (key_id IS NULL))
) STRICT;

INSERT INTO authorities_with_key_homes SELECT * FROM authorities;
DROP TABLE authorities;
ALTER TABLE authorities_with_key_homes RENAME TO authorities;
