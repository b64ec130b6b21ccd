//! Every write, every refused write and every token that was made is in the audit trail, once.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Answer, Client, CrateFile, Place, Server, wait_for};

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
