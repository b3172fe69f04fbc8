CREATE SCHEMA IF NOT EXISTS sessions;

-- A conversation. SendMessage locks its row; nothing else writes it, so that the ingest of a turn's end never waits for a
-- message to the same session, nor the other way round.
CREATE TABLE sessions.sessions (
  id uuid PRIMARY KEY,
  agent_id text NOT NULL,
  key text NOT NULL,
  user_id text NOT NULL,
  channel text NOT NULL,
  title text NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  send_time timestamptz NOT NULL DEFAULT now(),
  turn_count integer NOT NULL,
  -- The newest turn and the one before it, as of the last SendMessage: whoever holds the lock of the row sees by them
  -- whether a turn was added that its own snapshot does not show.
  last_turn_id uuid NOT NULL,
  previous_turn_id uuid,
  CONSTRAINT sessions_key_unique UNIQUE (key)
) WITH (fillfactor = 80);

CREATE INDEX sessions_by_send_time ON sessions.sessions (send_time DESC, id DESC);
CREATE INDEX sessions_of_agent_by_send_time ON sessions.sessions (agent_id, send_time DESC, id DESC);

-- One message and its fate. The states are those of openhermit.sessions.v1.TurnState: 1 queued, 2 offered, 3 running,
-- from 4 on an end.
CREATE TABLE sessions.turns (
  id uuid PRIMARY KEY,
  session_id uuid NOT NULL,
  -- The place in the session, from 1, given under the lock of the session: turns run in this order.
  number integer NOT NULL,
  agent_id text NOT NULL,
  user_id text NOT NULL,
  channel text NOT NULL,
  state smallint NOT NULL,
  attempt integer NOT NULL,
  message text NOT NULL,
  request_id text,
  on_disconnect smallint NOT NULL,
  traceparent text NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  -- Since when it waits, again after each return to the queue.
  queue_time timestamptz NOT NULL DEFAULT now(),
  start_time timestamptz,
  end_time timestamptz,
  tool_started boolean NOT NULL DEFAULT false,
  cancel_reason text,
  -- The gateway that offered or adopted it, and since when. Kept after it is requeued.
  gateway_id text,
  owner_time timestamptz,
  -- Its transcript entries come after this position.
  base_position bigint NOT NULL,
  error_reason text,
  error_message text,
  error_retryable boolean,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  cache_read_tokens bigint NOT NULL DEFAULT 0,
  cache_write_tokens bigint NOT NULL DEFAULT 0,
  model_calls integer NOT NULL DEFAULT 0,
  answer text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);

-- One turn of a session at a time.
CREATE UNIQUE INDEX turns_active_unique ON sessions.turns (session_id) WHERE state IN (2, 3);
-- A repeated request joins the first one.
CREATE UNIQUE INDEX turns_request_unique ON sessions.turns (agent_id, request_id) WHERE request_id IS NOT NULL;
-- What has not ended: the queue, the search for lost turns, "is the session free".
CREATE INDEX turns_open ON sessions.turns (agent_id, session_id, number) WHERE state < 4;
CREATE INDEX turns_of_session ON sessions.turns (session_id, end_time);

-- Which gateway had a link to which agent, while turns of it were under way: renewed every few seconds.
CREATE TABLE sessions.turn_owners (
  agent_id text NOT NULL,
  gateway_id text NOT NULL,
  seen_time timestamptz NOT NULL,
  PRIMARY KEY (agent_id, gateway_id)
) WITH (fillfactor = 50);

-- What was said. `entry` is the TranscriptEntry message as bytes.
CREATE TABLE sessions.transcript_entries (
  session_id uuid NOT NULL,
  position bigint NOT NULL,
  turn_id uuid NOT NULL,
  entry bytea NOT NULL,
  PRIMARY KEY (session_id, position)
);
