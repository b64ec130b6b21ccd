-- What version 1 wrote for a crate of two releases, one of them yanked, and for a user with a token.
INSERT INTO crate (registry, canonical, name, revision, etag, owners, about, max_version)
VALUES (
    'main',
    'foo_bar',
    'Foo-Bar',
    3,
    '"0000000000000000000000000000000000000000000000000000000000000000"',
    '[{"id":1,"login":"alice","name":"Alice"}]',
    '{"description":"Fast thing"}',
    '1.1.0'
);
INSERT INTO crate_words (crate, registry, canonical, words)
VALUES (1, 'main', 'foo_bar', array_to_tsvector(ARRAY['bar', 'fast', 'foo', 'thing']));
INSERT INTO release (crate, position, version, state, line, size, published_at, published_by)
VALUES
(
    1, 0, '1.0.0', 'yanked',
    '{"name":"Foo-Bar","vers":"1.0.0","deps":[],"cksum":"0000000000000000000000000000000000000000000000000000000000000000","features":{},"yanked":true}',
    10, 1709208000, 'alice'
),
(
    1, 1, '1.1.0', 'published',
    '{"name":"Foo-Bar","vers":"1.1.0+b","deps":[],"cksum":"1111111111111111111111111111111111111111111111111111111111111111","features":{},"yanked":false}',
    11, 1709208001, 'alice'
);
INSERT INTO account (login, name) VALUES ('alice', 'Alice');
INSERT INTO token (digest, account, created_at)
VALUES (sha256('secret'), 1, to_timestamp(1709208000));
