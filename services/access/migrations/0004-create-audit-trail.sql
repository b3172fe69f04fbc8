-- Who did what. Rows are only added; whole months are dropped when they are old. The gateway's role may insert and read
-- (openhermit.postgres, `appendOnly`), and nothing else: the tables belong to the role that migrates.
CREATE SEQUENCE access.audit_positions;

CREATE TABLE access.audit_records (
  position bigint NOT NULL DEFAULT nextval('access.audit_positions'),
  -- The transaction that stored the row: a tail reads only below the oldest one that still runs.
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  id uuid NOT NULL,
  -- On the clock of this server, in milliseconds.
  time timestamptz NOT NULL,
  -- openhermit.access.v1.SubjectKind
  actor_kind smallint NOT NULL,
  actor_id text COLLATE "C" NOT NULL,
  -- Whose rights were used; 0 when the actor's own.
  behalf_kind smallint NOT NULL,
  behalf_id text COLLATE "C" NOT NULL,
  accessor text COLLATE "C" NOT NULL,
  action text COLLATE "C" NOT NULL,
  target_type text COLLATE "C" NOT NULL,
  target_id text COLLATE "C" NOT NULL,
  -- openhermit.access.v1.AuditOutcome
  outcome smallint NOT NULL,
  reason text COLLATE "C" NOT NULL,
  -- [{"path", "before", "after"}]
  changes jsonb NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  address text COLLATE "C" NOT NULL,
  -- How many alike attempts the row stands for.
  count bigint NOT NULL,
  PRIMARY KEY (tx, position, time)
) PARTITION BY RANGE (time);

CREATE INDEX audit_records_time ON access.audit_records (time, position);
CREATE INDEX audit_records_actor ON access.audit_records (actor_kind, actor_id, time, position);
CREATE INDEX audit_records_target ON access.audit_records (target_id, target_type, time, position) WHERE target_id <> '';

-- Up to which position the rows came from a backup of another server, whose transactions say nothing here.
CREATE TABLE access.audit_restores (
  position bigint PRIMARY KEY,
  time timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION access.refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

-- For every role, the owner too; ALWAYS: also where triggers are off (session_replication_role).
CREATE TRIGGER refuse_row_change BEFORE UPDATE OR DELETE ON access.audit_records
  FOR EACH ROW EXECUTE FUNCTION access.refuse_audit_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON access.audit_records
  FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_audit_change();
ALTER TABLE access.audit_records ENABLE ALWAYS TRIGGER refuse_row_change;
ALTER TABLE access.audit_records ENABLE ALWAYS TRIGGER refuse_truncate;

-- Makes room from last month (for what happened while the database was away) to the month of `until`, and returns how many
-- months it made. Runs with the rights of the tables' owner, so it believes nothing: names are made from dates, and the
-- search path is fixed.
CREATE FUNCTION access.create_audit_partitions(until timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
  month timestamptz := date_trunc('month', now()) - interval '1 month';
  partition text;
  made int := 0;
BEGIN
  IF until > now() + interval '1 year' THEN
    RAISE EXCEPTION 'audit partitions are made at most a year ahead' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('openhermit.access.audit_partitions', 0));
  WHILE month <= until LOOP
    partition := 'audit_records_' || to_char(month, 'YYYY_MM');
    IF to_regclass('access.' || partition) IS NULL THEN
      EXECUTE format(
        'CREATE TABLE access.%I PARTITION OF access.audit_records FOR VALUES FROM (%L) TO (%L)',
        partition, month, month + interval '1 month');
      EXECUTE format(
        'CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON access.%I
           FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_audit_change()', partition);
      EXECUTE format('ALTER TABLE access.%I ENABLE ALWAYS TRIGGER refuse_row_change', partition);
      EXECUTE format('ALTER TABLE access.%I ENABLE ALWAYS TRIGGER refuse_truncate', partition);
      made := made + 1;
    END IF;
    month := month + interval '1 month';
  END LOOP;
  RETURN made;
END $$;

-- Drops the months that ended before a time, and returns their tables' names. Refuses to touch what is younger than 31 days:
-- who gets hold of the gateway's role can't wipe what it has just done.
CREATE FUNCTION access.drop_audit_partitions(before timestamptz) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
  partition text;
  dropped text[] := '{}';
BEGIN
  IF before IS NULL OR before > now() - interval '31 days' THEN
    RAISE EXCEPTION 'audit records younger than 31 days are kept' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('openhermit.access.audit_partitions', 0));
  FOR partition IN
    SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'access.audit_records'::regclass
      AND c.relnamespace = 'access'::regnamespace AND c.relname ~ '^audit_records_[0-9]{4}_[0-9]{2}$'
      AND make_timestamptz(substr(c.relname, 15, 4)::int, substr(c.relname, 20, 2)::int, 1, 0, 0, 0)
        + interval '1 month' <= before
    ORDER BY c.relname
  LOOP
    EXECUTE format('DROP TABLE access.%I', partition);
    dropped := dropped || partition;
  END LOOP;
  RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION access.create_audit_partitions(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION access.drop_audit_partitions(timestamptz) FROM PUBLIC;

SELECT access.create_audit_partitions(now() + interval '2 months');
