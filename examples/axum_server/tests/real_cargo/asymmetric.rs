use serde_json::json;

use crate::common::{Cargo, Outcome, Server, axum_server};

/// The keys of RFC 3231: these are no secret.
pub(crate) const SECRET: &str =
    "k3.secret.fNYVuMvBgOlljt9TDohnaYLblghqaHoQquVZwgR6X12cBFHZLFsaU3q7X3k1Zn36";
pub(crate) const PUBLIC: &str =
    "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
pub(crate) const ID: &str = "k3.pid.QB3WNBP-5j-0XQV2MOuvuOcLlJ8uz-pmqtIZus1x3YTu";

/// A cargo that signs its tokens, for which it takes what only unstable cargos do.
fn signing(server: &Server) -> Cargo {
    signing_for(&server.index_url())
}

fn signing_for(index_url: &str) -> Cargo {
    let cargo = Cargo::bare().with("RUSTC_BOOTSTRAP", "1");
    cargo.configure(&format!(
        "[unstable]\nasymmetric-token = true\n\n\
         [registries.main]\nindex = \"{index_url}\"\ncredential-provider = [\"cargo:paseto\"]\n"
    ));
    cargo
}

pub(crate) fn with_key(server: &Server) -> Cargo {
    with_key_for(server, &server.index_url())
}

/// The same for a cargo that knows the registry by another index URL.
pub(crate) fn with_key_for(server: &Server, index_url: &str) -> Cargo {
    server.keep_secret(SECRET);
    signing_for(index_url).with("CARGO_REGISTRIES_MAIN_SECRET_KEY", SECRET)
}

/// Runs `axum_server key …` on the data of the server.
fn key(server: &Server, input: &str, arguments: &[&str]) -> Outcome {
    use std::{io::Write as _, process::Stdio};

    let mut command = axum_server();
    command.arg("key").args(arguments).arg("--data").arg(server.data());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A command that needs none may have ended.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    Outcome::of_process(&command, process)
}

/// A private registry with the users alice and bob, who has the key.
fn with_alice() -> Server {
    with_alice_and(&[])
}

/// The same with further flags.
pub(crate) fn with_alice_and(flags: &[&str]) -> Server {
    let server = Server::start_with(&[&["--private"], flags].concat());
    server.token("alice");
    server.token("bob");
    let id = key(&server, &format!("{PUBLIC}\n"), &["add", "--user", "alice"]).success();
    assert_eq!(id, format!("{ID}\n"));
    server
}

#[test]
fn cargo_signs_a_token_for_all_that_it_does() {
    let server = with_alice();
    let cargo = with_key(&server);
    cargo.publish_library("hello", "1.0.0");
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    cargo.forget_downloads();
    cargo.run_in(&app, ["fetch", "--locked"]).success();

    let yanked = || {
        let index = server.client_of("bob").get("/main/index/he/ll/hello");
        index.text().contains(r#""yanked":true"#)
    };
    cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).success();
    assert!(yanked());
    cargo.run(["yank", "--undo", "hello@1.0.0", "--registry", "main"]).success();
    assert!(!yanked());

    let owner = |arguments: &[&str]| {
        cargo.run(["owner", "--registry", "main", "hello"].iter().chain(arguments)).success()
    };
    assert_eq!(owner(&["--list"]), "alice\n");
    // The token of the change is that of the list as well.
    assert_eq!(owner(&["--add", "bob", "--list"]), "alice\nbob\n");
    owner(&["--remove", "bob"]);
    assert_eq!(owner(&["--list"]), "alice\n");
    cargo.run(["search", "hello", "--registry", "main"]).success();
}

#[test]
fn one_token_is_not_for_two_changes() {
    let server = with_alice();
    let cargo = with_key(&server);
    cargo.publish_library("hello", "1.0.0");
    let both = ["owner", "--registry", "main", "hello", "--add", "bob", "--remove", "bob"];
    let refused = cargo.run(both).failure();
    let reason = "(status 403 Forbidden): this token has been used: one is signed for each change";
    assert!(refused.contains(reason), "{refused}");
}

#[test]
fn a_subject_has_to_be_the_registered_one() {
    let server = Server::start();
    server.token("alice");
    key(&server, PUBLIC, &["add", "--user", "alice", "--subject", "team-1"]).success();
    let without = with_key(&server);
    let refused = without.publish(&without.library("hello", "1.0.0")).failure();
    assert!(refused.contains("(status 401 Unauthorized)"), "{refused}");
    let with = with_key(&server).with("CARGO_REGISTRIES_MAIN_SECRET_KEY_SUBJECT", "team-1");
    with.publish_library("hello", "1.0.0");
}

#[test]
fn only_a_registered_key_that_is_not_revoked_counts() {
    let server = with_alice();
    let cargo = with_key(&server);
    cargo.publish_library("hello", "1.0.0");
    let app = cargo.program("app", "");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.run_in(&app, ["fetch"]).success();

    // Cargo makes a key pair, and tells the public one.
    let other = signing(&server);
    let login = other.run(["login", "--registry", "main"]);
    login.success();
    let public = login.stderr();
    let public = public.lines().find(|line| line.starts_with("k3.public.")).unwrap();
    let refused = other.run_in(&app, ["fetch"]).failure();
    assert!(refused.contains("token rejected for `main`"), "{refused}");
    let id = key(&server, public, &["add", "--user", "bob", "--name", "laptop"]).success();
    other.run_in(&app, ["fetch"]).success();
    other.run(["logout", "--registry", "main"]).success();

    assert_eq!(key(&server, "", &["revoke", ID]).success(), "");
    let refused = cargo.publish(&cargo.library("hello", "1.1.0")).failure();
    assert!(refused.contains("token rejected for `main`"), "{refused}");
    cargo.forget_downloads();
    let refused = cargo.run_in(&app, ["fetch"]).failure();
    assert!(refused.contains("token rejected for `main`"), "{refused}");

    let listed = key(&server, "", &["list"]).success();
    let mut lines: Vec<Vec<&str>> = listed.lines().map(|it| it.split('\t').collect()).collect();
    for line in &mut lines {
        // When it was registered.
        line.remove(2);
    }
    lines.sort_by_key(|line| line[1]);
    assert_eq!(
        lines,
        [vec![ID, "alice", "revoked", "", ""], vec![id.trim(), "bob", "valid", "", "laptop"],]
    );
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let server = Server::start();
    server.token("alice");
    let refused = key(&server, SECRET, &["add", "--user", "alice"]).failure();
    let reason = "a public key is `k3.public.` and 66 letters, digits, `-` and `_`";
    assert!(refused.contains(reason) && !refused.contains("fNYV"), "{refused}");
    let refused = key(&server, PUBLIC, &["add", "--user", "nobody"]).failure();
    assert!(refused.contains("there is no user `nobody`"), "{refused}");
    let refused = key(&server, "", &["revoke", ID]).failure();
    assert!(refused.contains(&format!("there is no key `{ID}`")), "{refused}");
    key(&server, PUBLIC, &["add", "--user", "alice"]).success();
    let refused = key(&server, PUBLIC, &["add", "--user", "alice", "--subject", "x"]).failure();
    assert!(refused.contains("the key was registered before"), "{refused}");
}

#[test]
fn a_token_does_not_look_after_keys() {
    let server = with_alice();
    let refused = server.client_of("alice").get("/main/api/v1/me/keys");
    assert_eq!(refused.status, 403);
    let detail = "cannot use an API token to look after keys";
    assert_eq!(refused.json(), json!({ "errors": [{ "detail": detail }] }));
}
