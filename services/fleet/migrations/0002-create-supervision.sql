-- Gateways that are alive.
CREATE TABLE gateways (
  -- Stays the same when a gateway starts again in the same home.
  id text PRIMARY KEY,
  -- A UUIDv7, new at each start; of two with one id the newer one is right.
  instance_id text COLLATE "C" NOT NULL,
  lease_until timestamptz NOT NULL
);

-- Which gateway starts and ends the sidecar of an agent. A row outlives its agent until the sidecar is gone.
CREATE TABLE sidecar_claims (
  agent_id text COLLATE "C" PRIMARY KEY,
  gateway_id text NOT NULL,
  -- How all processes of the sidecar are found on their host.
  marker text NOT NULL
);

-- What is observed of each agent: its link, written by the gateway it is attached to, and its process, written by the
-- gateway that supervises it. The state that people see is derived from both when it is read.
CREATE TABLE agent_status (
  agent_id text COLLATE "C" PRIMARY KEY,

  sidecar_id text NOT NULL DEFAULT '',
  attached boolean NOT NULL DEFAULT false,
  -- Whether a snapshot was applied on this attach.
  ready boolean NOT NULL DEFAULT false,
  link_since timestamptz,
  link_detail text NOT NULL DEFAULT '',
  -- The instance of the gateway that holds the link.
  link_instance text NOT NULL DEFAULT '',
  epoch bigint NOT NULL DEFAULT 0,
  host text NOT NULL DEFAULT '',
  pid int NOT NULL DEFAULT 0,
  sidecar_version text NOT NULL DEFAULT '',
  applied_generation bigint NOT NULL DEFAULT 0,
  rejected_reason text NOT NULL DEFAULT '',

  process_phase text NOT NULL DEFAULT 'none',
  process_since timestamptz,
  process_detail text NOT NULL DEFAULT '',
  restart_count int NOT NULL DEFAULT 0,
  next_start_time timestamptz
);
