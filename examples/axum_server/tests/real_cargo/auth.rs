use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::common::{Cargo, CrateFile, Package, Server, axum_server};

#[test]
fn login_by_a_pipe_is_enough_to_publish() {
    let server = Server::start();
    let token = server.token("alice");
    let cargo = Cargo::anonymous(&server);
    cargo.run_with_input(&format!("{token}\n"), ["login", "--registry", "main"]).success();
    cargo.publish_library("hello", "1.0.0");
}

#[test]
fn the_newline_that_echo_adds_is_not_kept_as_part_of_the_token() {
    let server = Server::start();
    let token = server.token("alice");
    let cargo = Cargo::anonymous(&server);
    cargo.run_with_input(&format!("{token}\n"), ["login", "--registry", "main"]).success();
    let credentials = fs::read_to_string(cargo.home().join("credentials.toml")).unwrap();
    assert!(credentials.contains(&format!("token = \"{token}\"\n")), "{credentials}");
}

/// As a project has it in its own repository.
fn project_with_its_own_configuration(cargo: &Cargo, server: &Server) -> Package {
    let configuration = format!(
        "[registry]\ndefault = \"main\"\nglobal-credential-providers = [\"cargo:token\"]\n\n\
         [registries.main]\nindex = \"{}\"\n",
        server.index_url()
    );
    cargo.library("hello", "1.0.0").file(".cargo/config.toml", &configuration)
}

#[test]
fn a_project_publishes_by_the_configuration_in_its_own_repository() {
    let server = Server::start();
    let cargo = Cargo::bare().with("CARGO_REGISTRIES_MAIN_TOKEN", &server.token("alice"));
    let hello = project_with_its_own_configuration(&cargo, &server);
    cargo.run_in(&hello, ["publish", "--no-verify"]).success();
    assert_eq!(server.client().get("/main/index/he/ll/hello").status, 200);
}

#[test]
fn login_needs_no_name_with_a_default_registry() {
    let server = Server::start();
    let token = server.token("alice");
    let cargo = Cargo::bare();
    let hello = project_with_its_own_configuration(&cargo, &server);
    cargo.run_in_with_input(hello.folder(), &format!("{token}\n"), ["login"]).success();
    cargo.run_in(&hello, ["publish", "--no-verify"]).success();
    assert_eq!(server.client().get("/main/index/he/ll/hello").status, 200);
}

#[test]
fn logout_takes_the_token_away() {
    let server = Server::start_with(&["--private"]);
    let token = server.token("alice");
    let cargo = Cargo::anonymous(&server);
    cargo.run_with_input(&token, ["login", "--registry", "main"]).success();
    cargo.publish_library("hello", "1.0.0");
    cargo.run(["logout", "--registry", "main"]).success();
    let refused = cargo.publish(&cargo.library("hello", "1.1.0")).failure();
    assert!(refused.contains("no token found for `main`"), "{refused}");
}

#[test]
fn variables_alone_are_enough() {
    let server = Server::start();
    let cargo = Cargo::bare()
        .with("CARGO_REGISTRIES_MAIN_INDEX", &server.index_url())
        .with("CARGO_REGISTRIES_MAIN_TOKEN", &server.token("alice"));
    cargo.publish_library("hello", "1.0.0");
    let app =
        cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.run_in(&app, ["fetch"]).success();
}

#[test]
fn a_token_comes_from_the_output_of_a_command() {
    for flags in [&[][..], &["--private"]] {
        let server = Server::start_with(flags);
        let cargo = Cargo::bare();
        // The server's own command: it makes a new token each time, while the server runs.
        let program = axum_server();
        let data = server.data();
        let provider = ["token", "create", "--user", "ci", "--data", data.to_str().unwrap()];
        let provider = [program.get_program().to_str().unwrap()].into_iter().chain(provider);
        let provider: Vec<_> = ["cargo:token-from-stdout"].into_iter().chain(provider).collect();
        cargo.configure(&format!(
            "[registries.main]\nindex = \"{}\"\ncredential-provider = {provider:?}",
            server.index_url()
        ));
        cargo.publish_library("hello", "1.0.0");
        let app = cargo.program("app", "println!(\"{}\", hello::version())");
        let app = app.dependencies(r#"hello = { version = "1", registry = "main" }"#);
        cargo.run_in(&app, ["fetch"]).success();
        let list = cargo.run(["owner", "--registry", "main", "--list", "hello"]).success();
        assert_eq!(list, "ci\n");
    }
}

/// Publishes a version with each of these in the `Authorization` header.
fn publish_with_each(server: &Server, headers: &[String]) {
    for (minor, header) in headers.iter().enumerate() {
        let file = CrateFile::library("hello", &format!("1.{minor}.0"), b"");
        let answer = server.client().with_token(header).publish(&file.frame());
        assert_eq!(answer.status, 200, "{header:?}: {}", answer.text());
    }
}

#[test]
fn blanks_around_a_token_do_not_matter() {
    let server = Server::start();
    let token = server.token("alice");
    let padded = [format!("{token} "), format!("{token}\t"), format!("  {token}  ")];
    publish_with_each(&server, &padded);
}

#[test]
fn a_token_publishes_alone_and_behind_each_word_that_people_put_before_it() {
    let server = Server::start();
    let token = server.token("alice");
    let forms = [
        token.clone(),
        format!("Bearer {token}"),
        format!("Token {token}"),
        format!("bearer  {token}"),
    ];
    publish_with_each(&server, &forms);
    for (minor, form) in forms[..3].iter().enumerate() {
        let cargo = Cargo::anonymous(&server).with("CARGO_REGISTRIES_MAIN_TOKEN", form);
        cargo.publish_library("hello", &format!("2.{minor}.0"));
    }
}

#[test]
fn missing_and_bad_credentials_get_the_right_status() {
    let server = Server::start_with(&["--private"]);
    let file = CrateFile::library("hello", "1.0.0", b"");
    let alice = server.client_of("alice");
    assert_eq!(alice.publish(&file.frame()).status, 200);
    let login = format!("Cargo login_url=\"{}/me\"", server.url());
    let wrong = server.client().with_token("nonsense");
    let unknown = server.client().with_token(&Server::start().token("alice"));

    let reads = [
        "/main/index/config.json".to_owned(),
        file.index_path(),
        "/main/index/ab/se/absent".to_owned(),
        file.download_path(),
        "/main/api/v1/crates/hello/1.0.0/download".to_owned(),
    ];
    for path in &reads {
        for client in [&server.client(), &wrong, &unknown] {
            let answer = client.get(path);
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header("www-authenticate"), Some(login.as_str()), "{path}");
        }
    }
    for path in ["/main/api/v1/crates?q=hello", "/main/api/v1/crates/hello/owners"] {
        let answer = server.client().get(path);
        assert_eq!(answer.error(), (401, "this action requires authentication".into()), "{path}");
        assert_eq!(answer.header("www-authenticate"), Some(login.as_str()), "{path}");
        for client in [&wrong, &unknown] {
            let answer = client.get(path);
            assert_eq!(answer.error(), (401, "authentication failed".into()), "{path}");
            assert_eq!(answer.header("www-authenticate"), Some(login.as_str()), "{path}");
        }
        assert_eq!(alice.get(path).status, 200);
    }
    // Known, and there is nothing: not a matter of rights.
    assert_eq!(alice.get("/main/index/ab/se/absent").status, 404);
    assert_eq!(alice.get("/main/api/v1/crates/absent/1.0.0/download").status, 404);
    assert_eq!(alice.get(&file.index_path()).status, 200);
}

#[test]
fn writes_to_a_public_registry_need_a_token() {
    let server = Server::start();
    let hello = CrateFile::library("hello", "1.0.0", b"").frame();
    assert_eq!(
        server.client().publish(&hello).error(),
        (401, "this action requires authentication".into())
    );
    assert_eq!(
        server.client().with_token("nonsense").publish(&hello).error(),
        (401, "authentication failed".into())
    );
    let cargo = Cargo::anonymous(&server).with("CARGO_REGISTRIES_MAIN_TOKEN", "nonsense");
    let refused = cargo.publish(&cargo.library("hello", "1.0.0")).failure();
    assert!(refused.contains("(status 401 Unauthorized): authentication failed"), "{refused}");
}

#[test]
fn no_token_gets_into_log_or_answers() {
    let server = Server::start_with(&["--private"]);
    let token = server.token("alice");
    let cargo = Cargo::anonymous(&server).with("CARGO_REGISTRIES_MAIN_TOKEN", &token);
    cargo.publish_library("hello", "1.0.0");
    let app =
        cargo.program("app", "").dependencies(r#"hello = { version = "1", registry = "main" }"#);
    cargo.run_in(&app, ["fetch"]).success();
    cargo.run(["yank", "hello@1.0.0", "--registry", "main"]).success();
    cargo.publish(&cargo.library("hello", "1.0.0")).failure();

    let (mut answers, mut encoded) = (String::new(), vec![]);
    for form in ["Bearer ", "Token ", "Basic ", "Nonsense ", "x", ""] {
        let client = server.client().with_token(&format!("{form}{token}"));
        for path in ["/main/index/config.json", "/main/me", "/main/api/v1/crates/absent/owners"] {
            answers += client.get(path).text();
        }
        answers += client.publish(b"nonsense").text();
        answers += client.get("/main/index/he/ll/hello").text();
    }
    // As a user name or password, the way of browsers and curl.
    for pair in [format!("token:{token}"), format!("{token}:")] {
        let client =
            server.client().with_token(&format!("Basic {}", BASE64_STANDARD.encode(&pair)));
        answers += client.get("/main/index/config.json").text();
        answers += client.publish(b"nonsense").text();
        encoded.push(BASE64_STANDARD.encode(&pair));
    }
    // In places where it does not belong, but people put it.
    let query = format!("?token={token}");
    for path in ["/main/index/config.json", "/main/api/v1/crates", "/main/nowhere"] {
        answers += server.client().get(&format!("{path}{query}")).text();
    }
    let cookie = format!("token={token}");
    answers += server.client().get_with("/main/index/config.json", &[("cookie", &cookie)]).text();

    let secret = token.strip_prefix("crg_").unwrap();
    assert!(server.requests().len() > 30);
    assert!(!server.log().contains(secret), "{}", server.log());
    assert!(!answers.contains(secret), "{answers}");
    for encoded in encoded {
        assert!(!server.log().contains(&encoded) && !answers.contains(&encoded), "{encoded}");
    }
}
