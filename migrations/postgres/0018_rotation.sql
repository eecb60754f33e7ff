-- What the course of a managed certificate lacked: who delivers it, what was asked for and told, what is to be seen served, and when the
-- service has something to do for it.

-- 0 the service, 1 a worker
ALTER TABLE managed_certificates ADD COLUMN deliverer BIGINT NOT NULL DEFAULT 0 CHECK (deliverer IN (0, 1));
-- Whether somebody asked for a rotation though none is due.
ALTER TABLE managed_certificates ADD COLUMN asked BIGINT NOT NULL DEFAULT 0 CHECK (asked IN (0, 1));
-- How urgent it was when its owner was told of a failure: notice, warning, critical, expired
ALTER TABLE managed_certificates ADD COLUMN told TEXT;
ALTER TABLE managed_certificates ADD COLUMN probe_until BIGINT;
-- When the service has something to do for it; of one that it delivers, next_at.
ALTER TABLE managed_certificates ADD COLUMN service_at BIGINT;

UPDATE managed_certificates SET service_at = next_at;

DROP INDEX managed_certificates_due;
CREATE INDEX managed_certificates_due ON managed_certificates (service_at, id) WHERE state = 0;
CREATE INDEX managed_certificates_due_to_workers ON managed_certificates (next_at, id) WHERE state = 0 AND deliverer = 1;
