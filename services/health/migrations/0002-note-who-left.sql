-- Whether the sidecar that reported is still attached: what one that has left said of its connections no longer holds.
ALTER TABLE health.reports ADD COLUMN attached boolean NOT NULL DEFAULT true;
