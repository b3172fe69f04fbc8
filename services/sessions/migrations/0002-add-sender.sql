-- Who sent the message, as the credential of the call said: `member:alice`. Empty for turns from before.
ALTER TABLE sessions.turns ADD COLUMN sender text NOT NULL DEFAULT '';
