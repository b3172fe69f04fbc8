CREATE SEQUENCE revision_numbers;

CREATE TABLE agents (
  id text COLLATE "C" PRIMARY KEY,
  display_name text NOT NULL,
  labels jsonb NOT NULL,
  -- openhermit.fleet.v1.AgentSpec as JSON.
  spec jsonb NOT NULL,
  -- openhermit.fleet.v1.DesiredState, never unspecified.
  desired_state smallint NOT NULL,
  desired_since timestamptz NOT NULL DEFAULT now(),
  -- The etag: changes with every change.
  version bigint NOT NULL,
  -- The agent's own part of its generation: changes with what a snapshot holds.
  revision bigint NOT NULL,
  -- Changes when somebody asks for a restart. A sidecar that was started with another number is replaced.
  restart_number bigint NOT NULL DEFAULT 0,
  -- Of CreateAgent: a repeated call with the same id and the same agent finds the agent made before.
  request_id text NOT NULL,
  request_digest text NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  update_time timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX agents_by_request ON agents (request_id) WHERE request_id <> '';

CREATE TABLE providers (
  name text COLLATE "C" PRIMARY KEY,
  -- openhermit.fleet.v1.ProviderKind.
  kind smallint NOT NULL,
  base_url text NOT NULL,
  api_key_env text NOT NULL,
  -- False for a built-in provider as the gateway brought it; true once somebody put it.
  custom boolean NOT NULL,
  -- The sum over all providers is part of every agent's generation, so rows may change but not go.
  revision bigint NOT NULL
);
