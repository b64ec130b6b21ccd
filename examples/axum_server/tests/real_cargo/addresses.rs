//! Where a server listens, and by which URLs clients come to it.

use real_cargo::{Registry, Witness};

use crate::{
    asymmetric::{with_alice_and, with_key_for},
    common::{Cargo, PathProxy, Server},
};

#[test]
fn cargo_uses_a_registry_at_an_address_of_ipv6() {
    let server = Server::start_with(&["--listen", "[::1]:0"]);
    let base = format!("http://{}/main", server.address());
    assert!(base.starts_with("http://[::1]:"), "{base}");
    let config = server.client().get("/main/index/config.json").json();
    assert_eq!(config["api"], base);
    assert!(config["dl"].as_str().unwrap().starts_with(&base), "{config}");
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let app =
        cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.run_in(&app, ["fetch"]).success();
    let lock = std::fs::read_to_string(app.folder().join("Cargo.lock")).unwrap();
    assert!(lock.contains(&format!("source = \"sparse+{base}/index/\"")), "{lock}");
}

/// A server as clients of a proxy know it.
struct Behind<'a>(&'a Server, &'a PathProxy);

impl Registry for Behind<'_> {
    fn index_url(&self) -> String {
        format!("sparse+{}/main/index/", self.1.url())
    }

    fn token(&self, user: &str) -> String {
        self.0.token(user)
    }

    fn witness(&self) -> Witness {
        self.0.witness()
    }
}

/// As a proxy writes it that adds to what its client has sent.
fn x_forwarded(path: &str) -> impl FnOnce(&str) -> Vec<(&'static str, String)> {
    move |address| {
        vec![
            ("X-Forwarded-For", "198.51.100.7".into()),
            ("X-Forwarded-Proto", "http".into()),
            ("X-Forwarded-Host", address.into()),
            ("X-Forwarded-Prefix", path.into()),
        ]
    }
}

/// Has cargo do by a URL what it does by any other.
fn assert_cargo_works(server: &Server, registry: &impl Registry) {
    let cargo = Cargo::of(registry, "alice");
    cargo.publish_library("hello", "1.0.0");
    // What it depends on is in the same registry, by whatever URL the manifest names that.
    let greet = cargo.library("greet", "1.0.0");
    let greet = greet.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.publish(&greet).success();
    let line = server.client_of("bob").get("/main/index/gr/ee/greet");
    assert!(line.text().contains(r#""name":"hello","req":"^1","#), "{}", line.text());
    assert!(!line.text().contains("registry"), "{}", line.text());

    let app = cargo.program("app", "println!(\"{}\", greet::version())");
    cargo.run_in(&app, ["add", "greet", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    let source = format!("source = \"{}\"", registry.index_url());
    assert!(app.read("Cargo.lock").contains(&source), "{}", app.read("Cargo.lock"));
    cargo.forget_downloads();
    cargo.run_in(&app, ["fetch", "--locked"]).success();
    let found = cargo.run(["search", "--registry", "main", "hell"]).success();
    assert!(found.starts_with("hello = \"1.0.0\""), "{found}");
    assert_eq!(cargo.run(["owner", "--registry", "main", "--list", "hello"]).success(), "alice\n");
    cargo.run(["yank", "--registry", "main", "hello@1.0.0"]).success();
    let absent = cargo.run_in(&app, ["add", "nowhere", "--registry", "main"]).failure();
    assert!(absent.contains("the crate `nowhere` could not be found"), "{absent}");
}

#[test]
fn cargo_comes_through_a_proxy_that_strips_a_path_without_a_configured_url() {
    for (host, path, prefix) in
        [("127.0.0.1", "/a/b", "/a/b"), ("::1", "/a/b", "//a//b/"), ("127.0.0.1", "", "/")]
    {
        let flags = ["--private", "--trusted-proxy", "127.0.0.1"];
        let server = Server::start_with(&flags);
        let proxy = PathProxy::start(host, path, server.address(), x_forwarded(prefix));
        assert_cargo_works(&server, &Behind(&server, &proxy));

        // What it prints for people leads through the proxy as well.
        let client = crate::common::Client::new(proxy.address());
        let snippet = client.get(&format!("{path}/main/me?format=toml"));
        let index = format!("index = \"{}\"\n", Behind(&server, &proxy).index_url());
        assert!(snippet.text().contains(&index), "{}", snippet.text());
        let cargo = Cargo::bare().with("CARGO_REGISTRIES_MAIN_TOKEN", &server.token("bob"));
        cargo.configure(snippet.text());
        cargo.run(["search", "--registry", "main", "hell"]).success();
        let refused = Cargo::anonymous(&Behind(&server, &proxy));
        let refused = refused.run(["login", "--registry", "main"]).stderr();
        let help = format!("{}/main/me", proxy.url());
        assert!(refused.contains(&help), "{refused}");
        // Doubled slashes of a client are none of its business.
        let doubled = client.get(&format!("{path}//main//me?format=json")).json();
        assert_eq!(doubled["index"], Behind(&server, &proxy).index_url());
        let lead = client.get(&format!("{path}/"));
        assert_eq!((lead.status, lead.header("location")), (307, Some("main/me")));

        // Whoever comes past the proxy is told the way that they came by.
        let direct = server.client_of("bob").get("/main/index/config.json").json();
        assert_eq!(direct["api"], server.url());
    }
}

#[test]
fn cargo_comes_through_a_proxy_that_strips_a_path_to_a_configured_url() {
    for slashes in ["", "//"] {
        // The server has to know the URL before there is one to lead to.
        let proxy = PathProxy::listen("127.0.0.1", "/a/b", |_| Vec::new());
        let public = proxy.url().replace("/a", &format!("/{slashes}a")) + slashes;
        let server = Server::start_with(&["--private", "--public-url", &public]);
        proxy.lead_to(server.address());
        assert_cargo_works(&server, &Behind(&server, &proxy));
        let config = server.client_of("bob").get("/main/index/config.json").json();
        assert_eq!(config["api"], format!("{}/main", proxy.url()));
    }
}

#[test]
fn signed_tokens_count_by_no_url_that_a_proxy_names() {
    // Which may be the client's own word for it: the token may be meant for another registry.
    let server = with_alice_and(&["--trusted-proxy", "127.0.0.1"]);
    let proxy = PathProxy::start("127.0.0.1", "/a", server.address(), x_forwarded("/a"));
    let cargo = with_key_for(&server, &Behind(&server, &proxy).index_url());
    let refused = cargo.publish(&cargo.library("hello", "1.0.0")).failure();
    assert!(refused.contains("401"), "{refused}");
}

#[test]
fn nobody_but_a_listed_proxy_says_by_which_url_a_client_has_come() {
    let said = [
        ("x-forwarded-host", "crates.test:8443"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/a/b"),
        ("forwarded", "for=192.0.2.1;host=other.test;proto=https"),
    ];
    let listed = ["--trusted-proxy", "127.0.0.1"];
    let of_forwarded = [&listed[..], &["--forwarded-by", "forwarded"]].concat();
    let given = [&listed[..], &["--public-url", "https://given.test//a/"]].concat();
    for (flags, api) in [
        (&[][..], None),
        (&["--trusted-proxy", "192.0.2.0/24"], None),
        (&listed, Some("https://crates.test:8443/a/b/main")),
        (&of_forwarded, Some("https://other.test/main")),
        (&given, Some("https://given.test/a/main")),
    ] {
        let server = Server::start_with(flags);
        let own = server.url();
        for path in ["/main/index/config.json", "/main/me", "/main/me?format=toml"] {
            let told = server.client().get_with(path, &said);
            let expected = api.unwrap_or(&own);
            assert!(told.text().contains(expected), "{flags:?} {path}: {}", told.text());
            assert_eq!(told.text().contains(".test"), api.is_some(), "{flags:?} {path}");
        }
        // A host alone is anybody's.
        for headers in [&[("x-forwarded-proto", "https")][..], &[("x-original-host", "evil.test")]]
        {
            let config = server.client().get_with("/main/index/config.json", headers).json();
            let is_given = api.filter(|_| flags == given);
            assert_eq!(config["api"], is_given.unwrap_or(&own), "{flags:?}");
        }
        let forged = "GET /main/index/config.json HTTP/1.1\r\nhost: evil.test\r\n\
                      connection: close\r\n\r\n";
        let absolute = forged.replace(" /main", " http://evil.test/main");
        for request in [forged, &absolute] {
            use std::io::Write as _;
            let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let answer = crate::common::Answer::read(stream);
            assert_eq!((answer.status, answer.text().contains("evil")), (200, false), "{flags:?}");
        }
    }
}
