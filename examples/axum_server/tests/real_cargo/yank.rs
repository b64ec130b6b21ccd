use crate::common::{Cargo, Server, index_path};

#[test]
fn a_yanked_version_is_left_to_who_has_it_locked() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let dependency = r#"hello = { version = "1", registry = "main" }"#;
    let main = "println!(\"{}\", hello::version())";
    let locked = cargo.program("locked", main).dependencies(dependency);
    cargo.run_in(&locked, ["generate-lockfile"]).success();

    cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).success();

    // Who has a lockfile goes on, on a new machine too.
    cargo.forget_downloads();
    assert_eq!(cargo.run_in(&locked, ["run", "--locked"]).success(), "1.0.0\n");
    // Who has none cannot begin.
    let fresh = cargo.program("fresh", main).dependencies(dependency);
    let refused = cargo.run_in(&fresh, ["generate-lockfile"]).failure();
    assert!(refused.contains("version 1.0.0 is yanked"), "{refused}");

    cargo.run(["yank", "--undo", "hello@1.0.0", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&fresh, ["run"]).success(), "1.0.0\n");
}

#[test]
fn a_yanked_version_is_passed_over_for_an_older_one() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    cargo.publish_library("hello", "1.1.0");
    cargo.run(["yank", "hello@1.1.0", "--registry", "main"]).success();
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    cargo.run_in(&app, ["add", "hello", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
}

#[test]
fn yank_and_undo_may_be_repeated_and_change_the_etag_each_time() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    cargo.publish_library("hello", "2.0.0");
    let index = || {
        let answer = server.client().get(&index_path("hello"));
        (answer.header("etag").expect("an ETag").to_owned(), answer.text().to_owned())
    };
    let published = index();
    cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).success();
    let yanked = index();
    assert_ne!(published.0, yanked.0);
    // Nothing but the flag of the one line differs.
    assert_eq!(yanked.1, published.1.replacen(r#""yanked":false"#, r#""yanked":true"#, 1));
    cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).success();
    assert_eq!(index(), yanked);

    cargo.run(["yank", "--undo", "hello@1.0.0", "--registry", "main"]).success();
    assert_eq!(index(), published);
    cargo.run(["yank", "--undo", "hello@1.0.0", "--registry", "main"]).success();
    assert_eq!(index(), published);
    let yanks = server.requests().into_iter().filter(|request| request.path.ends_with("yank"));
    let yanks: Vec<_> = yanks.map(|request| (request.method, request.status)).collect();
    let [delete, put] = ["DELETE", "PUT"].map(|method| (method.to_owned(), 200));
    assert_eq!(yanks, [delete.clone(), delete, put.clone(), put]);
}

#[test]
fn what_does_not_exist_cannot_be_yanked() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let refused = cargo.run(["yank", "hello@3.0.0", "--registry", "main"]).failure();
    assert!(
        refused.contains("(status 404 Not Found): crate `hello` does not have a version `3.0.0`"),
        "{refused}"
    );
    let refused = cargo.run(["yank", "nothing@1.0.0", "--registry", "main"]).failure();
    assert!(
        refused.contains("(status 404 Not Found): crate `nothing` does not exist"),
        "{refused}"
    );
}
