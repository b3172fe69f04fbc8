-- Who there is. `kind` is openhermit.access.v1.SubjectKind, `role` openhermit.access.v1.Role, everywhere.

CREATE TABLE members (
  id text COLLATE "C" PRIMARY KEY,
  display_name text NOT NULL,
  role smallint NOT NULL,
  -- openhermit.access.v1.MemberState.
  state smallint NOT NULL,
  -- A PHC string, `$argon2id$…`. Null: never chose one, or logs in with a provider of identities.
  password_hash text,
  -- Who the provider of identities says the member is; nothing else identifies it there.
  external_issuer text,
  external_subject text,
  create_time timestamptz NOT NULL DEFAULT now(),
  update_time timestamptz NOT NULL DEFAULT now(),
  last_login_time timestamptz,
  -- When the role last changed: sessions from before it end.
  role_time timestamptz NOT NULL DEFAULT now(),
  UNIQUE (external_issuer, external_subject)
);

CREATE TABLE teams (
  id text COLLATE "C" PRIMARY KEY,
  display_name text NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE team_members (
  team_id text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  kind smallint NOT NULL,
  subject_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (team_id, kind, subject_id)
);

CREATE INDEX team_members_by_subject ON team_members (kind, subject_id);

CREATE TABLE service_accounts (
  id text COLLATE "C" PRIMARY KEY,
  display_name text NOT NULL,
  role smallint NOT NULL,
  disabled boolean NOT NULL,
  creator_kind smallint NOT NULL,
  creator_id text COLLATE "C" NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE grants (
  agent_id text COLLATE "C" NOT NULL,
  kind smallint NOT NULL,
  subject_id text COLLATE "C" NOT NULL,
  role smallint NOT NULL,
  creator_kind smallint NOT NULL,
  creator_id text COLLATE "C" NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (agent_id, kind, subject_id)
);

CREATE INDEX grants_by_subject ON grants (kind, subject_id);

-- Keys that all gateways of a fleet share, made by the first one.
CREATE TABLE server_keys (
  name text PRIMARY KEY,
  key bytea NOT NULL
);
