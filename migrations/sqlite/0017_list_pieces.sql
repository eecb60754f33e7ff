-- Published lists above 1 MiB, in pieces of it: SQLite takes and gives a value whole, and a list may have hundreds of megabytes. A
-- shorter list lies in the column `der` of its own table, which is empty where there are pieces; one that was put there by the
-- version before this one stays there until the next list takes its place.
CREATE TABLE published_list_pieces (
    authority  TEXT    NOT NULL,
    -- -1 the complete list, otherwise as in `published_partial_crls`.
    scope      INTEGER NOT NULL CHECK (scope BETWEEN -1 AND 16383),
    -- From 0.
    place      INTEGER NOT NULL CHECK (place >= 0),
    octets     BLOB    NOT NULL,
    PRIMARY KEY (authority, scope, place)
) STRICT;
