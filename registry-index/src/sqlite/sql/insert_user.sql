INSERT INTO user (login)
VALUES (?1)
