SELECT id, login, name, kind, password, disabled_at, (
    SELECT group_concat(login, ' ')
    FROM (
        SELECT "group".login
        FROM membership
        JOIN user AS "group" ON "group".id = membership."group"
        WHERE membership.member = user.id
        ORDER BY "group".login
    )
)
FROM user
ORDER BY id
