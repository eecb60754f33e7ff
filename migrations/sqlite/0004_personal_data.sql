-- Personal data is kept encrypted: `subject`, `names`, `der` and `to_be_signed` of certificates and reservations whose profile says
-- so, `names` and `common_name` of tokens for them. An encrypted value begins with the octet 0xED and the version of its key (4
-- octets); one in clear begins with 0x30, as all DER here does, or is empty. `certificate_names.value` of such a certificate is
-- `keyed:` and the hexadecimal HMAC of the name under the same version.

-- The versions of the key, each sealed. New values take the newest; an older one goes when no row has it.
CREATE TABLE personal_data_keys (
    version     INTEGER NOT NULL PRIMARY KEY CHECK (version >= 1),
    sealed      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- Which rows hold encrypted values, and the oldest version among theirs: a key that is referred to cannot be dropped.
CREATE TABLE personal_data (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- 0 a certificate or its reservation, 1 an enrolment token.
    kind         INTEGER NOT NULL CHECK (kind IN (0, 1)),
    key_version  INTEGER NOT NULL REFERENCES personal_data_keys (version),
    -- What the audit event of the certificate commits to, encrypted; NULL when there is none, or when it was erased.
    audit_text   BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX personal_data_by_key ON personal_data (key_version, kind, id);
