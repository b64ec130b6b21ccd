//! Where a server listens.

use crate::common::{Cargo, Server};

#[test]
fn cargo_uses_a_registry_at_an_address_of_ipv6() {
    let server = Server::start_with(&["--listen", "[::1]:0"]);
    let base = format!("http://{}/main", server.address());
    assert!(base.starts_with("http://[::1]:"), "{base}");
    let config = server.client().get("/main/index/config.json").json();
    assert_eq!(config["api"], base);
    assert!(config["dl"].as_str().unwrap().starts_with(&base), "{config}");
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    let app =
        cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.run_in(&app, ["fetch"]).success();
    let lock = std::fs::read_to_string(app.folder().join("Cargo.lock")).unwrap();
    assert!(lock.contains(&format!("source = \"sparse+{base}/index/\"")), "{lock}");
}
