//! Every write, every refused write and every token that was made is in the audit trail, once.

use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::auth::oidc::Algorithm;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    accounts::{administer_with_input, basic},
    asymmetric::{ID, PUBLIC},
    common::{Answer, Client, CrateFile, IdentityServer, Place, Server, wait_for},
    trusted,
};

/// What `axum_server audit` prints with these flags.
fn printed(server: &Server, flags: &[&str]) -> String {
    let output = server.command(["audit"].iter().chain(flags).copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The entries, but for their ids and times, which are there in ascending order.
fn trail(server: &Server, flags: &[&str]) -> Vec<Value> {
    let printed = printed(server, &[&["--json"], flags].concat());
    let mut entries: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = entries.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for entry in &mut entries {
        let fields = entry.as_object_mut().unwrap();
        fields.remove("id");
        let at = fields.remove("at").unwrap();
        assert!(at.as_str().unwrap().ends_with('Z') && at.as_str() > Some("2025"), "{at}");
    }
    entries
}

fn request(answer: &Answer) -> &str {
    answer.header("x-request-id").unwrap()
}

fn each_write_and_each_refusal_is_a_row(server: &Server) {
    let (alice_token, bob_token) = (server.token("alice"), server.token("bob"));
    let client = |token: &str| server.client().with_token(token);
    let (nobody, alice, bob) = (server.client(), client(&alice_token), client(&bob_token));
    let stranger = client("wrong");
    let [one, two] = ["1.0.0", "2.0.0"].map(|version| CrateFile::library("Foo-Bar", version, b""));
    let mut damaged = two.frame();
    *damaged.last_mut().unwrap() ^= 1;
    let yank = |client: &Client, version: &str| {
        client.send("DELETE", &format!("/main/api/v1/crates/foo-bar/{version}/yank"), &[], b"")
    };
    let owners = |client: &Client, method: &str, body: &str| {
        client.send(method, "/main/api/v1/crates/foo-bar/owners", &[], body.as_bytes())
    };

    // By its id a token is known in what is made with it.
    let made = trail(server, &[]);
    let [alice_id, bob_id] = [0, 1].map(|at| made[at]["detail"].as_str().unwrap().to_owned());
    assert!(alice_id.starts_with("token ") && bob_id.starts_with("token ") && alice_id != bob_id);
    let mut expected = Vec::new();
    for (user, id) in [("alice", &alice_id), ("bob", &bob_id)] {
        expected.push(json!({
            "outcome": "done", "action": "create-token", "crate": null, "version": null,
            "user": user, "credential": "command", "address": null, "request": null, "detail": id,
        }));
    }
    let mut note = |answer: Answer, who, action, about: (Option<&str>, Option<&str>), detail| {
        let (outcome, detail) = match (answer.status, detail) {
            (200, detail) => ("done", detail),
            // What the client was told.
            (_, Some(detail)) => ("refused", Some(detail)),
            (_, None) => ("refused", Some(answer.error().1)),
        };
        let (user, credential) = match who {
            "alice" => (Some("alice"), Some(&alice_id)),
            "bob" => (Some("bob"), Some(&bob_id)),
            _ => (None, None),
        };
        expected.push(json!({
            "outcome": outcome, "action": action, "crate": about.0, "version": about.1,
            "user": user, "credential": credential, "address": "127.0.0.1",
            "request": request(&answer), "detail": detail,
        }));
        answer.status
    };
    let about = |version| (Some("foo_bar"), Some(version));
    let whole = (Some("foo_bar"), None);
    let unknown = (None, None);

    // Before the body is read.
    assert_eq!(note(nobody.publish(&one.frame()), "", "publish", unknown, None), 401);
    assert_eq!(note(stranger.publish(&one.frame()), "", "publish", unknown, None), 401);
    let gzip = [("content-encoding", "gzip")];
    let packed = alice.send("PUT", "/main/api/v1/crates/new", &gzip, b"x");
    assert_eq!(note(packed, "alice", "publish", unknown, None), 415);
    let endless = alice.send("PUT", "/main/api/v1/crates/new", &[], &[0xff; 12]);
    assert_eq!(note(endless, "alice", "publish", unknown, None), 413);

    let file = |file: &CrateFile| Some(format!("sha256:{}", file.checksum()));
    let done = alice.publish(&one.frame());
    assert_eq!(note(done, "alice", "publish", about("1.0.0"), file(&one)), 200);
    assert_eq!(note(alice.publish(&one.frame()), "alice", "publish", about("1.0.0"), None), 409);
    assert_eq!(note(alice.publish(&damaged), "alice", "publish", about("2.0.0"), None), 400);
    assert_eq!(note(bob.publish(&two.frame()), "bob", "publish", about("2.0.0"), None), 403);

    assert_eq!(note(yank(&nobody, "1.0.0"), "", "yank", about("1.0.0"), None), 401);
    assert_eq!(note(yank(&bob, "1.0.0"), "bob", "yank", about("1.0.0"), None), 403);
    assert_eq!(note(yank(&alice, "2.0.0"), "alice", "yank", about("2.0.0"), None), 404);
    assert_eq!(note(yank(&alice, "1.0.0"), "alice", "yank", about("1.0.0"), None), 200);
    let unyank = alice.put("/main/api/v1/crates/foo-bar/1.0.0/unyank", b"");
    assert_eq!(note(unyank, "alice", "unyank", about("1.0.0"), None), 200);

    let (add, remove) = ("add-owners", "remove-owners");
    let list = Some("bob".to_owned());
    assert_eq!(note(owners(&alice, "PUT", "{"), "alice", add, whole, None), 400);
    let unowned = owners(&bob, "PUT", r#"{"users":["bob"]}"#);
    let detail = Some(format!("bob: {}", unowned.error().1));
    assert_eq!(note(unowned, "bob", add, whole, detail), 403);
    let added = owners(&alice, "PUT", r#"{"users":["bob"]}"#);
    assert_eq!(note(added, "alice", add, whole, list.clone()), 200);
    let removed = owners(&alice, "DELETE", r#"{"users":["bob"]}"#);
    assert_eq!(note(removed, "alice", remove, whole, list), 200);
    let last = owners(&alice, "DELETE", r#"{"users":["alice"]}"#);
    let detail = Some(format!("alice: {}", last.error().1));
    assert_eq!(note(last, "alice", remove, whole, detail), 400);

    assert_eq!(trail(server, &[]), expected);
    // The log says the same, a line for each that a server wrote.
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(" audit: ")).collect();
    assert_eq!(lines.len(), expected.len() - 2, "{lines:?}");
    for (line, entry) in lines.iter().zip(&expected[2..]) {
        for field in ["outcome", "action", "crate", "version", "user", "address", "request"] {
            match entry[field].as_str() {
                Some(value) => assert!(line.contains(&format!("{field}=\"{value}\"")), "{line}"),
                None => assert!(!line.contains(&format!(" {field}=")), "{line}"),
            }
        }
    }

    let only = |flags: &[&str], matches: &dyn Fn(&Value) -> bool| {
        let matching: Vec<_> = expected.iter().filter(|entry| matches(entry)).cloned().collect();
        assert!(!matching.is_empty() && matching.len() < expected.len());
        assert_eq!(trail(server, flags), matching, "{flags:?}");
    };
    only(&["--user", "bob"], &|entry| entry["user"] == "bob");
    only(&["--crate", "Foo_bar"], &|entry| entry["crate"] == "foo_bar");
    only(&["--action", "yank"], &|entry| entry["action"] == "yank");
    only(&["--outcome", "refused"], &|entry| entry["outcome"] == "refused");
    only(&["--outcome", "done", "--user", "alice", "--action", "publish"], &|entry| {
        entry["detail"] == json!(file(&one))
    });
    assert_eq!(trail(server, &["--limit", "3"]), expected[..3]);
    assert_eq!(trail(server, &["--until", "2025-01-01"]), [] as [Value; 0]);
    assert_eq!(trail(server, &["--since", "2025-01-01T00:00:00Z"]), expected);
    let text = printed(server, &["--action", "unyank"]);
    let rest = text.split_once(' ').unwrap().1;
    let credential = alice_id.replace(' ', ":");
    let request = expected[14]["request"].as_str().unwrap();
    let line = format!("done unyank foo_bar@1.0.0 alice {credential} 127.0.0.1 {request} -\n");
    assert_eq!(rest, line);
}

#[test]
fn each_write_and_each_refusal_is_a_row_of_sqlite() {
    each_write_and_each_refusal_is_a_row(&Server::start());
}

#[test]
fn each_write_and_each_refusal_is_a_row_of_postgres() {
    let Some(place) = Place::postgres() else { return };
    each_write_and_each_refusal_is_a_row(&Server::start_at(&place));
}

/// What a command is noted as.
fn by_command(user: Option<&str>, action: &str, name: Option<&str>, detail: &str) -> Value {
    json!({
        "outcome": "done", "action": action, "crate": name, "version": null, "user": user,
        "credential": "command", "address": null, "request": null, "detail": detail,
    })
}

/// What a request about one's own access is noted as.
fn by_request(answer: &Answer, by: &str, action: &str, done: Result<&str, &str>) -> Value {
    let (outcome, detail) = match done {
        Ok(detail) => ("done", detail),
        Err(reason) => ("refused", reason),
    };
    let (user, credential) = match by {
        "" => (None, None),
        credential => (Some("alice"), Some(credential)),
    };
    json!({
        "outcome": outcome, "action": action, "crate": null, "version": null, "user": user,
        "credential": credential, "address": "127.0.0.1", "request": request(answer),
        "detail": detail,
    })
}

#[test]
fn an_account_that_is_made_for_whom_a_proxy_sends_is_a_row_once() {
    let proxy = ["--trusted-proxy", "127.0.0.1", "--proxy-user-header", "x-user"];
    let server = Server::start_with(&proxy);
    let read = |user: &str| {
        let answer = server.client().get_with("/main/index/config.json", &[("x-user", user)]);
        assert_eq!(answer.status, 200);
        answer
    };
    let (alice, bob) = (read("alice"), read("bob"));
    read("alice");
    let row = |user: &str, answer: &Answer| {
        json!({
            "outcome": "done", "action": "change-account", "crate": null, "version": null,
            "user": user, "credential": "proxy", "address": "127.0.0.1",
            "request": request(answer), "detail": "made as a user",
        })
    };
    assert_eq!(trail(&server, &[]), [row("alice", &alice), row("bob", &bob)]);
}

fn access_given_and_taken_is_a_row(server: &Server) {
    let password = "correct horse";
    let run = |command: &[&str], input: &str| administer_with_input(server, command, input);
    let key_id = format!("key {ID}");
    let mut expected = Vec::new();
    for (command, input, entries) in [
        (
            "user add alice --password-stdin",
            password,
            [("alice", "made as a user"), ("alice", "password set")].as_slice(),
        ),
        ("user add bot --service", "", &[("bot", "made as a service")]),
        ("group create ui", "", &[("group:ui", "made as a group")]),
        (
            "group add ui alice bot",
            "",
            &[("alice", "made a member of group:ui"), ("bot", "made a member of group:ui")],
        ),
        ("group remove ui bot", "", &[("bot", "no longer a member of group:ui")]),
        ("user disable bot", "", &[("bot", "disabled")]),
        ("user enable bot", "", &[("bot", "enabled")]),
    ] {
        run(&command.split(' ').collect::<Vec<_>>(), input).success();
        for (user, detail) in entries {
            expected.push(by_command(Some(user), "change-account", None, detail));
        }
    }
    // What is not done is not noted.
    run(&["user", "add", "alice"], "").failure();
    run(&["name", "approve", "New-Name", "--for", "group:ui", "--by", "carol"], "").success();
    expected.push(by_command(Some("group:ui"), "approve-name", Some("new_name"), "carol"));
    run(&["name", "revoke", "new-name"], "").success();
    expected.push(by_command(None, "revoke-name", Some("new_name"), "an administrator"));
    run(&["key", "add", "--user", "alice"], PUBLIC).success();
    expected.push(by_command(Some("alice"), "add-key", None, &key_id));

    let (nobody, alice) = (server.client(), basic(server, "alice", password));
    let send = |client: &Client, method: &str, path: &str, body: Value| {
        let body = body.to_string();
        client.send(method, &format!("/main/api/v1/{path}"), &[], body.as_bytes())
    };
    let new_token = || json!({"api_token": {"name": "ci"}});
    let mut note = |answer: &Answer, by: &str, action: &str, done: Option<&str>| {
        let error = (!(200..300).contains(&answer.status)).then(|| answer.error().1);
        let done = done.ok_or_else(|| error.as_deref().unwrap());
        expected.push(by_request(answer, by, action, done));
        answer.status
    };
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let made = send(&alice, "PUT", "me/tokens", new_token());
        let shown = &made.json()["api_token"];
        let id = format!("token {}", shown["id"]);
        assert_eq!(note(&made, "password", "create-token", Some(&id)), 200);
        tokens.push((shown["token"].as_str().unwrap().to_owned(), id));
    }
    let [(one, one_id), (two, two_id)] = tokens.try_into().unwrap();
    let by_one = server.client().with_token(&one);
    let refused = send(&by_one, "PUT", "me/tokens", new_token());
    assert_eq!(note(&refused, &one_id, "create-token", None), 403);
    let refused = send(&nobody, "PUT", "me/tokens", new_token());
    assert_eq!(note(&refused, "", "create-token", None), 401);
    let path = format!("me/tokens/{}", one_id.strip_prefix("token ").unwrap());
    let revoked = send(&alice, "DELETE", &path, json!(null));
    assert_eq!(note(&revoked, "password", "revoke-token", Some(&one_id)), 200);
    let current = send(&server.client().with_token(&two), "DELETE", "tokens/current", json!(null));
    assert_eq!(note(&current, &two_id, "revoke-token", Some(&two_id)), 204);
    let current = send(&alice, "DELETE", "tokens/current", json!(null));
    assert_eq!(note(&current, "password", "revoke-token", None), 400);
    let added = send(&alice, "PUT", "me/keys", json!({"key": {"public_key": PUBLIC}}));
    assert_eq!(note(&added, "password", "add-key", Some(&key_id)), 200);
    let added = send(&alice, "PUT", "me/keys", json!({"key": {"public_key": "k3.secret.x"}}));
    assert_eq!(note(&added, "password", "add-key", None), 400);
    let revoked = send(&alice, "DELETE", &format!("me/keys/{ID}"), json!(null));
    assert_eq!(note(&revoked, "password", "revoke-key", Some(&key_id)), 200);
    // Nobody is told whether there is such a token; the trail tells of the attempt.
    let revoked = send(&alice, "DELETE", "me/tokens/1", json!(null));
    assert_eq!(revoked.status, 200);
    let reason = Err("token 1: none of theirs that counts");
    expected.push(by_request(&revoked, "password", "revoke-token", reason));

    run(&["key", "revoke", ID], "").success();
    expected.push(by_command(Some("alice"), "revoke-key", None, &key_id));
    run(&["user", "password", "alice", "--remove"], "").success();
    expected.push(by_command(Some("alice"), "change-account", None, "password removed"));

    assert_eq!(trail(server, &[]), expected);
    let (printed, log) = (printed(server, &["--json"]), server.log());
    for secret in [password, &one, &two] {
        assert!(!printed.contains(secret) && !log.contains(secret));
    }
}

#[test]
fn access_given_and_taken_is_a_row_of_sqlite() {
    access_given_and_taken_is_a_row(&Server::start());
}

#[test]
fn access_given_and_taken_is_a_row_of_postgres() {
    let Some(place) = Place::postgres() else { return };
    access_given_and_taken_is_a_row(&Server::start_at(&place));
}

fn publishing_from_ci_is_a_row(start: impl FnOnce(&[&str]) -> Server) {
    let ci = IdentityServer::start(Algorithm::Es256);
    let server = &start(&["--oidc", &ci.file("trusted-publishing", "")]);
    let (alice, bob, nobody) =
        (server.client_of("alice"), server.client_of("bob"), server.client());
    let hello = |version: &str| CrateFile::library("hello", version, b"");
    assert_eq!(alice.publish(&hello("1.0.0").frame()).status, 200);
    let mut expected = trail(server, &[]);
    let [alice_id, bob_id] = [0, 1].map(|at| expected[at]["detail"].as_str().unwrap().to_owned());
    let mut note = |answer: &Answer, who: (Option<&str>, Option<&str>), action, about, done| {
        let (outcome, detail): (_, String) = match done {
            Some(detail) => ("done", detail),
            None => ("refused", answer.error().1),
        };
        let (name, version): (Option<&str>, Option<&str>) = about;
        expected.push(json!({
            "outcome": outcome, "action": action, "crate": name, "version": version,
            "user": who.0, "credential": who.1, "address": "127.0.0.1",
            "request": request(answer), "detail": detail,
        }));
        answer.status
    };
    let (by_alice, by_bob) = ((Some("alice"), Some(&*alice_id)), (Some("bob"), Some(&*bob_id)));
    let (by_nobody, crate_alone, nothing) = ((None, None), (Some("hello"), None), (None, None));
    let (configure, exchange) = ("configure-trusted-publishing", "exchange-token");

    let configs = "/main/api/v1/trusted_publishing/github_configs";
    let config = |name: &str| {
        let config = json!({"github_config": {
            "crate": name, "repository_owner": "octo-org", "repository_owner_id": 65,
            "repository_name": "hello", "workflow_filename": "publish.yml", "issuer": ci.url(),
        }});
        config.to_string()
    };
    let add = |client: &Client, body: &str| client.send("POST", configs, &[], body.as_bytes());
    assert_eq!(note(&add(&alice, "{"), by_alice, configure, nothing, None), 400);
    assert_eq!(note(&add(&nobody, &config("hello")), by_nobody, configure, nothing, None), 401);
    assert_eq!(note(&add(&bob, &config("hello")), by_bob, configure, crate_alone, None), 403);
    let absent = (Some("absent"), None);
    assert_eq!(note(&add(&alice, &config("absent")), by_alice, configure, absent, None), 404);
    let added = add(&alice, &config("hello"));
    let id = added.json()["github_config"]["id"].to_string();
    let detail = Some(format!("trusted publisher {id} added"));
    assert_eq!(note(&added, by_alice, configure, crate_alone, detail), 200);

    let jwt = ci.token(&trusted::run());
    let exchanged = trusted::exchange(server, "PUT", &jwt);
    let token = trusted::token(&exchanged);
    let tokens = server.command(["token", "list"]).output().unwrap();
    let tokens = String::from_utf8(tokens.stdout).unwrap();
    let line = tokens.lines().find(|line| line.contains("trusted-publisher:")).unwrap();
    let [token_id, login] = [0, 1].map(|at| line.split('\t').nth(at).unwrap());
    let detail = format!("token {token_id} for octo-org/hello run_id 1658821493");
    assert_eq!(note(&exchanged, by_nobody, exchange, nothing, Some(detail)), 200);
    let again = trusted::exchange(server, "POST", &jwt);
    assert_eq!(note(&again, by_nobody, exchange, nothing, None), 400);
    let none = trusted::exchange(server, "PUT", "");
    assert_eq!(note(&none, by_nobody, exchange, nothing, None), 400);

    let credential = format!("trusted-publisher {token_id}");
    let by_run = (Some(login), Some(&*credential));
    let run = server.client().with_token(&token);
    let (file, one) = (hello("1.1.0"), (Some("hello"), Some("1.1.0")));
    let checksum = Some(format!("sha256:{}", file.checksum()));
    assert_eq!(note(&run.publish(&file.frame()), by_run, "publish", one, checksum), 200);
    let path = format!("{configs}/{id}");
    let remove = |client: &Client| client.send("DELETE", &path, &[], b"");
    assert_eq!(note(&remove(&run), by_run, configure, crate_alone, None), 403);
    assert_eq!(note(&remove(&bob), by_bob, configure, crate_alone, None), 403);
    let detail = Some(format!("trusted publisher {id} removed"));
    assert_eq!(note(&remove(&alice), by_alice, configure, crate_alone, detail), 204);
    assert_eq!(note(&remove(&alice), by_alice, configure, nothing, None), 404);
    // By a token that counts, of a publisher that is no more.
    let (late, next) = (run.publish(&hello("1.2.0").frame()), (Some("hello"), Some("1.2.0")));
    assert_eq!(note(&late, by_run, "publish", next, None), 403);
    let give_back = |client: &Client| client.send("DELETE", trusted::EXCHANGE, &[], b"");
    assert_eq!(note(&give_back(&alice), by_alice, "revoke-token", nothing, None), 403);
    let own = Some("its own".to_owned());
    assert_eq!(note(&give_back(&run), by_run, "revoke-token", nothing, own), 204);
    assert_eq!(note(&give_back(&nobody), by_nobody, "revoke-token", nothing, None), 401);

    assert_eq!(trail(server, &[]), expected);
    for secret in [&jwt, &token] {
        assert!(!printed(server, &["--json"]).contains(secret.as_str()));
    }
}

#[test]
fn publishing_from_ci_is_a_row_of_sqlite() {
    publishing_from_ci_is_a_row(Server::start_with);
}

#[test]
fn publishing_from_ci_is_a_row_of_postgres() {
    let Some(place) = Place::postgres() else { return };
    publishing_from_ci_is_a_row(|flags| Server::start_at_with(&place, flags));
}

#[test]
fn an_index_without_a_database_says_where_its_trail_is() {
    let folder = TempDir::new().unwrap();
    let server = Server::start_at(&Place::folder(&folder));
    let alice = server.client_of("alice");
    assert_eq!(alice.publish(&CrateFile::library("hello", "1.0.0", b"").frame()).status, 200);
    let output = server.command(["audit"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the lines of the servers' log with the target `audit` are the trail"));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(" audit: ")).unwrap();
    for field in ["outcome=\"done\"", "action=\"publish\"", "crate=\"hello\"", "user=\"alice\""] {
        assert!(line.contains(field), "{line}");
    }
}

/// Kills the server while it publishes, and compares the trail with the index.
#[test]
fn a_publish_that_is_killed_has_its_row_if_and_only_if_it_is_there() {
    let mut server = Server::start();
    let token = server.token("alice");
    for round in 0..5 {
        let killed = AtomicBool::new(false);
        let client = server.client().with_token(&token);
        std::thread::scope(|scope| {
            for publisher in 0..3 {
                let (client, killed) = (&client, &killed);
                scope.spawn(move || {
                    for count in 0.. {
                        let version = format!("{round}.{publisher}.{count}");
                        let frame = CrateFile::library("hello", &version, b"").frame();
                        let path = "/main/api/v1/crates/new";
                        if client.try_send("PUT", path, &[], &frame).is_none() {
                            assert!(killed.load(Ordering::SeqCst));
                            return;
                        }
                    }
                });
            }
            let rows = || {
                let data = Connection::open(server.data().join("index.sqlite")).unwrap();
                data.query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0)).ok()
            };
            wait_for("publishes", || rows().filter(|rows| *rows > 10 * (round + 1)));
            killed.store(true, Ordering::SeqCst);
            server.kill();
        });
        server.restart();
    }
    let index = server.client().get("/main/index/he/ll/hello");
    let lines = index.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let listed: Vec<_> = lines.map(|line| line["vers"].clone()).collect();
    let rows = trail(&server, &["--action", "publish", "--outcome", "done"]);
    let recorded: Vec<_> = rows.iter().map(|entry| entry["version"].clone()).collect();
    assert!(listed.len() > 10);
    assert_eq!(recorded, listed);
}
