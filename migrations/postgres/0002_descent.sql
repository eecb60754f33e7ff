-- Who descends from a certificate by renewal: asked when its key was compromised.
CREATE INDEX serials_by_predecessor ON serials (renews, certificate_id) WHERE renews IS NOT NULL;
