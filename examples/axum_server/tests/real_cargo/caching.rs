use crate::common::{Cargo, Server};

#[test]
fn an_update_with_nothing_new_transfers_no_index_file() {
    let server = Server::start();
    let alice = Cargo::of(&server, "alice");
    alice.publish_library("base", "1.0.0");
    for name in ["left", "right"] {
        let package = alice.library(name, "1.0.0");
        alice
            .publish(&package.dependencies(r#"base = { version = "1", registry = "main" }"#))
            .success();
    }
    let cargo = Cargo::anonymous(&server);
    let app = cargo.program("app", "").dependencies(
        "left = { version = \"1\", registry = \"main\" }\n\
         right = { version = \"1\", registry = \"main\" }",
    );
    let update = || {
        let before = server.requests().len();
        cargo.run_in(&app, ["update"]).success();
        let mut requests = server.requests().split_off(before);
        requests.retain(|request| request.is_index_file());
        requests.sort_by_key(|request| request.path.clone());
        requests.into_iter().map(|request| (request.path, request.status)).collect::<Vec<_>>()
    };
    let paths = ["/main/index/ba/se/base", "/main/index/le/ft/left", "/main/index/ri/gh/right"];
    let all = |status: u16| paths.map(|path| (path.to_owned(), status));
    assert_eq!(update(), all(200));
    assert_eq!(update(), all(304));

    // A change of one crate is the only thing transferred.
    alice.publish_library("base", "1.0.1");
    let mut expected = all(304);
    expected[0].1 = 200;
    assert_eq!(update(), expected);
    assert!(app.read("Cargo.lock").contains("version = \"1.0.1\""));
}
