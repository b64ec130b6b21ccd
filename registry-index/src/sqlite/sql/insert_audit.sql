INSERT INTO audit (
    registry, at, login, credential, action, canonical, version, outcome, detail, request, address
)
VALUES (
    :registry, :at, :login, :credential, :action, :canonical, :version, :outcome, :detail, :request,
    :address
)
