SELECT
    id, at, login, credential, action, canonical, version, outcome, detail, request, address
FROM audit
WHERE registry = :registry AND id > :after
