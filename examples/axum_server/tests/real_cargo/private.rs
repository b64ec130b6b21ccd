use crate::common::{Cargo, Server};

#[test]
fn a_private_registry_is_used_with_a_token() {
    let server = Server::start_with(&["--private"]);
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    cargo.run_in(&app, ["add", "hello", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    let found = cargo.run(["search", "hello", "--registry", "main"]).success();
    assert!(found.starts_with("hello = \"1.0.0\""), "{found}");
    cargo.run(["info", "hello@1.0.0", "--registry", "main"]).success();
    cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).success();
    cargo.run(["owner", "--list", "hello", "--registry", "main"]).success();

    // Anybody with a token reads, on a machine that has seen nothing yet.
    let bob = Cargo::of(&server, "bob");
    bob.run_in(&app, ["fetch", "--locked"]).success();
}

#[test]
fn a_private_registry_tells_cargo_that_it_needs_a_token() {
    let server = Server::start_with(&["--private"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let cargo = Cargo::anonymous(&server);
    let app =
        cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#);
    let refused = cargo.run_in(&app, ["fetch"]).failure();
    assert!(refused.contains("no token found for `main`"), "{refused}");
    assert!(refused.contains("cargo login --registry main"), "{refused}");

    let bad = Cargo::anonymous(&server).with("CARGO_REGISTRIES_MAIN_TOKEN", "nonsense");
    let refused = bad.run_in(&app, ["fetch"]).failure();
    assert!(refused.contains("token rejected for `main`"), "{refused}");
}

#[test]
fn the_configuration_of_a_private_registry_is_private_and_says_so() {
    let server = Server::start_with(&["--private"]);
    assert_eq!(server.client().get("/main/index/config.json").status, 401);
    let config = server.client_of("alice").get("/main/index/config.json");
    assert_eq!(config.status, 200);
    assert_eq!(
        config.json(),
        serde_json::json!({
            "dl": format!("{}/dl/{{crate}}/{{version}}/{{sha256-checksum}}", server.url()),
            "api": server.url(),
            "auth-required": true,
        })
    );
    // No shared cache may keep what one reader was allowed to see.
    assert_eq!(config.header("cache-control"), Some("private, no-cache"));
}

#[test]
fn a_public_registry_is_read_without_a_token() {
    let server = Server::start();
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let cargo = Cargo::anonymous(&server);
    let app = cargo.program("app", "println!(\"{}\", hello::version())");
    cargo.run_in(&app, ["add", "hello", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
    let config = server.client().get("/main/index/config.json").json();
    assert_eq!(config.get("auth-required"), None);
    let refused = cargo.publish(&cargo.library("hello", "1.1.0")).failure();
    assert!(refused.contains("no token found"), "{refused}");
}
