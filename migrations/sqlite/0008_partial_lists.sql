-- Lists that cover a part of what an authority has revoked: shards and the delta. Intended as in `crls`, and apart from it: the
-- version before this one takes every row there for a complete list.
CREATE TABLE partial_crls (
    authority               TEXT    NOT NULL,
    -- 0 the delta, otherwise the number of the shard.
    scope                   INTEGER NOT NULL CHECK (scope BETWEEN 0 AND 16383),
    number                  INTEGER NOT NULL CHECK (number >= 0),
    -- The number of the complete list that a delta starts from.
    base_number             INTEGER CHECK (base_number < number),
    this_update             INTEGER NOT NULL,
    next_update             INTEGER NOT NULL,
    entries                 INTEGER NOT NULL CHECK (entries >= 0),
    revocation_sequence     INTEGER NOT NULL CHECK (revocation_sequence >= 0),
    to_be_signed_sha256     BLOB    NOT NULL CHECK (length(to_be_signed_sha256) = 32),
    PRIMARY KEY (authority, scope, number),
    CHECK ((scope = 0) = (base_number IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The newest published list of each scope. A restoration takes them away, since newer ones are out.
CREATE TABLE published_partial_crls (
    authority  TEXT    NOT NULL,
    scope      INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    der        BLOB    NOT NULL,
    PRIMARY KEY (authority, scope),
    FOREIGN KEY (authority, scope, number) REFERENCES partial_crls (authority, scope, number)
) STRICT;
