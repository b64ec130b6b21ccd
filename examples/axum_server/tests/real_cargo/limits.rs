//! What cargo makes of it when somebody asks too often.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{Cargo, Place, Server, wait_for};

const LATER: &str = "in a short period of time. Please try again after ";

#[test]
fn cargo_waits_and_fetches_when_its_reads_are_too_many() {
    let flags = ["--private", "--rate-limits", "read=1/1s"];
    let server = Server::start_with(&flags);
    // As often as cargo does if nobody says otherwise.
    let cargo = Cargo::of(&server, "alice").with("CARGO_NET_RETRY", "3");
    cargo.publish_library("hello", "1.0.0");
    let app =
        cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.run_in(&app, ["fetch"]).success();
    // Each refusal is followed by an answer, of index and download alike: cargo asks again after
    // the second that it is told to wait.
    let statuses = server.requests().into_iter().map(|request| (request.path, request.status));
    let statuses: Vec<(String, u16)> = statuses.collect();
    let refused: Vec<_> = statuses.iter().filter(|(_, status)| *status == 429).collect();
    let is_refused = |place: &str| refused.iter().any(|(path, _)| path.starts_with(place));
    assert!(is_refused("/main/index/") && is_refused("/main/dl/"), "{statuses:?}");
    for (path, _) in refused {
        let last = statuses.iter().rfind(|(asked, _)| asked == path).unwrap();
        assert_ne!(last.1, 429, "{statuses:?}");
    }
}

#[test]
fn cargo_says_when_to_publish_again() {
    let server = Server::start_with(&["--rate-limits", "crates-io"]);
    let cargo = Cargo::of(&server, "alice");
    for number in 0..5 {
        cargo.publish_library(&format!("new{number}"), "1.0.0");
    }
    let refused = cargo.publish(&cargo.library("new5", "1.0.0")).failure();
    let text = format!("You have published too many new crates {LATER}");
    assert!(refused.contains("429") && refused.contains(&text), "{refused}");
    // Versions of crates that are there already are counted apart.
    cargo.publish_library("new0", "1.1.0");
}

#[test]
fn whoever_tries_many_tokens_is_told_to_wait_and_their_neighbours_go_on() {
    let flags = ["--private", "--trusted-proxy", "127.0.0.1"];
    let server = Server::start_with(&flags);
    let [known, new] = ["alice", "bob"].map(|user| server.token(user));
    let path = "/main/index/config.json";
    let status = |token: &str, address: &str| {
        let headers = [("authorization", token), ("x-forwarded-for", address)];
        server.client().get_with(path, &headers).status
    };
    let (here, elsewhere) = ("192.0.2.1", "192.0.2.2");
    assert_eq!(status(&known, here), 200);
    for guess in 0..10 {
        assert_eq!(status(&format!("guess{guess}"), here), 401);
    }
    let headers = [("authorization", "guess"), ("x-forwarded-for", here)];
    let answer = server.client().get_with(path, &headers);
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    let text = format!("Too many credentials were tried {LATER}");
    assert!(answer.status == 429 && answer.text().starts_with(&text), "{}", answer.text());
    assert_eq!(status(&new, elsewhere), 200);
    assert_eq!(status(&known, here), 200);
}

/// Two servers let nobody in who asks a second after a third process has disabled them.
fn assert_refused_within_a_second(place: &Place) {
    let servers = [(); 2].map(|()| Server::start_at_with(place, &["--private"]));
    let token = servers[0].token("alice");
    for server in &servers {
        let client = server.client().with_token(&token);
        let is_let_in = || client.get("/main/index/config.json").status == 200;
        assert!(is_let_in());
        let administer = |what: &str| {
            let output = server.command(["user", what, "alice"]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        administer("disable");
        let since = Instant::now();
        // When the last request began that was let in, however long it took.
        let mut last = Duration::ZERO;
        wait_for("a refusal", || {
            let asked = since.elapsed();
            let refused = !is_let_in();
            last = if refused { last } else { asked };
            refused.then_some(())
        });
        assert!(last < Duration::from_secs(1), "{last:?}");
        administer("enable");
    }
}

#[test]
fn whoever_is_disabled_is_refused_by_each_server_within_a_second() {
    let folder = TempDir::new().unwrap();
    assert_refused_within_a_second(&Place::sqlite(&folder));
    if let Some(place) = Place::postgres() {
        assert_refused_within_a_second(&place);
    }
}
