SELECT id, login, name, kind, password, disabled_at, (
    SELECT string_agg("group".login, ' ' ORDER BY "group".login)
    FROM membership
    JOIN account AS "group" ON "group".id = membership."group"
    WHERE membership.member = account.id
)
FROM account
ORDER BY id
