-- What a registry is for, in one line; empty if nobody said so.
ALTER TABLE named_registry ADD COLUMN description TEXT NOT NULL DEFAULT '';
