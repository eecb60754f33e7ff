-- No two managed certificates have one target, and each has one: whoever brings them there, the kind, the place, and the region where
-- there is one. A definition that names no kind has none.
ALTER TABLE managed_certificates ADD COLUMN target TEXT GENERATED ALWAYS AS (
    coalesce(json_extract(definition, '$.delivered_by'), 'service') || char(10) || json_extract(definition, '$.target.kind') || char(10)
    || coalesce(json_extract(definition, '$.target.path'), json_extract(definition, '$.target.secret'), '') || char(10)
    || coalesce(json_extract(definition, '$.target.region'), '')
) VIRTUAL;

CREATE UNIQUE INDEX managed_certificates_target ON managed_certificates (target);
