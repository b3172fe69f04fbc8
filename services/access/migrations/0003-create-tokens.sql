CREATE TABLE tokens (
  -- The public id.
  accessor text COLLATE "C" PRIMARY KEY,
  -- HMAC-SHA-256 of the secret, under a key of server_keys and the gateways' pepper.
  hash bytea NOT NULL UNIQUE,
  name text NOT NULL,
  subject_kind smallint NOT NULL,
  subject_id text COLLATE "C" NOT NULL,
  -- Whose rights bound those of the subject.
  creator_kind smallint NOT NULL,
  creator_id text COLLATE "C" NOT NULL,
  -- The accessor of the token it was made with; empty: made by a person.
  parent_accessor text COLLATE "C" NOT NULL,
  -- `resource[:selector]:verb`, ordered; empty for a login.
  scopes text[] NOT NULL,
  login boolean NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  expire_time timestamptz NOT NULL,
  last_use_time timestamptz,
  last_use_address text NOT NULL DEFAULT '',
  revoke_time timestamptz
);

CREATE INDEX tokens_by_subject ON tokens (subject_kind, subject_id);
CREATE INDEX tokens_by_creator ON tokens (creator_kind, creator_id);
CREATE INDEX tokens_by_parent ON tokens (parent_accessor) WHERE parent_accessor <> '';
-- Lists are newest first.
CREATE INDEX tokens_by_time ON tokens (create_time, accessor);
