CREATE SCHEMA IF NOT EXISTS mesh;

-- Who a sidecar is, and where it was last attached.
CREATE TABLE mesh.sidecars (
  id text PRIMARY KEY,
  public_key bytea NOT NULL,
  agent_ids text[] NOT NULL,
  revoked boolean NOT NULL DEFAULT false,
  join_time timestamptz NOT NULL DEFAULT now(),
  attach_time timestamptz,
  gateway_id text,
  instance_id text,
  host text,
  pid integer,
  version text,
  CONSTRAINT sidecars_public_key_unique UNIQUE (public_key)
);

-- The fence and the cursor of a sidecar's outbox. Apart from mesh.sidecars and mesh.leases, so that the row
-- each flush rewrites is narrow and a flush never waits for a heartbeat.
CREATE TABLE mesh.outboxes (
  sidecar_id text PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 0,
  ledger_id text NOT NULL DEFAULT '',
  cursor bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Attached sidecars. A row past its time means: the sidecar and the gateway that served it gave no sign of life.
CREATE TABLE mesh.leases (
  sidecar_id text PRIMARY KEY,
  epoch bigint NOT NULL,
  gateway_id text NOT NULL,
  lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE mesh.join_tokens (
  token_hash bytea PRIMARY KEY,
  sidecar_id text NOT NULL,
  agent_ids text[] NOT NULL,
  expire_time timestamptz NOT NULL
);

-- The public halves of the keys that sign nonces and access tokens. The private halves never leave their gateway.
CREATE TABLE mesh.gateway_keys (
  key_id text PRIMARY KEY,
  gateway_id text NOT NULL,
  public_key bytea NOT NULL,
  expire_time timestamptz NOT NULL
);

-- Nonces that were accepted, until they would be too old anyway.
CREATE TABLE mesh.used_nonces (
  nonce_hash bytea PRIMARY KEY,
  expire_time timestamptz NOT NULL
);

-- Aborts the statement it stands in. SQLSTATE OHM01 is read in ingest-store.ts.
CREATE FUNCTION mesh.require_fresh(fresh boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF fresh IS NOT TRUE THEN
    RAISE EXCEPTION 'the epoch, ledger or cursor of a sidecar has moved' USING ERRCODE = 'OHM01';
  END IF;
  RETURN true;
END
$$;
