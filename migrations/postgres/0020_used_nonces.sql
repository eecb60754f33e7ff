-- Nonces of renewals after the end of a certificate that were used: remembered until they are good for nothing any more.
CREATE TABLE used_nonces (
    nonce_sha256  BYTEA   NOT NULL PRIMARY KEY CHECK (octet_length(nonce_sha256) = 32),
    expires_at    BIGINT  NOT NULL
);

CREATE INDEX used_nonces_by_end ON used_nonces (expires_at);
