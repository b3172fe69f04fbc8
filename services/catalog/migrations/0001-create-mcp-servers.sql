CREATE SEQUENCE revision_numbers;

CREATE TABLE mcp_servers (
  id text COLLATE "C" PRIMARY KEY,
  -- openhermit.catalog.v1.McpServer as JSON, without what stands in columns or in mcp_assignments.
  spec jsonb NOT NULL,
  -- The etag.
  version bigint NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  update_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mcp_assignments (
  -- An agent's id, or '*' for every agent.
  agent_id text COLLATE "C" NOT NULL,
  mcp_server_id text COLLATE "C" NOT NULL REFERENCES mcp_servers (id) ON DELETE CASCADE,
  PRIMARY KEY (agent_id, mcp_server_id)
);

CREATE INDEX mcp_assignments_by_server ON mcp_assignments (mcp_server_id);

-- How new the catalogue of an agent, or of '*', is. Rows stay when the agent goes, so that the number never falls.
CREATE TABLE revisions (
  target text COLLATE "C" PRIMARY KEY,
  revision bigint NOT NULL
);
