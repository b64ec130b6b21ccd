//! The same registry wherever its index is.

use tempfile::TempDir;

use crate::common::{
    Cargo, CrateFile, ObjectServer, Place, Server, axum_server, index_path, wait_for,
};

/// A registry with its index in `place` does all that cargo asks of one, before and after it was
/// started again.
fn serves_cargo(place: &Place) {
    let mut server = Server::start_at(place);
    let alice = Cargo::of(&server, "alice");
    let bob = Cargo::of(&server, "bob");
    alice.publish_library("hello", "1.0.0");
    alice.publish_library("hello-world", "0.1.0");
    let refused = bob.publish(&bob.library("hello", "1.1.0")).failure();
    assert!(refused.contains("(status 403 Forbidden): this crate exists but"), "{refused}");
    alice.run(["owner", "--registry", "main", "--add", "bob", "hello"]).success();
    bob.publish_library("hello", "1.1.0");
    bob.run(["yank", "hello@1.1.0", "--registry", "main"]).success();

    let check = |server: &Server, user: &Cargo| {
        let app = user.program("app", "println!(\"{}\", hello::version())");
        let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
        assert_eq!(user.run_in(&app, ["run"]).success(), "1.0.0\n");
        let owners = user.run(["owner", "--registry", "main", "--list", "hello"]).success();
        assert_eq!(owners, "alice\nbob\n");
        let found = user.run(["search", "hello", "--registry", "main"]).success();
        let found: Vec<_> = found.lines().filter_map(|line| line.split_once(" #")).collect();
        assert_eq!(
            found.iter().map(|(found, _)| found.trim()).collect::<Vec<_>>(),
            [r#"hello = "1.0.0""#, r#"hello-world = "0.1.0""#]
        );
        let file = server.client().get(&index_path("hello"));
        let etag = file.header("etag").expect("an ETag").to_owned();
        let known = [("if-none-match", etag.as_str())];
        assert_eq!(server.client().get_with(&index_path("hello"), &known).status, 304);
        (file.text().to_owned(), etag)
    };
    let before = check(&server, &alice);
    assert_eq!(before.0.lines().count(), 2);

    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
    server.restart();
    // A user on another machine, since the server has another port.
    let carol = Cargo::of(&server, "carol");
    assert_eq!(check(&server, &carol), before);
    let bob = Cargo::of(&server, "bob");
    bob.run(["yank", "--undo", "hello@1.1.0", "--registry", "main"]).success();
    let taken = bob.publish(&bob.library("hello", "1.1.0")).failure();
    assert!(taken.contains("already"), "{taken}");
    bob.publish_library("hello", "1.2.0");

    let output = server.command(["index", "verify"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.starts_with("2 crates checked in "), "{stdout}");
    assert!(stdout.ends_with(" s: 0 problems\n"), "{stdout}");
}

#[test]
fn a_sqlite_file_elsewhere_serves_cargo() {
    let folder = TempDir::new().unwrap();
    serves_cargo(&Place::sqlite(&folder));
}

#[test]
fn a_folder_serves_cargo() {
    let folder = TempDir::new().unwrap();
    serves_cargo(&Place::folder(&folder));
}

#[test]
fn an_index_folder_is_what_the_server_serves() {
    let folder = TempDir::new().unwrap();
    let place = Place::folder(&folder);
    let server = Server::start_at(&place);
    let index = place.url().strip_prefix("file:").unwrap();
    let served = |path: &str| server.client().get(&format!("/main/index/{path}")).body;
    for publish in ["1.0.0", "1.1.0"] {
        let client = server.client_of("alice");
        let file = CrateFile::library("Hello-World", publish, b"");
        assert_eq!(client.publish(&file.frame()).status, 200);
        for path in ["config.json", "he/ll/hello-world"] {
            let path_on_disk = format!("{index}/{path}");
            assert_eq!(std::fs::read(path_on_disk).unwrap(), served(path), "{path}");
        }
    }
}

#[test]
fn a_bucket_serves_cargo() {
    if let Some(bucket) = Place::bucket() {
        serves_cargo(&bucket);
    }
}

#[test]
fn a_postgres_database_serves_cargo() {
    if let Some(database) = Place::postgres() {
        serves_cargo(&database);
    }
}

/// The versions that a server lists.
fn listed(server: &Server) -> usize {
    server.client().get(&index_path("hello")).text().lines().count()
}

fn publish(server: &Server, version: &str) {
    let file = CrateFile::library("hello", version, b"");
    assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
}

#[test]
fn two_servers_on_one_index_see_each_others_writes_at_once() {
    let folder = TempDir::new().unwrap();
    let mut places = vec![Place::sqlite(&folder), Place::folder(&folder)];
    places.extend(Place::postgres().into_iter().chain(Place::bucket()));
    for place in places {
        // A database in a file has no staleness, whatever is allowed.
        let flags = if place.url().starts_with("sqlite:") { "3600" } else { "0" };
        let [one, other] =
            [(); 2].map(|()| Server::start_at_with(&place, &["--max-staleness", flags]));
        let tokens = [&one, &other].map(|server| server.token("alice"));
        for (count, server) in [&one, &other, &other, &one].into_iter().enumerate() {
            let file = CrateFile::library("hello", &format!("1.{count}.0"), b"");
            // A folder keeps no tokens, so each server has its own.
            let token = &tokens[usize::from(std::ptr::eq(server, &other))];
            let published = server.client().with_token(token).publish(&file.frame());
            assert_eq!(published.status, 200, "{}", place.url());
            assert_eq!([listed(&one), listed(&other)], [count + 1; 2], "{}", place.url());
        }
    }
}

#[test]
fn a_server_that_may_be_stale_still_sees_its_own_writes() {
    let folder = TempDir::new().unwrap();
    let place = Place::folder(&folder);
    let [one, other] =
        [(); 2].map(|()| Server::start_at_with(&place, &["--max-staleness", "3600"]));
    let status_of_other = || other.client().get(&index_path("hello")).status;
    assert_eq!(status_of_other(), 404);
    publish(&one, "1.0.0");
    publish(&one, "1.1.0");
    assert_eq!(listed(&one), 2);
    // Kept from before, as it may be.
    assert_eq!(status_of_other(), 404);
    publish(&other, "1.2.0");
    assert_eq!(listed(&other), 3);
}

#[test]
fn a_database_tells_servers_that_may_be_stale() {
    let Some(place) = Place::postgres() else { return };
    let [one, other] =
        [(); 2].map(|()| Server::start_at_with(&place, &["--max-staleness", "3600"]));
    publish(&one, "1.0.0");
    wait_for("the first version", || (listed(&other) == 1).then_some(()));
    publish(&one, "1.1.0");
    wait_for("the second version", || (listed(&other) == 2).then_some(()));
}

#[test]
fn a_store_that_takes_no_notice_of_conditions_is_refused_at_start() {
    let folder = TempDir::new().unwrap();
    let place = Place::bucket_at(ObjectServer::start().endpoint(), "bucket");
    let mut command = axum_server();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    command.args(["--index", place.url()]);
    place.prepare(&mut command).env("AWS_ACCESS_KEY_ID", "key");
    let output = command.env("AWS_SECRET_ACCESS_KEY", "secret").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("error: cannot open `{}`: ", place.url())), "{error}");
    assert!(error.contains("it ignores `If-None-Match: *`"), "{error}");
}

#[test]
fn the_password_of_a_database_is_not_printed() {
    let folder = TempDir::new().unwrap();
    let shown = "postgres://alice@127.0.0.1:1/db";
    for (url, shown) in [
        ("postgres://alice:secret@127.0.0.1:1/db", shown),
        ("postgres://alice@127.0.0.1:1/db?password=secret", shown),
        ("postgres://alice:secret@127.0.0.1:1/db?nonsense=secret", shown),
        ("postgres:alice:secret@127.0.0.1:1/db", "postgres:…"),
    ] {
        let mut command = axum_server();
        command.args(["serve", "--listen", "127.0.0.1:0", "--index", url, "--data"]);
        let output = command.arg(folder.path()).output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
        let error = String::from_utf8(output.stderr).unwrap();
        let place = format!("error: cannot open `{shown}`: ");
        assert!(error.starts_with(&place) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn who_cannot_reach_a_bucket_is_told_where_credentials_come_from() {
    let folder = TempDir::new().unwrap();
    for (flag, url) in [
        ("--index", "s3://bucket/prefix"),
        ("--index", "az://container"),
        ("--storage", "az://container"),
    ] {
        let mut command = axum_server();
        command.args(["serve", "--listen", "127.0.0.1:0", flag, url, "--data"]);
        command.arg(folder.path().join("data"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("A")) {
            command.env_remove(name);
        }
        // Which is not allowed without a further variable.
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        command.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(&format!("error: cannot open `{url}`: ")), "{error}");
        let hint = "; credentials, region and endpoint are taken from options and the \
                    environment: `--help` names them\n";
        assert!(error.ends_with(hint), "{error}");
    }
}
