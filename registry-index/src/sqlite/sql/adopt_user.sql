INSERT INTO user (id, login, name)
VALUES (?1, ?2, ?3)
