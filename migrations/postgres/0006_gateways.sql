-- Gateways, and what each said last of what it enforces. The id is a name in its certificate.
CREATE TABLE gateways (
    id              TEXT     NOT NULL COLLATE "C" PRIMARY KEY,
    -- Whose holder spoke for it last.
    certificate_id  UUID     NOT NULL,
    registered_at   BIGINT   NOT NULL,
    stated_at       BIGINT   NOT NULL,
    generation      TEXT     NOT NULL,
    -- JSON: [[authority, number, SHA-256 in hexadecimal], …]
    lists           TEXT     NOT NULL
);
