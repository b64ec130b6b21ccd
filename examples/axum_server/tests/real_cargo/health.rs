//! `/healthz` and `/readyz`.

use std::fs;

use serde_json::json;

use crate::common::{Client, Server, wait_for};

fn ask(client: &Client, path: &str) -> (u16, serde_json::Value) {
    let answer = client.get(path);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (answer.status, answer.json())
}

#[test]
fn a_server_whose_backends_can_be_reached_is_ready() {
    let server = Server::start();
    let client = server.client();
    assert_eq!(ask(&client, "/healthz"), (200, json!({})));
    let ready = (200, json!({ "ready": true, "writable": true }));
    assert_eq!(ask(&client, "/readyz"), ready);
    // Nobody has to log in for it, and it is no part of the registry.
    let server = Server::start_with(&["--private"]);
    assert_eq!(ask(&server.client(), "/readyz"), ready);
    assert_eq!(server.client().get("/main/readyz").status, 404);
}

#[test]
fn operators_are_told_which_backend_is_not_ready() {
    // Of a proxy's clients, the operators are those whom it names.
    let flags = ["--operator", "198.51.100.0/24", "--trusted-proxy", "127.0.0.1"];
    let server = Server::start_with(&flags);
    let from = |address| {
        let answer = server.client().get_with("/readyz", &[("x-forwarded-for", address)]);
        (answer.status, answer.json())
    };
    let well = json!({ "index": "ready", "crates": "ready" });
    let all = json!({ "ready": true, "writable": true, "backends": well });
    assert_eq!(from("198.51.100.7"), (200, all));

    let (crates, gone) = (server.data().join("crates"), server.data().join("gone"));
    fs::rename(&crates, &gone).unwrap();
    let (status, told) = wait_for("the loss to be noticed", || {
        Some(from("198.51.100.7")).filter(|(status, _)| *status != 200)
    });
    assert_eq!(
        (status, &told["ready"], &told["backends"]["index"]),
        (503, &json!(false), &json!("ready"))
    );
    let why = told["backends"]["crates"].as_str().unwrap();
    let expected = format!("the folder `{}` is gone", crates.display());
    assert!(why.ends_with(&expected), "{why}");
    // Everybody else only that it is not.
    assert_eq!(from("203.0.113.1"), (503, json!({ "ready": false, "writable": false })));
    let answer = server.client().get("/readyz");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.json(), json!({ "ready": false, "writable": false }));
    assert_eq!(server.client().get("/healthz").status, 200);
    let warnings = || server.log().matches("a backend is not ready").count();
    assert_eq!(warnings(), 1);

    fs::rename(&gone, &crates).unwrap();
    wait_for("it to be ready again", || (from("203.0.113.1").0 == 200).then_some(()));
    assert_eq!(warnings(), 1);
}

#[test]
fn accounts_that_are_apart_from_the_index_are_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    let index = format!("file:{}", folder.path().join("index").display());
    let server = Server::start_with(&["--index", &index, "--operator", "127.0.0.1"]);
    let client = server.client();
    let well = json!({ "index": "ready", "crates": "ready", "accounts": "ready" });
    let all = json!({ "ready": true, "writable": true, "backends": well });
    assert_eq!(ask(&client, "/readyz"), (200, all));
    fs::rename(server.data().join("index.sqlite"), server.data().join("gone")).unwrap();
    let told = wait_for("the loss to be noticed", || {
        Some(ask(&client, "/readyz")).filter(|(status, _)| *status == 503).map(|(_, told)| told)
    });
    let why = told["backends"]["accounts"].as_str().unwrap();
    assert!(why.ends_with("moved, removed or replaced while it was in use"), "{why}");
    assert_eq!(told["backends"]["index"], "ready");
}
