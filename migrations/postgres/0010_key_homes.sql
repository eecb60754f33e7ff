-- Keys of authorities that are held elsewhere.
--
-- kms: in AWS KMS; key_id is the ARN. pkcs11: in a token; key_id is the URI (RFC 7512), without a PIN.

ALTER TABLE authorities
    DROP CONSTRAINT authorities_key_home_check,
    DROP CONSTRAINT authorities_check,
    ADD CONSTRAINT authorities_key_home_check CHECK (key_home IN ('sealed', 'file', 'kms', 'pkcs11')),
    ADD CONSTRAINT authorities_check CHECK ((key_home = 'file') = (key_id IS NULL));
