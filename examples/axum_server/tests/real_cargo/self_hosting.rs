//! The library serves itself: published to a server that is made of it, and used from there.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::common::{Cargo, Client, Package, Server, index_path, local_crates_io, wait_for};

const LIBRARIES: [&str; 4] =
    ["registry-core", "registry-http", "registry-index", "registry-storage"];

/// The root of the workspace that this package is in.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Copies a folder and all below it.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The four libraries as a workspace of their own, in which they depend on each other in the
/// registry `main`.
///
/// In theirs they depend on each other on crates.io, where cargo takes a dependency to be that
/// names no registry. Nothing else is changed.
fn libraries(folder: &Path) -> Package {
    let root = root();
    for library in LIBRARIES {
        copy_folder(&root.join(library), &folder.join(library));
    }
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (head, rest) = manifest.split_once("members = [").unwrap();
    let (_, rest) = rest.split_once(']').unwrap();
    let mut manifest = format!("{head}members = {LIBRARIES:?}{rest}");
    for library in LIBRARIES {
        let path = format!("path = \"{library}\"");
        assert_eq!(manifest.matches(&path).count(), 1);
        manifest = manifest.replace(&path, &format!("{path}, registry = \"main\""));
    }
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    Package::at(folder.to_owned())
}

/// The `Cargo.toml` in a published file.
fn published_manifest(server: &Server, name: &str) -> String {
    let line = server.client().get(&index_path(name)).json();
    let version = line["vers"].as_str().unwrap();
    let path = format!("/main/api/v1/crates/{name}/{version}/download");
    let file = server.client().get(&path).body;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file.as_slice()));
    let path = format!("{name}-{version}/Cargo.toml");
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|entry| entry.path().unwrap() == Path::new(&path)).unwrap();
    std::io::read_to_string(entry).unwrap()
}

/// The program that the README shows, listening on another address.
fn program_of_the_readme(address: &str) -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, program) = readme.split_once("\n```rust").unwrap();
    let (_, program) = program.split_once('\n').unwrap();
    let (program, _) = program.split_once("\n```\n").unwrap();
    assert_eq!(program.matches("127.0.0.1:8080").count(), 2, "{program}");
    program.replace("127.0.0.1:8080", address)
}

/// What this test keeps from run to run, to compile what comes from crates.io only once.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("self_hosting")
}

/// A cargo of alice's, whose home and target folder are kept, but for what came from a server.
fn cargo_that_keeps_crates_io(server: &Server) -> Cargo {
    let [home, target, crates_io] = ["home", "target", "crates-io"].map(|name| kept().join(name));
    for kind in ["cache", "index", "src"] {
        let Ok(registries) = fs::read_dir(home.join("registry").join(kind)) else { continue };
        for registry in registries.map(Result::unwrap) {
            if registry.file_name().to_string_lossy().starts_with("127.0.0.1-") {
                fs::remove_dir_all(registry.path()).unwrap();
            }
        }
    }
    local_crates_io(&root().join("Cargo.lock"), &crates_io);
    let cargo = Cargo::bare()
        .with("CARGO_HOME", home.to_str().unwrap())
        .with("CARGO_TARGET_DIR", target.to_str().unwrap())
        .with("CARGO_REGISTRIES_MAIN_INDEX", &server.index_url())
        .with("CARGO_REGISTRIES_MAIN_TOKEN", &server.token("alice"));
    let config = format!(
        "[source.crates-io]\nreplace-with = \"local\"\n\n\
         [source.local]\nlocal-registry = {crates_io:?}\n"
    );
    fs::create_dir(cargo.folder().join(".cargo")).unwrap();
    fs::write(cargo.folder().join(".cargo/config.toml"), config).unwrap();
    cargo
}

/// A process that is killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_registry_of_this_library_serves_this_library() {
    let server = Server::start();
    let cargo = cargo_that_keeps_crates_io(&server);

    let workspace = libraries(&cargo.folder().join("libraries"));
    let publish = ["publish", "--workspace", "--registry", "main", "--no-verify"];
    cargo.run_in(&workspace, publish).success();
    for library in LIBRARIES {
        let manifest = published_manifest(&server, library);
        for key in ["description = ", "license = ", "readme = ", "[package.metadata.docs.rs]"] {
            assert!(manifest.contains(&format!("\n{key}")), "{key} in {library}: {manifest}");
        }
        assert!(!manifest.contains("path = \".."), "{library}: {manifest}");
    }

    // An address for the program, which is not as flexible as the server.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = Package::new(cargo.folder().join("service"), "service", "0.1.0")
        .file("src/main.rs", &program_of_the_readme(&address))
        .file("Cargo.lock", &fs::read_to_string(root().join("Cargo.lock")).unwrap())
        .dependencies(
            r#"
            axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
            tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
            "#,
        );
    let add = ["add", "--registry", "main"].into_iter().chain(LIBRARIES);
    cargo.run_in(&service, add).success();
    cargo.run_in(&service, ["build"]).success();

    let stdout = cargo.folder().join("stdout");
    let program = kept().join("target/debug/service");
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    // Not before: it would be another test's by the time that the program is built.
    drop(listener);
    let process = Command::new(program)
        .current_dir(service.folder())
        .stdin(Stdio::null())
        .stdout(fs::File::create(&stdout).unwrap())
        .spawn();
    let _process = Process(process.unwrap());
    let token = wait_for("a token", || {
        let stdout = fs::read_to_string(&stdout).unwrap();
        let line = stdout.strip_suffix('\n')?;
        Some(line.strip_prefix("a token for alice: ").expect(line).to_owned())
    });
    wait_for("the service to listen", || TcpStream::connect(&address).ok());

    let user = Cargo::bare()
        .with("CARGO_REGISTRIES_MAIN_INDEX", &format!("sparse+http://{address}/main/index/"))
        .with("CARGO_REGISTRIES_MAIN_TOKEN", &token);
    user.publish_library("hello", "1.0.0");
    assert_eq!(Client::new(&address).get(&index_path("hello")).json()["vers"], "1.0.0");

    // What was compiled of this run's registry is of no use to the next.
    let clean = LIBRARIES.iter().flat_map(|library| ["-p", library]);
    cargo.run_in(&service, ["clean"].into_iter().chain(clean)).success();
}
