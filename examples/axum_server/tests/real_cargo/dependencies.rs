use crate::common::{Cargo, Server, index_path};

/// A cargo to which `main` is one server, `other` a second, and crates.io a third.
struct World {
    main: Server,
    other: Server,
    crates_io: Server,
    cargo: Cargo,
}

impl World {
    /// Each of the three has a crate `shared`, whose one function says which it is.
    fn new() -> Self {
        let [main, other, crates_io] = [(); 3].map(|()| Server::start());
        for (server, name) in [(&main, "main"), (&other, "other"), (&crates_io, "crates.io")] {
            let cargo = Cargo::of(server, "alice");
            let lib = format!("pub fn whose() -> &'static str {{ {name:?} }}");
            let shared = cargo.library("shared", "1.0.0").file("src/lib.rs", &lib);
            cargo.publish(&shared).success();
        }
        let cargo =
            Cargo::of(&main, "alice").with("CARGO_REGISTRIES_OTHER_TOKEN", &other.token("alice"));
        cargo.configure(&format!(
            "[registries.other]\nindex = \"{}\"\n\n\
             [source.crates-io]\nreplace-with = \"stand-in\"\n\n\
             [source.stand-in]\nregistry = \"{}\"",
            other.index_url(),
            crates_io.index_url()
        ));
        Self { main, other, crates_io, cargo }
    }
}

#[test]
fn crates_of_one_name_in_three_registries_are_kept_apart() {
    let World { main, other, crates_io, cargo } = World::new();
    let user = cargo.library("user", "1.0.0").dependencies(
        r#"
        ours = { package = "shared", version = "1", registry = "main" }
        theirs = { package = "shared", version = "1", registry = "other" }
        everybodys = { package = "shared", version = "1" }
        "#,
    );
    let user = user.file(
        "src/lib.rs",
        "pub fn all() -> [&'static str; 3] {
            [ours::whose(), theirs::whose(), everybodys::whose()]
        }",
    );
    cargo.publish(&user).success();

    let line = main.client().get(&index_path("user")).json();
    let registry = |name: &str| {
        let dependencies = line["deps"].as_array().unwrap();
        let dependency = dependencies.iter().find(|dependency| dependency["name"] == name);
        dependency.unwrap().get("registry").cloned().unwrap_or_default()
    };
    assert_eq!(registry("ours"), serde_json::Value::Null);
    assert_eq!(registry("theirs"), other.index_url());
    assert_eq!(registry("everybodys"), "https://github.com/rust-lang/crates.io-index");

    let app = cargo.program("app", "println!(\"{:?}\", user::all())");
    let app = app.dependencies(r#"user = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "[\"main\", \"other\", \"crates.io\"]\n");
    let lock = app.read("Cargo.lock");
    for source in [
        main.index_url(),
        other.index_url(),
        "registry+https://github.com/rust-lang/crates.io-index".to_owned(),
    ] {
        let found = lock
            .matches(&format!("name = \"shared\"\nversion = \"1.0.0\"\nsource = \"{source}\""))
            .count();
        assert_eq!(found, 1, "{source}: {lock}");
    }
    // Nobody was asked for what is another's.
    for (server, downloads) in [(&main, 2), (&other, 1), (&crates_io, 1)] {
        let requests = server.requests();
        let found = requests.iter().filter(|request| request.path.starts_with("/main/dl/"));
        assert_eq!(found.count(), downloads, "{requests:?}");
    }
}

#[test]
fn a_dependency_with_a_registry_key_is_built_and_published_elsewhere() {
    let World { main, other, cargo, .. } = World::new();
    let user = cargo.program("user", "println!(\"{}\", shared::whose())");
    let user = user.dependencies(r#"shared = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&user, ["run"]).success(), "main\n");
    cargo.run_in(&user, ["publish", "--registry", "other", "--no-verify"]).success();
    let line = other.client().get(&index_path("user")).json();
    assert_eq!(line["deps"][0]["registry"], main.index_url());
    assert_eq!(main.client().get(&index_path("user")).status, 404);
    cargo.run(["install", "user", "--registry", "other"]).success();
}
