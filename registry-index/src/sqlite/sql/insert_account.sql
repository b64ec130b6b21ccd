INSERT INTO user (login, name, kind)
VALUES (?1, ?2, ?3)
