-- Certificates that were removed after their retention: their rows in `certificates` and `certificate_names` are gone, and their
-- serials stay. When; NULL while the certificate is on record, and for what never became one.
ALTER TABLE serials ADD COLUMN removed_at INTEGER;

CREATE INDEX serials_removed ON serials (certificate_id) WHERE removed_at IS NOT NULL;
