-- Of which ends it was told, and how long before: once for each length of time. Rows go when the end has come.
CREATE TABLE expiry_notices (
    certificate_id  BLOB    NOT NULL PRIMARY KEY CHECK (length(certificate_id) = 16),
    not_after       INTEGER NOT NULL,
    -- How many seconds before the end the last notice was due: the next one is due nearer to it.
    seconds_before  INTEGER NOT NULL CHECK (seconds_before >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX expiry_notices_by_end ON expiry_notices (not_after);

-- Whether a certificate is a managed one's.
CREATE INDEX managed_certificates_by_certificate ON managed_certificates (certificate_id) WHERE certificate_id IS NOT NULL;
