use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::common::{Client, CrateFile, Server, axum_server, wait_for};

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// What a start that must fail said, on its one line.
#[track_caller]
fn start_error(arguments: &[&str]) -> String {
    let output = run(axum_server().arg("serve").args(arguments));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{stderr}");
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{stderr}");
    line.strip_prefix("error: ").expect(line).to_owned()
}

#[test]
fn a_start_without_any_argument_makes_all_it_needs() {
    let folder = TempDir::new().unwrap();
    let mut command = axum_server();
    // The one thing that a test cannot leave at its default, for it may be taken.
    command.env("REGISTRY_LISTEN", "127.0.0.1:0").current_dir(folder.path());
    let output = |name: &str| folder.path().join(name);
    let file = |name: &str| fs::File::create(output(name)).unwrap();
    let mut process = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
    let address = address_in(&output("stdout"));
    let config = Client::new(&address).get("/main/index/config.json");
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(config.json()["api"], format!("http://{address}/main"));
    let data = fs::metadata(output("registry-data")).unwrap();
    assert!(data.is_dir());
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777, 0o700);
}

/// The address that a server prints, once it listens.
fn address_in(stdout: &Path) -> String {
    wait_for("the server to listen", || {
        let stdout = fs::read_to_string(stdout).unwrap();
        let (line, _) = stdout.split_once('\n')?;
        Some(line.strip_prefix("listening on http://").unwrap().to_owned())
    })
}

#[test]
fn a_server_whose_log_cannot_be_written_still_serves() {
    let folder = TempDir::new().unwrap();
    let stdout = folder.path().join("stdout");
    let mut command = axum_server();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
    command.stdout(fs::File::create(&stdout).unwrap()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // Whoever reads the log goes away.
    drop(process.stderr.take());
    let client = Client::new(&address_in(&stdout));
    let answers = [(); 2].map(|()| client.try_send("GET", "/main/index/config.json", &[], b""));
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(answers.map(|answer| answer.map(|answer| answer.status)), [Some(200); 2]);
}

#[test]
fn each_flag_has_a_variable() {
    let help = run(axum_server().args(["serve", "--help"]));
    let help = String::from_utf8(help.stdout).unwrap();
    for (flag, variable) in [
        ("--listen", "REGISTRY_LISTEN"),
        ("--data", "REGISTRY_DATA"),
        ("--public-url", "REGISTRY_PUBLIC_URL"),
        ("--private", "REGISTRY_PRIVATE"),
        ("--read-only", "REGISTRY_READ_ONLY"),
        ("--max-staleness", "REGISTRY_MAX_STALENESS"),
        ("--rate-limits", "REGISTRY_RATE_LIMITS"),
        ("--drain", "REGISTRY_DRAIN"),
    ] {
        assert!(help.contains(flag) && help.contains(&format!("[env: {variable}=]")), "{help}");
    }
    // These may hold a password: their values are not shown.
    for (flag, variable) in [("--index", "REGISTRY_INDEX"), ("--storage", "REGISTRY_STORAGE")] {
        assert!(help.contains(flag) && help.contains(&format!("[env: {variable}]")), "{help}");
    }
}

#[test]
fn variables_stand_for_flags() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("elsewhere");
    // With the commands, too, that share a flag with `serve`.
    let mut create = axum_server();
    create.args(["token", "create", "--user", "alice"]);
    let output = run(create.env("REGISTRY_DATA", &data).env("REGISTRY_PRIVATE", "yes"));
    assert!(output.status.success(), "{output:?}");
    assert!(data.is_dir());
}

#[test]
fn a_token_is_alone_on_its_line_also_while_the_server_runs() {
    let server = Server::start();
    let output = run(&mut server.token_command("alice"));
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    let token = token.strip_suffix('\n').unwrap();
    assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
    let client = server.client().with_token(token);
    assert_eq!(client.get("/main/api/v1/crates/absent/owners").status, 404);
    // Another one is another one, and takes nothing from the first.
    assert_ne!(server.token("alice"), token);
    assert_eq!(client.get("/main/api/v1/crates/absent/owners").status, 404);
}

#[test]
fn a_token_of_a_registry_that_was_not_there_comes_with_a_note() {
    let server = Server::start();
    assert!(run(&mut server.token_command("alice")).stderr.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mistyped");
    let mut command = axum_server();
    command.args(["token", "create", "--user", "alice", "--data"]).arg(&data);
    let output = run(&mut command);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!("no registry at `sqlite:{}/index.sqlite`: a new one is made\n", data.display())
    );
}

#[test]
fn a_token_is_nowhere_in_the_data() {
    let server = Server::start();
    let token = server.token("alice");
    let secret = token.strip_prefix("crg_").unwrap().as_bytes();
    for file in fs::read_dir(server.data()).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            let bytes = fs::read(file.path()).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{:?}", file.path());
        }
    }
}

#[test]
fn a_user_must_have_a_plain_name() {
    let server = Server::start();
    let output = run(&mut server.token_command("not a login"));
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"");
    assert!(String::from_utf8(output.stderr).unwrap().contains("`not a login` is not a login"));
}

#[test]
fn a_start_that_fails_says_why_in_one_sentence() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let inside = file.join("data");
    let (inside, file) = (inside.to_str().unwrap(), file.to_str().unwrap());
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();

    let error = start_error(&["--listen", "127.0.0.1:0", "--data", inside]);
    let expected = format!("cannot create the data folder `{inside}`: ");
    assert!(error.starts_with(&expected), "{error}");
    let error = start_error(&["--listen", "127.0.0.1:0", "--data", file]);
    let expected = format!("cannot create the data folder `{file}`: ");
    assert!(error.starts_with(&expected), "{error}");

    let server = Server::start();
    let error = start_error(&["--listen", server.address(), "--data", data]);
    let expected = format!("cannot listen on `{}`: ", server.address());
    assert!(error.starts_with(&expected), "{error}");
    let error = start_error(&["--listen", "nonsense", "--data", data]);
    assert!(error.starts_with("cannot listen on `nonsense`: "), "{error}");

    let url = ["--listen", "127.0.0.1:0", "--data", data, "--public-url", "crates.example.com"];
    assert_eq!(
        start_error(&url),
        "`crates.example.com` cannot be the public URL of a registry: \
         it must begin with http:// or https://"
    );
}

#[test]
fn a_data_folder_that_holds_something_else_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("index.sqlite");
    fs::write(&database, "not a database, and somebody's only copy").unwrap();
    let data = folder.path().to_str().unwrap();
    let error = start_error(&["--listen", "127.0.0.1:0", "--data", data]);
    assert!(error.starts_with(&format!("cannot open `{}`: ", database.display())), "{error}");
    let kept = fs::read_to_string(&database).unwrap();
    assert_eq!(kept, "not a database, and somebody's only copy");
}

#[test]
fn a_url_that_leads_nowhere_is_told_what_is_allowed() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let start = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let error = |flag, url| start_error(&[&start[..], &[flag, url]].concat());
    assert_eq!(
        error("--index", "./index.sqlite"),
        "--index: `./index.sqlite` does not say what kind of place it is: use sqlite:PATH, \
         file:DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or \
         postgres://USER@HOST/DATABASE"
    );
    assert_eq!(
        error("--storage", "sqlite:crates"),
        "--storage: `sqlite:` is not the scheme of a place for crate files: use file:DIR, \
         s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or memory:"
    );
    assert_eq!(
        error("--index", "s3://"),
        "--index: there is no bucket in the URL: write s3://BUCKET or s3://BUCKET/PREFIX"
    );
    // A secret in the wrong place is not printed.
    for url in ["mysql://alice:secret@host/db", "alice:secret@host", "s3://key:secret@bucket"] {
        let error = error("--index", url);
        assert!(error.starts_with("--index: ") && !error.contains("secret"), "{error}");
    }
    assert!(!data.exists());
}

#[test]
fn the_public_url_is_what_clients_are_told() {
    let server = Server::start_with(&["--public-url", "https://crates.example.com/x/"]);
    let config = server.client().get("/main/index/config.json").json();
    assert_eq!(
        config,
        serde_json::json!({
            "dl": "https://crates.example.com/x/main/dl/{crate}/{version}/{sha256-checksum}",
            "api": "https://crates.example.com/x/main",
        })
    );
    // Whatever the client says.
    let headers =
        [("x-forwarded-host", "evil.example.com"), ("forwarded", "host=evil.example.com")];
    let answer = server.client().get_with("/main/index/config.json", &headers);
    assert_eq!(answer.json(), config);
}

#[test]
fn a_command_on_a_mistyped_path_makes_no_registry() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("mistyped");
    let run = |words: &[&str]| {
        let output = run(axum_server().args(words).arg("--data").arg(&data).stdin(Stdio::null()));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let place = format!("sqlite:{}/index.sqlite", data.display());
    let github = ["--github", "a/b", "--owner-id", "1", "--workflow", "c.yml"];
    for words in [
        &["user", "list"][..],
        &["user", "disable", "alice"],
        &["user", "enable", "alice"],
        &["user", "password", "alice", "--remove"],
        &["group", "list"],
        &["group", "add", "ui", "alice"],
        &["group", "remove", "ui", "alice"],
        &["key", "list"],
        &["name", "list"],
        &["audit"],
        &["token", "list"],
        &["token", "revoke", "--user", "alice"],
        &["trusted-publisher", "list"],
        &["trusted-publisher", "remove", "1"],
        &[&["trusted-publisher", "add", "--crate", "hello"], &github[..]].concat(),
    ] {
        let refused = format!("error: there is no index at `{place}`\n");
        assert_eq!(run(words), (Some(1), String::new(), refused), "{words:?}");
        assert!(!data.exists(), "{words:?}");
    }
    // What may be the first thing that is done says that it is.
    for words in [&["user", "add", "alice"][..], &["group", "create", "ui"]] {
        let note = format!("no registry at `{place}`: a new one is made\n");
        assert_eq!(run(words), (Some(0), String::new(), note), "{words:?}");
        assert_eq!(run(&["user", "list"]).0, Some(0));
        fs::remove_dir_all(&data).unwrap();
    }
}

#[test]
fn only_a_crate_that_is_there_has_trusted_publishers() {
    let server = Server::start();
    let add = |name: &str, number: usize| {
        let pipeline = format!("acme/app-{number}");
        let words = ["trusted-publisher", "add", "--crate", name, "--buildkite", &pipeline];
        let output = run(&mut server.command(words));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(add("hello", 0), (Some(1), "error: there is no crate `hello`\n".into()));
    let file = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
    for number in 0..20 {
        assert_eq!(add("Hello", number), (Some(0), String::new()));
    }
    let refused = "error: a crate has at most 20 trusted publishers\n".to_owned();
    assert_eq!(add("hello", 20), (Some(1), refused));
}
