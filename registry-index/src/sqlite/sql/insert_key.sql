INSERT INTO public_key (id, public_key, user, name, subject, created_at, revoked_at, vouched)
SELECT ?1, ?2, user.id, ?5, ?6, ?7, ?8, ?9
FROM user
WHERE user.id = ?3 AND user.login = ?4
