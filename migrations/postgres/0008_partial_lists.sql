-- Lists that cover a part of what an authority has revoked: shards and the delta. Intended as in `crls`, and apart from it: the
-- version before this one takes every row there for a complete list.
CREATE TABLE partial_crls (
    number               BIGINT  NOT NULL CHECK (number >= 0),
    -- The number of the complete list that a delta starts from.
    base_number          BIGINT  CHECK (base_number < number),
    this_update          BIGINT  NOT NULL,
    next_update          BIGINT  NOT NULL,
    entries              BIGINT  NOT NULL CHECK (entries >= 0),
    revocation_sequence  BIGINT  NOT NULL CHECK (revocation_sequence >= 0),
    -- 0 the delta, otherwise the number of the shard.
    scope                INTEGER NOT NULL CHECK (scope BETWEEN 0 AND 16383),
    authority            TEXT    NOT NULL COLLATE "C",
    to_be_signed_sha256  BYTEA   NOT NULL CHECK (octet_length(to_be_signed_sha256) = 32),
    PRIMARY KEY (authority, scope, number),
    CHECK ((scope = 0) = (base_number IS NOT NULL))
);

-- The newest published list of each scope. A restoration takes them away, since newer ones are out.
CREATE TABLE published_partial_crls (
    authority  TEXT    NOT NULL COLLATE "C",
    scope      INTEGER NOT NULL,
    number     BIGINT  NOT NULL,
    der        BYTEA   NOT NULL,
    PRIMARY KEY (authority, scope),
    FOREIGN KEY (authority, scope, number) REFERENCES partial_crls (authority, scope, number)
);

-- A signed list does not shrink when it is compressed.
ALTER TABLE published_partial_crls ALTER COLUMN der SET STORAGE EXTERNAL;
