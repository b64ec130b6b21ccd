use std::{fs, path::Path, process::Command};

use registry_core::auth::oidc::Algorithm;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    asymmetric::{ID, PUBLIC, with_key},
    common::{Cargo, Client, CrateFile, IdentityServer, Server, axum_server, wait_for},
};

/// A file of rules, and a server that follows it.
fn served(flag: &str, rules: &str, more: &[&str]) -> (TempDir, Server) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("rules.toml");
    fs::write(&file, rules).unwrap();
    let flags = [&[flag, file.to_str().unwrap()], more].concat();
    (folder, Server::start_with(&flags))
}

/// Puts other rules in place, as an editor does.
fn write(folder: &TempDir, rules: &str) {
    let (new, file) = (folder.path().join("new"), folder.path().join("rules.toml"));
    fs::write(&new, rules).unwrap();
    fs::rename(new, file).unwrap();
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const OPEN: &str = r#"
[[rules]]
allow = ["read"]
to = ["anonymous"]
crates = ["*"]

[[rules]]
allow = ["publish-new"]
to = ["authenticated"]
crates = ["*"]
"#;

#[test]
fn anonymous_access_is_switched_while_the_server_runs() {
    let (folder, server) = served("--policy", OPEN, &[]);
    let alice = Cargo::of(&server, "alice");
    alice.publish_library("hello", "1.0.0");
    let nobody = Cargo::anonymous(&server);
    let app = nobody.program("app", "");
    let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
    nobody.run_in(&app, ["fetch"]).success();
    let config = || server.client().get("/main/index/config.json");
    assert_eq!(config().json().get("auth-required"), None);
    assert_eq!(server.client().put("/main/api/v1/crates/new", b"").status, 401);

    let closed = OPEN.replace("anonymous", "authenticated");
    write(&folder, &closed);
    wait_for("nobody to read without a token", || (config().status == 401).then_some(()));
    nobody.forget_downloads();
    let refused = nobody.run_in(&app, ["fetch"]).failure();
    assert!(refused.contains("no token found for `main`"), "{refused}");
    let bob = Cargo::of(&server, "bob");
    bob.run_in(&app, ["fetch"]).success();
    let told = server.client_of("bob").get("/main/index/config.json").json();
    assert_eq!(told["auth-required"], serde_json::json!(true));

    // One slip in the file opens nothing, and closes nothing.
    write(&folder, &format!("{OPEN}\n[[rules]]\nallow = [\"red\"]\nto = []\ncrates = []\n"));
    let slip = "rule 3 (line 12): `red` is not an action";
    wait_for("the slip to be told", || server.log().contains(slip).then_some(()));
    assert_eq!(config().status, 401);
    write(&folder, OPEN);
    wait_for("everybody to read again", || (config().status == 200).then_some(()));
    nobody.run_in(&app, ["fetch"]).success();
}

const TEAMS: &str = r#"
[[rules]]
allow = ["read"]
to = ["anonymous"]
crates = ["*"]

[[rules]]
name = "the UI team"
allow = ["publish-new", "publish-update", "yank"]
to = ["group:ui"]
crates = ["ui-*"]

[[rules]]
allow = ["trusted-publishing"]
to = ["tom"]
crates = ["*"]
"#;

#[test]
fn a_group_publishes_what_its_pattern_says_and_nothing_else() {
    let (folder, server) = served("--policy", TEAMS, &[]);
    let (gina, eve) = (Cargo::of(&server, "gina"), Cargo::of(&server, "eve"));
    for words in [&["group", "create", "group:ui"][..], &["group", "add", "group:ui", "gina"]] {
        let (status, _, error) = run(&mut server.command(words.iter().copied()));
        assert_eq!(status, Some(0), "{error}");
    }
    gina.publish_library("ui-kit", "1.0.0");
    gina.publish_library("UI_core", "1.0.0");
    let refused = gina.publish(&gina.library("api", "1.0.0")).failure();
    let reason = "no rule of this registry lets you create the crate `api`";
    assert!(refused.contains(&format!("(status 403 Forbidden): {reason}")), "{refused}");
    let refused = eve.publish(&eve.library("ui-kit", "2.0.0")).failure();
    let reason = "this crate exists but you don't seem to be an owner, and no rule of this \
                  registry allows you `publish-update` of `ui_kit`";
    assert!(refused.contains(reason), "{refused}");
    eve.run(["yank", "ui-kit@1.0.0", "--registry", "main"]).failure();

    // What is explained is what was decided.
    let file = folder.path().join("rules.toml");
    let explain = |words: &[&str]| {
        // The data folder is named behind the first words.
        let mut command = server.command(["policy", "explain"]);
        let (status, said, error) = run(command.arg("--policy").arg(&file).args(words));
        (status, said + &error)
    };
    let place = format!("in {}\n", file.display());
    let ui = "rule 2 (line 7), \"the UI team\": allow publish-new, publish-update, yank to \
              group:ui on ui-*";
    for (words, status, said) in [
        (
            &["--user", "gina", "--crate", "ui-kit", "--action", "yank"][..],
            0,
            format!("allowed by {ui}"),
        ),
        (
            &["--user", "eve", "--crate", "ui-kit", "--action", "yank"],
            3,
            "denied: no rule allows it".into(),
        ),
        (
            &["--user", "gina", "--crate", "ui-kit", "--action", "change-owners"],
            0,
            "allowed by ownership".into(),
        ),
        (
            &["--user", "eve", "--group", "group:ui", "--crate", "ui-x", "--action", "publish-new"],
            0,
            format!("allowed by {ui}"),
        ),
        // Who may say so by a rule, but not publish.
        (
            &["--user", "tom", "--crate", "ui-kit", "--action", "trusted-publishing"],
            3,
            "denied: `publish-update` is needed as well, and is denied: no rule allows it".into(),
        ),
        (
            &["--user", "gina", "--crate", "ui-kit", "--action", "trusted-publishing"],
            0,
            "allowed by ownership".into(),
        ),
        // As `trusted-publisher list` names a CI run, which publishes in the place of owners.
        (
            &[
                "--user",
                "trusted-publisher:3e3fd0ffd81786d7",
                "--crate",
                "ui-kit",
                "--action",
                "publish-update",
            ],
            0,
            "allowed by ownership".into(),
        ),
        (
            &["--crate", "api", "--action", "read"],
            0,
            "allowed by rule 1 (line 2): allow read to anonymous on *".into(),
        ),
    ] {
        assert_eq!(explain(words), (Some(status), format!("{said}\n{place}")), "{words:?}");
    }
}

#[test]
fn a_policy_that_is_broken_is_served_by_nobody() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("rules.json");
    fs::write(&file, r#"{"rules":[{"allow":["read"],"to":["a b"],"crates":["*"]}]}"#).unwrap();
    let start = |file: &Path| {
        let mut serve = axum_server();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        run(serve.arg("--policy").arg(file))
    };
    let (status, _, error) = start(&file);
    assert_eq!(status, Some(1));
    assert!(
        error.starts_with(&format!("error: `{}`: rule 1: `a b` is not a login", file.display())),
        "{error}"
    );
    let (status, _, error) = start(&folder.path().join("absent"));
    assert_eq!(status, Some(1));
    assert!(error.starts_with("error: cannot read `"), "{error}");
}

#[test]
fn new_names_are_reserved_and_approved() {
    let rules = "approval = true\n[[reserved]]\nnames = [\"ui-*\"]\nfor = [\"uma\"]\n";
    let (_folder, server) = served("--new-names", rules, &[]);
    let (uma, eve) = (Cargo::of(&server, "uma"), Cargo::of(&server, "eve"));
    uma.publish_library("ui-kit", "1.0.0");
    let refused = eve.publish(&eve.library("ui-x", "1.0.0")).failure();
    let reason = "(status 403 Forbidden): the crate name `ui_x` is reserved for `uma`";
    assert!(refused.contains(reason), "{refused}");
    let refused = eve.publish(&eve.library("tool", "1.0.0")).failure();
    let reason = "the crate name `tool` is new: an administrator of this registry has to approve \
                  it first";
    assert!(refused.contains(reason), "{refused}");

    let name = |words: &[&str]| run(&mut server.command([&["name"], words].concat()));
    assert_eq!(name(&["approve", "tool", "--for", "eve", "--by", "ada"]).0, Some(0));
    uma.publish(&uma.library("tool", "1.0.0")).failure();
    let (status, listed, _) = name(&["list"]);
    assert_eq!(status, Some(0));
    assert!(listed.starts_with("tool\teve\tada\t"), "{listed}");
    eve.publish_library("tool", "1.0.0");
    // The approval was for the name: versions need none.
    assert_eq!(name(&["revoke", "tool"]).0, Some(0));
    eve.publish_library("tool", "1.1.0");
    let (status, _, error) = name(&["revoke", "tool"]);
    assert_eq!((status, &*error), (Some(1), "error: the name `tool` was not approved\n"));
}

const EXPLAINED: &str = r#"
[[rules]]
name = "the UI team"
allow = ["read", "publish-new"]
to = ["group:ui"]
crates = ["ui-*"]

[[rules]]
deny = ["publish-new"]
to = ["group:guests"]
crates = ["*"]

[[rules]]
allow = ["read"]
to = [{ issuer = "https://sso.example.com", subject = "7" }]
crates = ["*"]
"#;

const ACCOUNTS: &str = r#"
[users.fay]
groups = ["guests", "ui"]

[users.gus]
disabled = true

[groups.ui]
[groups.guests]
"#;

#[test]
fn an_explanation_looks_at_all_that_a_server_does() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let policy = file("rules.toml", EXPLAINED);
    let names = file("names.toml", "approval = true\n");
    let accounts = file("accounts.toml", ACCOUNTS);
    let data = folder.path().join("data");
    let command = |words: &[&str]| run(axum_server().args(words).arg("--data").arg(&data));
    for words in [
        &["user", "add", "dora"][..],
        &["user", "disable", "dora"],
        &["group", "create", "ui"],
        &["name", "approve", "ui-kit", "--for", "group:ui"],
    ] {
        assert_eq!(command(words).0, Some(0), "{words:?}");
    }
    let explain = |words: &[&str]| {
        let (status, said, error) =
            command(&[&["policy", "explain", "--policy", &policy], words].concat());
        (status, said + &error)
    };
    let ui = "allowed by rule 1 (line 2), \"the UI team\": allow read, publish-new to group:ui on \
              ui-*";
    let guests = "denied by rule 2 (line 8): deny publish-new to group:guests on *";
    let sso = "allowed by rule 3 (line 13): allow read to 7 of issuer https://sso.example.com on *";
    let new = |words: &[&'static str]| {
        [&["--action", "publish-new", "--new-names", &names], words].concat().join(" ")
    };
    for (words, status, said) in [
        // A group by both its spellings.
        (
            "--action read --crate ui-x --user eve --group ui".into(),
            0,
            format!("{ui}\nin {policy}\n"),
        ),
        (
            "--action read --crate ui-x --user eve --group group:ui".into(),
            0,
            format!("{ui}\nin {policy}\n"),
        ),
        (
            "--action publish-new --crate ui-x --user eve --group ui --group guests".into(),
            3,
            format!("{guests}\nin {policy}\n"),
        ),
        // New names.
        (
            new(&["--user", "eve", "--group", "ui", "--crate", "ui-kit"]),
            0,
            format!("{ui}\nin {policy}\nand by the rules in {names}\n"),
        ),
        (
            new(&["--user", "eve", "--group", "ui", "--crate", "ui-x"]),
            3,
            format!(
                "denied: the crate name `ui_x` is new: an administrator of this registry has to \
                 approve it first\nin {names}\n"
            ),
        ),
        (
            new(&["--user", "eve", "--crate", "ui-kit"]),
            3,
            format!("denied: the crate may not be read\nin {policy}\n"),
        ),
        // Accounts, of the index and of a file.
        (
            "--action read --crate ui-x --user dora --group ui".into(),
            3,
            "denied: `dora` is disabled\n".into(),
        ),
        (
            format!("--action publish-new --crate ui-x --user fay --accounts {accounts}"),
            3,
            format!("{guests}\nin {policy}\n"),
        ),
        (
            format!("--action read --crate ui-x --user fay --accounts {accounts}"),
            0,
            format!("{ui}\nin {policy}\n"),
        ),
        (
            format!("--action read --crate ui-x --user gus --accounts {accounts}"),
            3,
            "denied: `gus` is disabled\n".into(),
        ),
        // Identities.
        (
            "--action read --crate a --user corp:7 --issuer https://sso.example.com --subject 7"
                .into(),
            0,
            format!("{sso}\nin {policy}\n"),
        ),
        (
            "--action read --crate a --user corp:8 --issuer https://sso.example.com --subject 8"
                .into(),
            3,
            format!("denied: no rule allows it\nin {policy}\n"),
        ),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        assert_eq!(explain(&words), (Some(status), said), "{words:?}");
    }
}

#[test]
fn what_a_guest_may_not_read_their_tokens_and_keys_may_not_either() {
    let id = IdentityServer::start(Algorithm::Es256);
    let oidc = id.file("login", "prefix = \"corp:\"\ngroups-claim = \"groups\"");
    let rules = format!(
        r#"
[[rules]]
allow = ["read", "publish-new"]
to = ["authenticated"]
crates = ["*"]

[[rules]]
deny = ["read"]
to = ["group:corp:guests", "group:guests"]
crates = ["secret-*"]

[[rules]]
deny = ["read"]
to = [{{ issuer = "{}" }}]
crates = ["inner-*"]
"#,
        id.url()
    );
    let flags = ["--oidc", &oidc, "--trusted-proxy", "127.0.0.0/8"];
    let headers = ["--proxy-user-header", "X-User", "--proxy-groups-header", "X-Groups"];
    let (_folder, server) = served("--policy", &rules, &[&flags[..], &headers].concat());
    let cargo = Cargo::of(&server, "alice");
    let names = ["hello", "secret-plans", "inner-api"];
    names.iter().for_each(|name| cargo.publish_library(name, "1.0.0"));
    let read = |client: &Client| {
        names.map(|name| client.get(&CrateFile::library(name, "1.0.0", b"").index_path()).status)
    };
    let with_token_of = |client: &Client, headers: &[(&str, &str)]| {
        let asked = json!({"api_token": {"name": "laptop"}}).to_string();
        let made = client.send("PUT", "/main/api/v1/me/tokens", headers, asked.as_bytes()).json();
        server.client().with_token(made["api_token"]["token"].as_str().unwrap())
    };

    for (sub, groups, expected) in [
        ("guest", json!(["guests"]), [200, 404, 404]),
        ("member", json!(["members"]), [200, 200, 404]),
    ] {
        let token = id.token(&json!({"sub": sub, "groups": groups}));
        let person = server.client().with_token(&format!("Bearer {token}"));
        assert_eq!(read(&person), expected, "{sub}");
        assert_eq!(read(&with_token_of(&person, &[])), expected, "by a token of {sub}");
    }

    let guest = [("x-user", "bob"), ("x-groups", "guests")];
    assert_eq!(read(&with_token_of(&server.client(), &guest)), [200, 404, 200]);
    let key = json!({"key": {"public_key": PUBLIC}}).to_string();
    let added = server.client().send("PUT", "/main/api/v1/me/keys", &guest, key.as_bytes());
    assert_eq!(added.status, 200, "{}", added.text());
    let signing = with_key(&server);
    let fetch = |name: &str| {
        let app = signing.program("app", "");
        let app = app.dependencies(&format!("{name} = {{ version = \"1\", registry = \"main\" }}"));
        signing.run_in(&app, ["fetch"])
    };
    fetch("hello").success();
    fetch("inner-api").success();
    let refused = fetch("secret-plans").failure();
    assert!(refused.contains("no matching package named `secret-plans` found"), "{refused}");
}

#[test]
fn a_user_of_an_identity_provider_signs_with_a_key_what_they_may_do() {
    let id = IdentityServer::start(Algorithm::Es256);
    let oidc = id.file("login", "prefix = \"corp:\"\ngroups-claim = \"groups\"");
    let rules = format!(
        r#"
[[rules]]
allow = ["read", "publish-new"]
to = ["authenticated"]
crates = ["*"]

[[rules]]
deny = ["publish-new"]
to = ["group:corp:guests"]
crates = ["secret-*"]

[[rules]]
deny = ["publish-new"]
to = [{{ issuer = "{}", subject = "alice" }}]
crates = ["inner-*"]
"#,
        id.url()
    );
    let (_folder, server) = served("--policy", &rules, &["--oidc", &oidc]);
    let command = |words: &[&str]| run(&mut server.command(words.iter().copied()));
    // Nobody here has heard of her yet.
    let (status, _, error) = command(&["user", "disable", "corp:alice"]);
    assert_eq!((status, &*error), (Some(1), "error: there is no user `corp:alice`\n"));
    let person = id.token(&json!({"sub": "alice", "groups": ["guests"]}));
    let person = server.client().with_token(&format!("Bearer {person}"));
    let key = json!({"key": {"public_key": PUBLIC, "name": "laptop"}}).to_string();
    // As after an answer that was lost.
    for _ in 0..2 {
        let added = person.send("PUT", "/main/api/v1/me/keys", &[], key.as_bytes());
        assert_eq!(added.status, 200, "{}", added.text());
    }
    let (_, keys, _) = command(&["key", "list"]);
    let keys: Vec<_> = keys.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
    let [ref listed] = keys[..] else { panic!("{keys:?}") };
    assert_eq!(
        (listed[0], listed[1], &listed[3..]),
        (ID, "corp:alice", &["valid", "", "laptop"][..])
    );

    let signing = with_key(&server);
    let publish = |name: &str| signing.publish(&signing.library(name, "1.0.0"));
    publish("hello").success();
    let owners = signing.run(["owner", "--registry", "main", "--list", "hello"]).success();
    assert_eq!(owners, "corp:alice\n");
    for (name, rule) in [("secret-plans", "group:corp:guests"), ("inner-api", "issuer")] {
        let refused = publish(name).failure();
        assert!(refused.contains("(status 403 Forbidden)"), "{rule}: {refused}");
    }
    assert_eq!(command(&["user", "list"]).1, "corp:alice\tuser\t-\t-\n");
    assert_eq!(command(&["user", "disable", "corp:alice"]).0, Some(0));
    let refused = publish("world").failure();
    assert!(refused.contains("token rejected for `main`"), "{refused}");
    assert_eq!(command(&["user", "enable", "corp:alice"]).0, Some(0));
    publish("world").success();
}
