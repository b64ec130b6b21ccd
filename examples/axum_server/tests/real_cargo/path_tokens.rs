//! A token in the URL of the index, for clients that send no header.

use std::fs;

use crate::common::{Cargo, CrateFile, Server};

/// The URL of the index with a token in it.
fn index_url(server: &Server, token: &str) -> String {
    format!("sparse+http://{}/t/{token}/main/index/", server.address())
}

#[test]
fn a_token_in_the_url_of_the_index_is_enough_to_fetch_and_is_not_logged() {
    let server = Server::start_with(&["--private", "--path-tokens"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let token = server.token("alice");
    let cargo = Cargo::bare();
    cargo.configure(&format!("[registries.main]\nindex = \"{}\"", index_url(&server, &token)));
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    let before = server.requests().len();
    cargo.run_in(&app, ["fetch"]).success();
    assert_eq!(cargo.run_in(&app, ["run", "--offline"]).success(), "1.0.0\n");

    let url = format!("http://{}/t/{token}/main", server.address());
    let config = server.client().get(&format!("/t/{token}/main/index/config.json"));
    assert_eq!(
        config.json(),
        serde_json::json!({
            "dl": format!("{url}/dl/{{crate}}/{{version}}/{{sha256-checksum}}"),
            "api": url,
        })
    );
    let asked: Vec<_> = server.requests().drain(before..).map(|request| request.path).collect();
    let file = CrateFile::library("hello", "1.0.0", b"");
    let [index, config] =
        [file.index_path(), "/main/index/config.json".into()].map(|path| format!("/t/…{path}"));
    assert!(asked.contains(&index) && asked.contains(&config), "{asked:?}");
    assert!(asked.iter().all(|path| path.starts_with("/t/…/main/")), "{asked:?}");
    assert!(asked.iter().any(|path| path.starts_with("/t/…/main/dl/hello/1.0.0/")), "{asked:?}");
    let secret = token.strip_prefix("crg_").unwrap();
    assert!(!server.log().contains(secret), "{}", server.log());
    // What the flag's help warns of.
    let lockfile = fs::read_to_string(app.folder().join("Cargo.lock")).unwrap();
    assert!(lockfile.contains(&token), "{lockfile}");
}

#[test]
fn a_crate_that_depends_on_another_by_such_a_url_is_refused_for_the_token_is_in_it() {
    let server = Server::start_with(&["--path-tokens"]);
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let token = server.token("alice");
    let url = index_url(&server, &token);
    let user = cargo
        .library("user", "1.0.0")
        .dependencies(&format!(r#"hello = {{ version = "1", registry-index = "{url}" }}"#));
    let refused = cargo.publish(&user).failure();
    let reason = "is not a registry: it holds a token, which all who download the crate would see: \
                  name the registry by the URL without `/t/TOKEN`";
    assert!(refused.contains(reason), "{refused}");
    assert_eq!(server.client().get("/main/index/us/er/user").status, 404);
}

#[test]
fn a_token_in_the_url_is_refused_unless_the_flag_says_otherwise_and_is_told_to_nobody() {
    let server = Server::start();
    let token = server.token("alice");
    let secret = token.strip_prefix("crg_").unwrap();
    for path in ["/t/TOKEN/main/index/config.json", "/t/TOKEN", "/TOKEN/main", "/main/t/TOKEN/me"] {
        let answer = server.client().get(&path.replace("TOKEN", &token));
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    assert!(!server.log().contains(secret), "{}", server.log());
}

#[test]
fn a_token_stands_between_the_public_url_and_the_name_of_the_registry() {
    let flags = ["--path-tokens", "--private", "--public-url", "https://crates.example/pub/"];
    let server = Server::start_with(&flags);
    let token = server.token("alice");
    let config = server.client().get(&format!("/t/{token}/main/index/config.json")).json();
    assert_eq!(config["api"], format!("https://crates.example/pub/t/{token}/main"));
    let both = server.client_of("alice").get(&format!("/t/{token}/main/index/config.json"));
    assert_eq!(both.status, 401);
    assert_eq!(
        both.text(),
        "Invalid `Authorization` header: expected none, for there is a token in the path\n"
    );
    let wrong = server.client().get("/t/wrong/main/index/config.json");
    assert_eq!((wrong.status, wrong.text()), (401, "authentication failed\n"));
}
