-- An agent's own row counts for more than that of '*': with enabled = false it does not use what is assigned to '*'.
ALTER TABLE mcp_assignments
  ADD COLUMN enabled boolean NOT NULL DEFAULT true,
  ADD CONSTRAINT mcp_assignments_of_every_agent CHECK (enabled OR agent_id <> '*');
