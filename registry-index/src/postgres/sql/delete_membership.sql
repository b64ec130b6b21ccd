DELETE FROM membership
WHERE member = $1 AND "group" = $2
