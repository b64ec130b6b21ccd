INSERT INTO public_key (id, public_key, user, name, subject, created_at, revoked_at, vouched)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
