CREATE TABLE bundles (
  -- sha256:… of data.
  digest text COLLATE "C" PRIMARY KEY,
  -- openhermit.catalog.v1.Bundle in its canonical encoding.
  data bytea NOT NULL,
  -- openhermit.catalog.v1.SkillDescription as JSON.
  description jsonb NOT NULL,
  -- Of the files together.
  size_bytes bigint NOT NULL,
  file_count integer NOT NULL,
  -- When it was last uploaded, or a skill began or ceased to name it. Without a skill it is removed a day later.
  touch_time timestamptz NOT NULL DEFAULT now()
);

-- Files are often compressed already, and compressing them again would hold the statement up.
ALTER TABLE bundles ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE skills (
  -- The name in its SKILL.md.
  id text COLLATE "C" PRIMARY KEY,
  digest text COLLATE "C" NOT NULL REFERENCES bundles (digest),
  -- The etag.
  version bigint NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now(),
  update_time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX skills_by_digest ON skills (digest);

CREATE TABLE skill_assignments (
  -- An agent's id, or '*' for every agent.
  agent_id text COLLATE "C" NOT NULL,
  skill_id text COLLATE "C" NOT NULL REFERENCES skills (id) ON DELETE CASCADE,
  enabled boolean NOT NULL DEFAULT true,
  PRIMARY KEY (agent_id, skill_id),
  CONSTRAINT skill_assignments_of_every_agent CHECK (enabled OR agent_id <> '*')
);

CREATE INDEX skill_assignments_by_skill ON skill_assignments (skill_id);
