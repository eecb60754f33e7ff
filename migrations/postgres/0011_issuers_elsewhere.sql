-- Authorities whose certificates are made elsewhere, by who holds their keys and chooses serials.
--
-- acm-pca: by AWS Private CA; key_id is the ARN of the certificate authority.

ALTER TABLE authorities
    DROP CONSTRAINT authorities_key_home_check,
    ADD CONSTRAINT authorities_key_home_check CHECK (key_home IN ('sealed', 'file', 'kms', 'pkcs11', 'acm-pca'));

-- What an issuer elsewhere was asked for, beside its reservation; on record before it is asked. A row is dropped when the
-- reservation has ended.
CREATE TABLE upstream_issuances (
    certificate_id  UUID     NOT NULL PRIMARY KEY,
    asked_at        BIGINT   NOT NULL,
    -- Whether the roles of the predecessor are to pass on.
    inherit_roles   BOOLEAN  NOT NULL,
    -- DER of the CSR; NULL where it may be personal data.
    csr             BYTEA,
    request_id      TEXT,
    -- By what name the issuer hands the certificate out, once it has said so.
    name            TEXT
);
