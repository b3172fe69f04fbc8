-- Who became the first owner, and that somebody has. Once there is a row there is always an owner.
CREATE TABLE ownership (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  member_id text COLLATE "C" NOT NULL,
  claim_time timestamptz NOT NULL
);

-- Codes in links. A code is used by deleting its row.
CREATE TABLE one_time_codes (
  -- SHA-256 of the code.
  hash bytea PRIMARY KEY,
  -- What it is good for: CodeKind of src/login/one-time-code.ts.
  kind smallint NOT NULL,
  -- Whose it is; empty: nobody's, or the local operator's.
  member_id text COLLATE "C" NOT NULL,
  detail jsonb NOT NULL,
  expire_time timestamptz NOT NULL
);

CREATE INDEX one_time_codes_by_member ON one_time_codes (member_id) WHERE member_id <> '';
CREATE INDEX one_time_codes_by_expiry ON one_time_codes (expire_time);

-- Browser sessions.
CREATE TABLE sessions (
  -- SHA-256 of the secret id in the cookie.
  id_hash bytea PRIMARY KEY,
  -- A member or the local operator.
  kind smallint NOT NULL,
  subject_id text COLLATE "C" NOT NULL,
  login_time timestamptz NOT NULL,
  -- To a minute.
  last_use_time timestamptz NOT NULL,
  expire_time timestamptz NOT NULL,
  address text NOT NULL,
  user_agent text NOT NULL
);

CREATE INDEX sessions_by_subject ON sessions (kind, subject_id);
CREATE INDEX sessions_by_expiry ON sessions (expire_time);

-- From where members have logged in: what others do elsewhere does not keep them from logging in there.
CREATE TABLE known_addresses (
  member_id text COLLATE "C" NOT NULL,
  -- An IPv4 address or the /64 of an IPv6 one.
  address text COLLATE "C" NOT NULL,
  last_login_time timestamptz NOT NULL,
  PRIMARY KEY (member_id, address)
);

CREATE INDEX known_addresses_by_time ON known_addresses (last_login_time);
