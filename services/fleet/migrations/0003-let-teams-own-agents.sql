-- The team that owns the agent; empty: it is everybody's.
ALTER TABLE agents ADD COLUMN team text COLLATE "C" NOT NULL DEFAULT '';

-- Deleted agents that a team owned. What they left behind (sessions, activity) stays that team's, and the id too, until
-- somebody who reaches it makes an agent of the id again.
CREATE TABLE retired_agents (
  agent_id text COLLATE "C" PRIMARY KEY,
  team text COLLATE "C" NOT NULL,
  delete_time timestamptz NOT NULL DEFAULT now()
);
