-- What the sidecar of an agent last reported, written when it changes.
CREATE TABLE health.reports (
  agent_id text COLLATE "C" PRIMARY KEY,
  report_time timestamptz NOT NULL,
  -- openhermit.health.v1.AgentHealth with the components only.
  report bytea NOT NULL
);
