-- What agents take that they do not set themselves. One row, always there. Whoever writes the spec of an agent holds it
-- shared, whoever takes away what agents refer to (a default, a provider) holds it alone: so nothing is left in the air.
CREATE TABLE defaults (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  -- openhermit.fleet.v1.AgentSpec as JSON.
  spec jsonb NOT NULL DEFAULT '{}',
  -- The etag: changes with every change.
  version bigint NOT NULL DEFAULT 0,
  -- The defaults' part of every agent's generation.
  revision bigint NOT NULL DEFAULT 0,
  -- Null when nobody ever changed them.
  update_time timestamptz
);

INSERT INTO defaults DEFAULT VALUES;

-- A removed provider is none, and its row stays: see revision.
ALTER TABLE providers ADD COLUMN removed boolean NOT NULL DEFAULT false;

-- Which generation rejected_reason is about.
ALTER TABLE agent_status ADD COLUMN rejected_generation bigint NOT NULL DEFAULT 0;
