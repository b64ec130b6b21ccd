INSERT INTO audit (
    registry, canonical, at, login, credential, action, version, outcome, detail, request, address
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
