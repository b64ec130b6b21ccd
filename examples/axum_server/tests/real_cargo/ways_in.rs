//! The ways in which a credential gets from a user to the server.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::common::{Cargo, Client, CrateFile, Package, Server, wait_for};

/// A program that needs `hello` of the registry.
fn user_of_hello(cargo: &Cargo) -> Package {
    cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#)
}

#[test]
fn a_variable_with_the_word_token_in_front_fetches() {
    let server = Server::start_with(&["--private"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let cargo = Cargo::bare()
        .with("CARGO_REGISTRIES_MAIN_TOKEN", &format!("Token {}", server.token("bob")));
    cargo.configure(&format!(
        "[registries.main]\nindex = \"{}\"\ncredential-provider = \"cargo:token\"",
        server.index_url()
    ));
    cargo.run_in(&user_of_hello(&cargo), ["fetch"]).success();
}

#[test]
fn a_token_that_was_typed_behind_the_word_bearer_at_login_is_sent_as_it_is_and_counts() {
    let server = Server::start_with(&["--private"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let typed = format!("Bearer {}", server.token("bob"));
    let cargo = Cargo::anonymous(&server);
    cargo.run_with_input(&format!("{typed}\n"), ["login", "--registry", "main"]).success();
    let stored = fs::read_to_string(cargo.home().join("credentials.toml")).unwrap();
    assert!(stored.contains(&format!("token = \"{typed}\"\n")), "{stored}");
    cargo.run_in(&user_of_hello(&cargo), ["fetch"]).success();
    let config = server.client().with_token(&typed).get("/main/index/config.json");
    assert_eq!(config.status, 200);
}

/// What `curl -u` makes of a user name and a password.
fn basic(server: &Server, user: &str, password: &str) -> Client {
    let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
    server.client().with_token(&format!("Basic {pair}"))
}

#[test]
fn a_token_may_stand_in_place_of_a_password() {
    let server = Server::start_with(&["--private"]);
    let hello = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&hello.frame()).status, 200);
    let token = server.token("alice");
    let file = hello.index_path();
    for user in ["alice", "token"] {
        assert_eq!(basic(&server, user, &token).get(&file).status, 200);
        let mut wrong = token.clone();
        let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
        wrong.push(last);
        for wrong in [&*wrong, "wrong", ""] {
            assert_eq!(basic(&server, user, wrong).get(&file).status, 401, "{user}");
        }
    }
    // The token is no user name.
    assert_eq!(basic(&server, &token, "x").get(&file).status, 401);
}

#[test]
fn a_form_that_the_server_is_told_to_refuse_is_no_way_in() {
    let server = Server::start_with(&["--private", "--refuse-credentials", "basic,bearer"]);
    let token = server.token("alice");
    let status = |client: Client| client.get("/main/index/config.json").status;
    assert_eq!(status(basic(&server, "alice", &token)), 401);
    assert_eq!(status(server.client().with_token(&format!("Bearer {token}"))), 401);
    assert_eq!(status(server.client().with_token(&format!("Token {token}"))), 200);
    assert_eq!(status(server.client().with_token(&token)), 200);
}

/// A credential provider that keeps, in the folder it is given, what it was told at login as
/// `token`, answers with `OPERATION.token` rather than that where there is one, and writes each
/// thing that it is asked into `asked`. Source: Cargo book, "Credential Provider Protocol".
const PROVIDER: &str = r##"
use std::{fs, io::{Write as _, stdin}, path::Path};

fn text<'a>(request: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = request.split_once(&format!("\"{key}\":\""))?;
    Some(rest.split('"').next().unwrap())
}

fn main() {
    println!("{{\"v\":[1]}}");
    for request in stdin().lines() {
        let request = request.unwrap();
        let (_, folder) = request.split_once("\"args\":[\"").unwrap();
        let folder = Path::new(folder.split('"').next().unwrap());
        let kind = text(&request, "kind").unwrap();
        let operation = text(&request, "operation").unwrap_or(kind);
        let mut asked =
            fs::File::options().create(true).append(true).open(folder.join("asked")).unwrap();
        writeln!(asked, "{operation}").unwrap();
        match kind {
            "get" => {
                let token = fs::read_to_string(folder.join(format!("{operation}.token")))
                    .or_else(|_| fs::read_to_string(folder.join("token")));
                match token {
                    Ok(token) => println!(
                        "{{\"Ok\":{{\"kind\":\"get\",\"token\":\"{token}\",\"cache\":\"session\",\
                         \"operation_independent\":false}}}}"
                    ),
                    Err(_) => println!("{{\"Err\":{{\"kind\":\"not-found\"}}}}"),
                }
            }
            "login" => {
                fs::write(folder.join("token"), text(&request, "token").unwrap()).unwrap();
                println!("{{\"Ok\":{{\"kind\":\"login\"}}}}");
            }
            _ => {
                fs::remove_file(folder.join("token")).unwrap();
                println!("{{\"Ok\":{{\"kind\":\"logout\"}}}}");
            }
        }
    }
}
"##;

/// A cargo that has its tokens from the plugin, and the plugin's folder.
fn cargo_with_plugin(server: &Server) -> (Cargo, PathBuf) {
    let cargo = Cargo::bare();
    let plugin = cargo.program("provider", "").file("src/main.rs", PROVIDER);
    cargo.run_in(&plugin, ["build"]).success();
    let program = cargo.folder().join("target/debug/provider");
    let folder = cargo.folder().join("kept");
    fs::create_dir(&folder).unwrap();
    let provider = [program.to_str().unwrap(), folder.to_str().unwrap()];
    cargo.configure(&format!(
        "[registries.main]\nindex = \"{}\"\ncredential-provider = {provider:?}",
        server.index_url()
    ));
    (cargo, folder)
}

#[test]
fn a_credential_provider_of_ones_own_logs_in_and_out() {
    let server = Server::start_with(&["--private"]);
    let (cargo, kept) = cargo_with_plugin(&server);
    let token = server.token("alice");
    cargo.run_with_input(&format!("{token}\n"), ["login", "--registry", "main"]).success();
    assert_eq!(fs::read_to_string(kept.join("token")).unwrap(), token);
    assert!(!cargo.home().join("credentials.toml").exists());
    cargo.publish_library("hello", "1.0.0");
    let app = user_of_hello(&cargo);
    cargo.run_in(&app, ["fetch"]).success();
    cargo.run(["logout", "--registry", "main"]).success();
    cargo.forget_downloads();
    let refused = cargo.run_in(&app, ["fetch"]).failure();
    assert!(refused.contains("no token found for `main`"), "{refused}");
}

#[test]
fn a_credential_provider_has_a_token_for_each_operation() {
    let server = Server::start_with(&["--private"]);
    let (cargo, kept) = cargo_with_plugin(&server);
    let keep = |operation: &str, user: &str| {
        fs::write(kept.join(format!("{operation}.token")), server.token(user)).unwrap();
    };
    keep("read", "reader");
    keep("publish", "publisher");
    keep("owners", "publisher");
    cargo.publish_library("hello", "1.0.0");
    let owners = cargo.run(["owner", "--list", "hello", "--registry", "main"]).success();
    assert_eq!(owners, "publisher\n");
    // Not the publisher's.
    keep("yank", "reader");
    let refused = cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).failure();
    assert!(refused.contains("you don't seem to be an owner"), "{refused}");
    let mut asked: Vec<_> =
        fs::read_to_string(kept.join("asked")).unwrap().lines().map(str::to_owned).collect();
    asked.sort();
    asked.dedup();
    assert_eq!(asked, ["owners", "publish", "read", "yank"]);
}

const PASSWORD: &str = "correct horse";

/// Makes a user who logs in with [`PASSWORD`].
fn add_user(server: &Server, user: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    let add = ["user", "add", user, "--password-file", file.to_str().unwrap()];
    assert!(server.command(add).status().unwrap().success());
}

/// Makes a token of `user` by HTTP, with what is said of it behind its name.
fn make_token(server: &Server, user: &str, rest: &str) -> String {
    let asked = format!("{{\"api_token\":{{\"name\":\"made by a test\",{rest}}}}}");
    let made = basic(server, user, PASSWORD).put("/main/api/v1/me/tokens", asked.as_bytes());
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["api_token"]["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_read_only_token_fetches_and_is_told_which_scope_it_lacks_to_publish() {
    let server = Server::start_with(&["--private"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    add_user(&server, "customer");
    let token = make_token(&server, "customer", "\"endpoint_scopes\":[\"read\"]");
    let token = format!("Token {token}");
    let cargo = Cargo::anonymous(&server).with("CARGO_REGISTRIES_MAIN_TOKEN", &token);
    cargo.run_in(&user_of_hello(&cargo), ["fetch"]).success();

    let lacks = |scope: &str| {
        format!(
            "this token does not have the required permissions to perform this action: it lacks \
             the scope `{scope}`"
        )
    };
    let publish = |name: &str| {
        let file = CrateFile::library(name, "2.0.0", b"");
        server.client().with_token(&token).publish(&file.frame()).error()
    };
    assert_eq!(publish("other"), (403, lacks("publish-new")));
    assert_eq!(publish("hello"), (403, lacks("publish-update")));
    for (name, scope) in [("other", "publish-new"), ("hello", "publish-update")] {
        let refused = cargo.publish(&cargo.library(name, "2.0.0")).failure();
        let told = format!("(status 403 Forbidden): {}", lacks(scope));
        assert!(refused.contains(&told), "{refused}");
    }
}

/// Makes a token of two seconds, prints it and keeps it behind those before. Its arguments are a URL
/// and two files: what `Authorization` is to say, and the tokens.
const TOKEN_OF_TWO_SECONDS: &str = "
import json, sys, urllib.request
asked = {'api_token': {'name': 'fetch', 'expires_in': '2s'}}
request = urllib.request.Request(sys.argv[1], json.dumps(asked).encode(), method='PUT')
request.add_header('Authorization', open(sys.argv[2]).read())
token = json.load(urllib.request.urlopen(request))['api_token']['token']
print(token)
open(sys.argv[3], 'a').write(token + '\\n')
";

#[test]
fn ten_fetches_in_ten_seconds_pass_with_tokens_of_two_that_a_command_makes_anew() {
    let server = Server::start_with(&["--private"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    add_user(&server, "ci");
    let cargo = Cargo::bare();
    let [script, password, made] =
        ["provider.py", "password", "made"].map(|name| cargo.folder().join(name));
    fs::write(&script, TOKEN_OF_TWO_SECONDS).unwrap();
    let packed = BASE64_STANDARD.encode(format!("ci:{PASSWORD}"));
    fs::write(&password, format!("Basic {packed}")).unwrap();
    let url = format!("{}/api/v1/me/tokens", server.url());
    let [script, password, tokens] = [&script, &password, &made].map(|it| it.to_str().unwrap());
    let provider = ["cargo:token-from-stdout", "python3", script, &url, password, tokens];
    cargo.configure(&format!(
        "[registries.main]\nindex = \"{}\"\ncredential-provider = {provider:?}",
        server.index_url()
    ));
    let app = user_of_hello(&cargo);
    let is_refused = |token: &str| {
        let client = server.client().with_token(token);
        client.get("/main/index/config.json").status == 401
    };
    let made = || {
        let made = fs::read_to_string(made.as_path()).unwrap();
        made.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let started = Instant::now();
    for _ in 0..10 {
        cargo.run_in(&app, ["fetch"]).success();
        cargo.forget_downloads();
        let last = made().pop().unwrap();
        wait_for("a token to expire", || is_refused(&last).then_some(()));
    }
    // Times are in seconds, so that each token counted for more than one and less than two.
    assert!(started.elapsed() > Duration::from_secs(10), "{:?}", started.elapsed());
    let made = made();
    let different: BTreeSet<_> = made.iter().collect();
    assert!(different.len() >= 10, "{made:?}");
    assert!(is_refused(&made[0]));
}

/// All that is in the files of the server's data folder.
fn stored(server: &Server) -> Vec<u8> {
    let files = fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn a_token_that_a_user_makes_by_http_works_expires_and_is_nowhere_but_with_them() {
    let server = Server::start_with(&["--private"]);
    add_user(&server, "alice");
    let alice = basic(&server, "alice", PASSWORD);
    let asked = serde_json::json!({"api_token": {
        "name": "fetches",
        "endpoint_scopes": ["read"],
        "expires_in": "2s",
    }});
    let asked = asked.to_string();
    let made = alice.put("/main/api/v1/me/tokens", asked.as_bytes());
    assert_eq!(made.status, 200, "{}", made.text());
    let token = made.json()["api_token"]["token"].as_str().unwrap().to_owned();

    let client = server.client().with_token(&token);
    let read = || client.get("/main/index/config.json").status;
    assert_eq!(read(), 200);
    let refused = client.publish(&CrateFile::library("hello", "1.0.0", b"").frame());
    assert_eq!(refused.status, 403);
    let another = client.put("/main/api/v1/me/tokens", asked.as_bytes());
    let detail = "cannot use an API token to create a new API token";
    assert_eq!(another.error(), (403, detail.into()));
    wait_for("the token to expire", || (read() == 401).then_some(()));

    let listed = alice.get("/main/api/v1/me/tokens").json();
    assert_eq!(listed["api_tokens"][0]["name"], "fetches");
    assert_eq!(listed["api_tokens"][0].get("token"), None);
    let secret = token.strip_prefix("crg_").unwrap().as_bytes();
    let holds = |place: &[u8], text: &[u8]| place.windows(text.len()).any(|it| it == text);
    assert!(holds(&stored(&server), b"fetches"));
    assert!(!holds(&stored(&server), secret) && !holds(server.log().as_bytes(), secret));
}
