use std::{fs, process::Command};

use crate::common::{Cargo, Package, Server, wait_for};

/// A server with the crate `hello`, and a project that needs it.
fn published(flags: &[&str]) -> (Server, Cargo, Package) {
    let server = Server::start_with(flags);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let cargo = Cargo::bare();
    let app =
        cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#);
    (server, cargo, app)
}

#[test]
fn what_the_server_prints_can_be_pasted() {
    let (server, cargo, app) = published(&["--private"]);
    let printed = wait_for("the rest of the text", || {
        Some(server.stdout()).filter(|text| text.ends_with("/main/me\n"))
    });
    let listening = printed.lines().filter(|line| line.starts_with("listening on")).count();
    assert_eq!(listening, 1);

    let config = printed.find("[registries.main]").unwrap();
    let end = config + printed[config..].find("A token").unwrap();
    let app = app.file(".cargo/config.toml", &printed[config..end]);
    let command = printed.lines().find(|line| line.contains("cargo login")).unwrap();
    let command = command.replace("NAME", "bob");
    let login = cargo.command(app.folder());
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(app.folder()).env_clear();
    shell.envs(login.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    cargo.run_in(&app, ["fetch"]).success();
}

#[test]
fn the_help_page_shows_a_browser_how_to_connect() {
    let (server, ..) = published(&[]);
    let page = server.client().get_with("/main/me", &[("accept", "text/html,*/*;q=0.8")]);
    assert_eq!(page.status, 200);
    let text = page.text().replace("&quot;", "\"");
    assert!(text.contains(&format!("index = \"{}\"", server.index_url())), "{text}");
    assert!(page.text().contains("cargo login --registry"), "{}", page.text());
    // Where the file is, on either kind of system.
    assert!(page.text().contains("~/.cargo/config.toml"), "{}", page.text());
    assert!(page.text().contains(r"%USERPROFILE%\.cargo\config.toml"), "{}", page.text());
}

#[test]
fn the_configuration_of_the_help_page_can_be_pasted() {
    for flags in [&[][..], &["--private"]] {
        let (server, cargo, app) = published(flags);
        let config = server.client().get("/main/me?format=toml");
        assert_eq!(config.status, 200);
        // The name under which clients know the registry is theirs to choose; the snippet's is
        // that of the mount.
        fs::write(cargo.home().join("config.toml"), &config.body).unwrap();
        let cargo = cargo.with("CARGO_REGISTRIES_MAIN_TOKEN", &server.token("bob"));
        cargo.run_in(&app, ["fetch"]).success();
    }
}

#[test]
fn a_person_who_opens_the_server_in_a_browser_is_led_there() {
    let base = "https://crates.example.com/registry";
    let absolute = format!("{base}/main/me");
    // By itself, to wherever the person has come.
    for (flags, place) in [(&[][..], "main/me"), (&["--public-url", base], &absolute)] {
        let answer = Server::start_with(flags).client().get("/");
        assert_eq!((answer.status, answer.header("location")), (307, Some(place)));
    }
}
