INSERT INTO user (id, login, name, kind, password, disabled_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (id) DO UPDATE
SET disabled_at = coalesce(user.disabled_at, excluded.disabled_at)
