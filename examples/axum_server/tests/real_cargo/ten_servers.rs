//! Ten servers on the same data, and no one else: together they are one registry.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Mutex, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    common::{Cargo, Client, CrateFile, Place, Server, index_path, wait_for},
    crash::check,
};

const SERVERS: usize = 10;
/// Publishes by cargo through each server, to a crate of its own and to one that all share.
const ROUNDS: usize = 2;
/// Publishes from one kill to the next, on average.
const BETWEEN_KILLS: u64 = 15;

fn ten_servers_are_one_registry(place: &Place) {
    // All at once: the first of them makes what the others find.
    let servers: Vec<RwLock<Server>> = thread::scope(|scope| {
        let starting: Vec<_> =
            (0..SERVERS).map(|_| scope.spawn(|| Server::start_at(place))).collect();
        starting.into_iter().map(|server| RwLock::new(server.join().unwrap())).collect()
    });
    let token = servers[0].read().unwrap().token("alice");

    publish_by_cargo(&servers, &token);
    let kills = draw_kills();
    let done = publish_while_half_of_them_are_killed(&servers, &token, &kills);

    let left = (0..SERVERS).filter(|server| !kills.iter().any(|kill| kill.server == *server));
    let left: Vec<_> = left.map(|server| servers[server].read().unwrap()).collect();
    for server in &left {
        check(server, &done);
    }
    let survivor = &left[0];
    let output = survivor.command(["index", "verify"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fetch_by_cargo(survivor);
}

#[derive(Debug)]
struct Kill {
    server: usize,
    /// How many publishes have been sent by then.
    sent: u64,
}

/// Another half of the servers, at other moments, in each run.
fn draw_kills() -> Vec<Kill> {
    let random = RandomState::new();
    let mut servers: Vec<usize> = (0..SERVERS).collect();
    servers.sort_by_key(|server| random.hash_one(server));
    let mut sent = 0;
    let kills = servers.into_iter().take(SERVERS / 2).map(|server| {
        sent += 1 + random.hash_one((server, "sent")) % (2 * BETWEEN_KILLS);
        Kill { server, sent }
    });
    let kills = kills.collect();
    // Shown if the test fails.
    println!("{kills:?}");
    kills
}

/// Cargo publishes through every server at once, and every other server has it at once; meanwhile
/// cargo fetches what is new through another one.
fn publish_by_cargo(servers: &[RwLock<Server>], token: &str) {
    thread::scope(|scope| {
        for (number, server) in servers.iter().enumerate() {
            scope.spawn(move || {
                let server = server.read().unwrap();
                let cargo = Cargo::anonymous(&*server).with("CARGO_REGISTRIES_MAIN_TOKEN", token);
                let reader = Cargo::anonymous(&*servers[(number + 1) % SERVERS].read().unwrap());
                for round in 0..ROUNDS {
                    let mut dependencies = String::new();
                    for name in [format!("cargo-{number}"), "cargo-shared".to_owned()] {
                        let version = format!("1.{number}.{round}");
                        cargo.publish_library(&name, &version);
                        for other in servers {
                            let other = other.read().unwrap();
                            assert_eq!(versions(&other, &name, &version), 1, "{name} {version}");
                        }
                        dependencies += &format!(
                            "{name} = {{ version = \"={version}\", registry = \"main\" }}\n"
                        );
                    }
                    let app = reader.program(&format!("app-{round}"), "");
                    reader.run_in(&app.dependencies(&dependencies), ["fetch"]).success();
                }
            });
        }
    });
}

/// How many lines the index has for a version, as `server` sees it.
fn versions(server: &Server, name: &str, version: &str) -> usize {
    let file = server.client().get(&index_path(name));
    assert_eq!(file.status, 200, "{}", file.text());
    let vers = format!(r#""vers":"{version}""#);
    file.text().lines().filter(|line| line.contains(&vers)).count()
}

/// Publishes through all servers without a pause, while half of them are killed; all that was
/// acknowledged, and all that was not and then repeated through a server that is left.
fn publish_while_half_of_them_are_killed(
    servers: &[RwLock<Server>],
    token: &str,
    kills: &[Kill],
) -> Vec<CrateFile> {
    let clients: Vec<Client> =
        servers.iter().map(|server| server.read().unwrap().client().with_token(token)).collect();
    let (done, unanswered) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let (sent, killed) = (AtomicU64::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (number, client) in clients.iter().enumerate() {
            let (done, unanswered, sent, killed) = (&done, &unanswered, &sent, &killed);
            let is_left = kills.iter().all(|kill| kill.server != number);
            scope.spawn(move || {
                for count in 0.. {
                    // The last one has been killed, and the others have gone on for a while.
                    if is_left && killed.load(Ordering::SeqCst) == SERVERS / 2 && count % 4 == 0 {
                        return;
                    }
                    let version = format!("2.{number}.{count}");
                    let file = match count % 2 {
                        0 => CrateFile::library("shared", &version, version.as_bytes()),
                        _ => CrateFile::library(&format!("own-{number}"), &version, b""),
                    };
                    sent.fetch_add(1, Ordering::SeqCst);
                    match publish(client, &file) {
                        Some(200) => done.lock().unwrap().push(file),
                        None if !is_left => return unanswered.lock().unwrap().push(file),
                        other => panic!("server {number} answered {other:?}"),
                    }
                }
            });
        }
        for kill in kills {
            wait_for("publishes", || (sent.load(Ordering::SeqCst) >= kill.sent).then_some(()));
            servers[kill.server].write().unwrap().kill();
            killed.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (mut done, unanswered) = (done.into_inner().unwrap(), unanswered.into_inner().unwrap());
    assert_eq!(unanswered.len(), SERVERS / 2);
    let left = (0..SERVERS).find(|server| kills.iter().all(|kill| kill.server != *server));
    let client = &clients[left.expect("half of them are left")];
    for file in unanswered {
        // 409 if the one that was killed had come so far.
        let status = publish(client, &file);
        assert!(matches!(status, Some(200 | 409)), "{status:?}");
        done.push(file);
    }
    done
}

/// Publishes, again and again while others are faster; the status, if there is an answer.
fn publish(client: &Client, file: &CrateFile) -> Option<u16> {
    loop {
        let answer = client.try_send("PUT", "/main/api/v1/crates/new", &[], &file.frame())?;
        match answer.status {
            503 => assert!(answer.text().contains("server is busy, try again"), "{answer:?}"),
            status => return Some(status),
        }
    }
}

/// A project that depends on everything cargo has published, through one server.
fn fetch_by_cargo(server: &Server) {
    let cargo = Cargo::anonymous(server);
    let shared = format!("1.{}.{}", SERVERS - 1, ROUNDS - 1);
    let mut dependencies =
        format!("cargo-shared = {{ version = \"={shared}\", registry = \"main\" }}\n");
    for number in 0..SERVERS {
        dependencies += &format!("cargo-{number} = {{ version = \"1\", registry = \"main\" }}\n");
    }
    let app =
        cargo.program("app", r#"println!("{} {}", cargo_shared::version(), cargo_7::version())"#);
    let app = app.dependencies(&dependencies);
    let newest = format!("1.7.{}", ROUNDS - 1);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), format!("{shared} {newest}\n"));
}

#[test]
fn on_a_postgres_database_and_a_bucket() {
    if let (Some(database), Some(bucket)) = (Place::postgres(), Place::bucket()) {
        ten_servers_are_one_registry(&database.with_files_in(&bucket));
    }
}

#[test]
fn on_a_bucket_alone() {
    if let Some(bucket) = Place::bucket() {
        ten_servers_are_one_registry(&bucket);
    }
}
