use crate::common::{Cargo, Server, index_path};

/// `feat` uses each way a feature can name another thing.
const FEATURES: &str = r#"
    [dependencies]
    ser = { version = "1", registry = "main", optional = true }
    engine = { version = "1", registry = "main", optional = true }

    [features]
    default = ["std"]
    std = []
    serialize = ["dep:ser", "engine?/fast"]
    run = ["dep:engine"]
    all = ["run", "serialize"]
"#;

fn publish_feat(server: &Server) -> Cargo {
    let cargo = Cargo::of(server, "alice");
    cargo.publish_library("ser", "1.0.0");
    let engine = cargo.library("engine", "1.0.0").manifest("[features]\nfast = []").file(
        "src/lib.rs",
        r#"pub fn speed() -> &'static str {
            if cfg!(feature = "fast") { "fast" } else { "slow" }
        }"#,
    );
    cargo.publish(&engine).success();
    let lib = r#"pub fn what() -> String {
        let mut what: Vec<&str> = Vec::new();
        #[cfg(feature = "std")]
        what.push("std");
        #[cfg(feature = "serialize")]
        what.push(ser::version());
        #[cfg(feature = "run")]
        what.push(engine::speed());
        what.join(" ")
    }"#;
    let feat = cargo.library("feat", "1.0.0").manifest(FEATURES).file("src/lib.rs", lib);
    cargo.publish(&feat).success();
    cargo
}

#[test]
fn features_with_new_syntax_are_kept_from_old_clients() {
    let server = Server::start();
    publish_feat(&server);
    let line = server.client().get(&index_path("feat")).json();
    // `all` moves as well, since it names features that old clients do not see.
    assert_eq!(line["features"], serde_json::json!({ "default": ["std"], "std": [] }));
    assert_eq!(
        line["features2"],
        serde_json::json!({
            "all": ["run", "serialize"],
            "run": ["dep:engine"],
            "serialize": ["dep:ser", "engine?/fast"],
        })
    );
    assert_eq!(line["v"], 2);
}

#[test]
fn features_switch_on_what_they_name() {
    let server = Server::start();
    let cargo = publish_feat(&server);
    for (name, features, expected) in [
        ("bare", r#"default-features = false"#, ""),
        ("default", r#"features = []"#, "std"),
        ("serialize", r#"features = ["serialize"]"#, "std 1.0.0"),
        ("run", r#"features = ["run"]"#, "std slow"),
        ("all", r#"features = ["all"]"#, "std 1.0.0 fast"),
    ] {
        let app = cargo.program(&format!("app-{name}"), "println!(\"{}\", feat::what())");
        let dependency = format!(r#"feat = {{ version = "1", registry = "main", {features} }}"#);
        let app = app.dependencies(&dependency);
        assert_eq!(cargo.run_in(&app, ["run"]).success(), format!("{expected}\n"), "{name}");
    }
}

#[test]
fn a_feature_that_names_a_hidden_dependency_is_refused_by_cargo() {
    let server = Server::start();
    let cargo = publish_feat(&server);
    let app = cargo.program("app", "");
    let app =
        app.dependencies(r#"feat = { version = "1", registry = "main", features = ["engine"] }"#);
    // `dep:engine` takes away the feature of that name: the line must not bring it back.
    let refused = cargo.run_in(&app, ["generate-lockfile"]).failure();
    let hidden = "package `app` depends on `feat` with feature `engine` but `feat` does not have \
                  that feature";
    assert!(refused.contains(hidden), "{refused}");
}
