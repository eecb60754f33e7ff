-- Retention: a month of certificates is replaced by a table that holds only what must stay of it, or by none.
--
-- All of it is one transaction of the service's: set_month_apart(), removed_fingerprints(), drop_month(), the audit event, COMMIT. While
-- the first two run, which takes as long as reading the month does, others read it and wait only to write into this month; the third
-- keeps everybody away from all certificates, for milliseconds, and gives up rather than wait. Whatever ends the transaction before its
-- commit leaves everything as it was.
--
-- The functions that change something run with the rights of their owner, as ensure_month() does, and nobody may call them who was not
-- given the right to (README.md). They refuse a month that ended less than 30 days ago, whoever asks.

-- The ids of a month's certificates that stay whatever their age, and the first reason of each, by the number that the service gives it:
-- 0 an authority's, 1 a responder's, 2 has a role, 3 is being renewed, 4 a message about it is on its way, 5 an event about it has no
-- place in the chain yet. What refers to certificates is little, and each is led to its month by `serials`.
CREATE FUNCTION month_references(lower_end BIGINT, upper_end BIGINT) RETURNS TABLE (id UUID, reason SMALLINT)
    LANGUAGE sql STABLE SET search_path FROM CURRENT SET enable_seqscan = on AS $$
    SELECT s.certificate_id, MIN(r.reason)::smallint
    FROM (
        SELECT a.certificate_id, 0 FROM authorities AS a
        UNION ALL SELECT p.certificate_id, 1 FROM responders AS p
        UNION ALL SELECT o.certificate_id, 2 FROM roles AS o
        UNION ALL SELECT v.renews, 3 FROM reservations AS v WHERE v.abandoned_at IS NULL AND v.renews IS NOT NULL
        UNION ALL SELECT m.certificate_id, 4 FROM outbox AS m WHERE m.certificate_id IS NOT NULL
        UNION ALL SELECT d.certificate_id, 4 FROM deliveries AS d WHERE d.certificate_id IS NOT NULL
        UNION ALL SELECT CASE WHEN e.subject ~ '^certificate:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN substr(e.subject, 13)::uuid END, 5
            FROM audit_events AS e WHERE e.sequence IS NULL
    ) AS r (certificate_id, reason)
        -- One by one, by the index of ids: a join may read all serials there are.
        CROSS JOIN LATERAL (SELECT t.certificate_id, t.not_after FROM serials AS t WHERE t.certificate_id = r.certificate_id LIMIT 1) AS s
    WHERE s.not_after >= lower_end AND s.not_after < upper_end
    GROUP BY s.certificate_id
$$;

-- Whether so much waits to be delivered or chained that looking through it takes longer than others should be kept away for.
CREATE FUNCTION much_is_on_its_way() RETURNS BOOLEAN LANGUAGE sql STABLE SET search_path FROM CURRENT SET enable_seqscan = on AS $$
    SELECT COUNT(*) > 20000 FROM (
        (SELECT FROM outbox LIMIT 20001) UNION ALL (SELECT FROM deliveries LIMIT 20001)
        UNION ALL (SELECT FROM audit_events WHERE sequence IS NULL LIMIT 20001)
    ) AS waiting
$$;

-- The months that have tables, as `2027-03`.
CREATE FUNCTION certificate_months() RETURNS TABLE (month TEXT) LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT replace(right(c.relname::text, 7), '_', '-') FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE i.inhparent = to_regclass('certificates') ORDER BY 1
$$;

-- How many certificates of a month have the same profile and the same reason to stay (NULL: none but their profile).
CREATE FUNCTION review_month(lower_end BIGINT, upper_end BIGINT)
    RETURNS TABLE (profile TEXT, reason SMALLINT, certificates BIGINT)
    LANGUAGE sql STABLE SET search_path FROM CURRENT SET enable_seqscan = on SET enable_hashjoin = on AS $$
    SELECT c.profile, r.reason, COUNT(*)
    FROM certificates AS c LEFT JOIN month_references(lower_end, upper_end) AS r ON r.id = c.id
    WHERE c.not_after >= lower_end AND c.not_after < upper_end
    GROUP BY c.profile, r.reason
$$;

-- Refuses a month, given by its two ends, that is none, or that ended less than 30 days ago.
CREATE FUNCTION require_old_month(lower_end BIGINT, upper_end BIGINT) RETURNS TEXT LANGUAGE plpgsql STABLE
    SET search_path FROM CURRENT AS $$
DECLARE
    month_start CONSTANT TIMESTAMP := date_trunc('month', to_timestamp(lower_end / 1000.0) AT TIME ZONE 'UTC');
BEGIN
    IF extract(epoch FROM month_start) * 1000 <> lower_end
        OR extract(epoch FROM month_start + INTERVAL '1 month') * 1000 <> upper_end THEN
        RAISE EXCEPTION 'from % to % is no month', lower_end, upper_end USING ERRCODE = 'restrict_violation';
    END IF;
    IF upper_end > extract(epoch FROM clock_timestamp() - INTERVAL '30 days') * 1000 THEN
        RAISE EXCEPTION 'the month from % ended less than 30 days ago', month_start USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN to_char(month_start, 'YYYY_MM');
END $$;

-- Makes the tables of what stays of a month beside those that are there, keeps writers away from the month until the transaction ends,
-- and removes what is kept elsewhere of what goes. Answers `nothing` when none goes and the month is not empty, `in use` when an issuance
-- that ends in the month is under way, or much is on its way; else `set apart`, how many certificates go, and how many stay.
CREATE FUNCTION set_month_apart(lower_end BIGINT, upper_end BIGINT, removable TEXT[],
    OUT outcome TEXT, OUT removed BIGINT, OUT kept BIGINT)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET enable_bitmapscan = on AS $$
DECLARE
    suffix        CONSTANT TEXT := require_old_month(lower_end, upper_end);
    certs         CONSTANT TEXT := 'certificates_' || suffix;
    names         CONSTANT TEXT := 'certificate_names_' || suffix;
    kept_certs    CONSTANT TEXT := certs || '_kept';
    kept_names    CONSTANT TEXT := names || '_kept';
    something_goes BOOLEAN;
    parent        TEXT;
BEGIN
    outcome := 'nothing';
    removed := 0;
    kept := 0;
    IF to_regclass(quote_ident(certs)) IS NULL THEN
        RETURN;
    END IF;
    IF much_is_on_its_way() THEN
        outcome := 'in use';
        RETURN;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I AS c WHERE c.profile = ANY ($1)
            AND c.id NOT IN (SELECT r.id FROM month_references($2, $3) AS r))', certs)
        INTO something_goes USING removable, lower_end, upper_end;
    IF NOT something_goes THEN
        -- One that is empty needs no tables.
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I)', certs) INTO something_goes;
        IF NOT something_goes THEN
            RETURN;
        END IF;
    END IF;
    BEGIN
        EXECUTE format('LOCK TABLE ONLY %I, ONLY %I IN SHARE ROW EXCLUSIVE MODE', certs, names);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        outcome := 'in use';
        RETURN;
    END;
    IF EXISTS (SELECT FROM reservations AS v
            WHERE v.abandoned_at IS NULL AND v.not_after >= lower_end AND v.not_after < upper_end) THEN
        outcome := 'in use';
        RETURN;
    END IF;
    FOREACH parent IN ARRAY ARRAY['certificates', 'certificate_names'] LOOP
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING INDEXES)',
            parent || '_' || suffix || '_kept', parent);
        -- Says beforehand what attaching it would otherwise read all of it for.
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT in_month CHECK (not_after >= %s AND not_after < %s)',
            parent || '_' || suffix || '_kept', lower_end, upper_end);
    END LOOP;
    EXECUTE format('INSERT INTO %I SELECT c.* FROM %I AS c WHERE c.profile <> ALL ($1)
            OR c.id IN (SELECT r.id FROM month_references($2, $3) AS r)', kept_certs, certs)
        USING removable, lower_end, upper_end;
    GET DIAGNOSTICS kept = ROW_COUNT;
    EXECUTE format('INSERT INTO %I SELECT n.* FROM %I AS n WHERE n.certificate_id IN (SELECT k.id FROM %I AS k)',
        kept_names, names, kept_certs);
    EXECUTE format('SELECT COUNT(*) FROM %I', certs) INTO removed;
    removed := removed - kept;
    EXECUTE format('DELETE FROM personal_data AS p USING %I AS c
            WHERE p.id = c.id AND p.kind = 0 AND NOT EXISTS (SELECT FROM %I AS k WHERE k.id = c.id)', certs, kept_certs);
    outcome := 'set apart';
END $$;

-- SHA-256 of each certificate of the month that goes, in order; after set_month_apart() in the same transaction.
CREATE FUNCTION removed_fingerprints(lower_end BIGINT, upper_end BIGINT) RETURNS SETOF BYTEA
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on AS $$
DECLARE
    certs CONSTANT TEXT := 'certificates_' || require_old_month(lower_end, upper_end);
BEGIN
    RETURN QUERY EXECUTE format('SELECT c.fingerprint_sha256 FROM %I AS c
            WHERE NOT EXISTS (SELECT FROM %I AS k WHERE k.id = c.id) ORDER BY c.fingerprint_sha256', certs, certs || '_kept');
END $$;

-- Puts what stays of a month in the place of the month; after set_month_apart() in the same transaction. Answers `done`; `fenced` when
-- the lease has another token by now; `in use` when others did not let go of the tables in time, or much is on its way; `changed` when something refers to a
-- certificate that would go, or is about to come into the month, since it was set apart. Unless it is done the transaction is to be taken
-- back, or, `in use`, the same asked again.
CREATE FUNCTION drop_month(lower_end BIGINT, upper_end BIGINT, lease TEXT, lease_token BIGINT) RETURNS TEXT
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    -- As long as those wait who come after it: readers and issuance too.
    SET lock_timeout = '200ms' SET enable_seqscan = on SET enable_hashjoin = on AS $$
DECLARE
    suffix      CONSTANT TEXT := require_old_month(lower_end, upper_end);
    certs       CONSTANT TEXT := 'certificates_' || suffix;
    kept_certs  CONSTANT TEXT := certs || '_kept';
    is_stale    BOOLEAN;
    is_empty    BOOLEAN;
    parent      TEXT;
    child       TEXT;
BEGIN
    IF much_is_on_its_way() THEN
        RETURN 'in use';
    END IF;
    -- The locks of what fails in here are given back at once.
    BEGIN
        PERFORM FROM leases AS l WHERE l.name = lease AND l.token = lease_token FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN 'fenced';
        END IF;
        -- Who makes the tables of a month waits, and finds what is there afterwards.
        PERFORM pg_advisory_xact_lock(1128350529, 2);
        LOCK TABLE ONLY certificates, ONLY certificate_names IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT EXISTS (SELECT FROM month_references($1, $2) AS r JOIN %I AS c ON c.id = r.id
                    WHERE NOT EXISTS (SELECT FROM %I AS k WHERE k.id = c.id))
                OR EXISTS (SELECT FROM reservations AS v
                    WHERE v.abandoned_at IS NULL AND v.not_after >= $1 AND v.not_after < $2)', certs, kept_certs)
            INTO is_stale USING lower_end, upper_end;
        IF is_stale THEN
            RETURN 'changed';
        END IF;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I)', kept_certs) INTO is_empty;
        FOREACH parent IN ARRAY ARRAY['certificate_names', 'certificates'] LOOP
            child := parent || '_' || suffix;
            EXECUTE format('DROP TABLE %I', child);
            IF is_empty THEN
                EXECUTE format('DROP TABLE %I', child || '_kept');
            ELSE
                EXECUTE format('ALTER TABLE %I RENAME TO %I', child || '_kept', child);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, child, lower_end, upper_end);
                EXECUTE format('ALTER TABLE %I DROP CONSTRAINT in_month', child);
            END IF;
        END LOOP;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        RETURN 'in use';
    END;
    RETURN 'done';
END $$;

REVOKE EXECUTE ON FUNCTION set_month_apart(BIGINT, BIGINT, TEXT[]), removed_fingerprints(BIGINT, BIGINT),
    drop_month(BIGINT, BIGINT, TEXT, BIGINT) FROM PUBLIC;
