-- The log of what happened. Rows never change; the order of the log is (tx, position).
CREATE TABLE activity.events (
  position bigint GENERATED ALWAYS AS IDENTITY,
  -- The transaction that stored the row: a tail reads only below the oldest one that still runs.
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  -- When it happened, on the clock of whoever saw it, in milliseconds.
  at timestamptz NOT NULL,
  agent_id text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  turn_id text COLLATE "C" NOT NULL,
  -- openhermit.activity.v1.EventType; 0 for a kind that this version does not know.
  type smallint NOT NULL,
  -- What a person would search for, lower-cased and cut.
  text text COLLATE "C" NOT NULL,
  -- The whole openhermit.activity.v1.Event.
  detail bytea NOT NULL,
  PRIMARY KEY (tx, position)
);

CREATE INDEX events_at ON activity.events (at, position);
CREATE INDEX events_agent ON activity.events (agent_id, at, position);
CREATE INDEX events_user ON activity.events (user_id, at, position) WHERE user_id <> '';
CREATE INDEX events_session ON activity.events (session_id, at, position) WHERE session_id <> '';
CREATE INDEX events_turn ON activity.events (turn_id, at, position) WHERE turn_id <> '';
