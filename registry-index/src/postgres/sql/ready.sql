-- The version that is there, written again: on a standby, or a full disk, that fails.
UPDATE registry_schema
SET version = version
