-- No two managed certificates have one target, and each has one: whoever brings them there, the kind, the place, and the region where
-- there is one. A definition that names no kind has none.
ALTER TABLE managed_certificates ADD COLUMN target TEXT COLLATE "C" GENERATED ALWAYS AS (
    coalesce(definition::jsonb #>> '{delivered_by}', 'service') || chr(10) || (definition::jsonb #>> '{target,kind}') || chr(10)
    || coalesce(definition::jsonb #>> '{target,path}', definition::jsonb #>> '{target,secret}', '') || chr(10)
    || coalesce(definition::jsonb #>> '{target,region}', '')
) STORED;

CREATE UNIQUE INDEX managed_certificates_target ON managed_certificates (target);
