use std::fs;

use crate::common::{Cargo, Package, Server};

/// A workspace of three crates, each but the first depending on the one before.
fn workspace(cargo: &Cargo) -> Package {
    let root = cargo.folder().join("workspace");
    let members = [("base", ""), ("middle", "base"), ("top", "middle")];
    for (name, on) in members {
        let package = Package::new(root.join(name), name, "1.0.0");
        if on.is_empty() {
            package.file("src/lib.rs", "pub fn depth() -> u32 { 1 }");
        } else {
            package
                .file("src/lib.rs", &format!("pub fn depth() -> u32 {{ {on}::depth() + 1 }}"))
                .dependencies(&format!(
                    "{on} = {{ path = \"../{on}\", version = \"1.0.0\", registry = \"main\" }}"
                ));
        }
    }
    let manifest = "[workspace]\nresolver = \"2\"\nmembers = [\"base\", \"middle\", \"top\"]\n";
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    Package::at(root)
}

#[test]
fn members_that_depend_on_each_other_are_published_together() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let workspace = workspace(&cargo);
    // Built from the packages, too, each against those that were just published.
    cargo.run_in(&workspace, ["publish", "--workspace", "--registry", "main"]).success();

    let app = cargo.program("app", "println!(\"{}\", top::depth())");
    cargo.run_in(&app, ["add", "top", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "3\n");
}

#[test]
fn a_dry_run_publishes_nothing_and_needs_no_token() {
    let server = Server::start();
    let cargo = Cargo::anonymous(&server);
    let workspace = workspace(&cargo);
    let dry = ["publish", "--workspace", "--registry", "main", "--dry-run", "--no-verify"];
    cargo.run_in(&workspace, dry).success();
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.method == "GET"), "{requests:?}");
    assert_eq!(server.client().get("/main/index/ba/se/base").status, 404);
}
