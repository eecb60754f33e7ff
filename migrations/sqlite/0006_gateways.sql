-- Gateways, and what each said last of what it enforces. The id is a name in its certificate.
CREATE TABLE gateways (
    id              TEXT    NOT NULL PRIMARY KEY,
    -- Whose holder spoke for it last.
    certificate_id  BLOB    NOT NULL CHECK (length(certificate_id) = 16),
    registered_at   INTEGER NOT NULL,
    stated_at       INTEGER NOT NULL,
    generation      TEXT    NOT NULL,
    -- JSON: [[authority, number, SHA-256 in hexadecimal], …]
    lists           TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
