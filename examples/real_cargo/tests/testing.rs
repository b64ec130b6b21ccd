//! The registry for tests of tools, without a socket and with the installed cargo.

use std::net::TcpStream;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use real_cargo::{Cargo, Package};
use registry_http::testing::{Exchange, Fault, On, TestCrate, TestRegistry};

const UNAVAILABLE: Fault = Fault::Status(StatusCode::SERVICE_UNAVAILABLE);

/// A cargo that knows the registry.
fn cargo(registry: &TestRegistry) -> Cargo {
    let cargo = Cargo::bare().with("CARGO_NET_RETRY", "2");
    cargo.configure(&registry.config_toml());
    cargo
}

/// A program that prints what the library `foo` says.
fn program(cargo: &Cargo) -> Package {
    cargo
        .program("uses-foo", "println!(\"{}\", foo::f())")
        .dependencies("foo = { version = \"1\", registry = \"test\" }")
}

/// A registry with a library `foo`, a cargo, and a program that needs the library.
fn with_foo() -> (TestRegistry, Cargo, Package) {
    let registry = TestRegistry::start();
    registry.publish("foo", "1.0.0", "pub fn f() -> u32 { 42 }");
    let cargo = cargo(&registry);
    let program = program(&cargo);
    (registry, cargo, program)
}

/// Method, path and status of all that was asked.
fn asked(registry: &TestRegistry) -> Vec<String> {
    let all = registry.take_exchanges().into_iter().map(|exchange| {
        let (request, response) = (exchange.request, exchange.response);
        format!("{} {} {}", request.method(), request.uri().path(), response.status().as_u16())
    });
    all.collect()
}

/// Asserts that cargo has said all of this.
#[track_caller]
fn assert_said(stderr: &str, expected: &[&str]) {
    for text in expected {
        assert!(stderr.contains(text), "{text} is missing in:\n{stderr}");
    }
}

#[test]
fn a_program_is_built_with_what_was_seeded() {
    let (registry, cargo, program) = with_foo();
    assert_eq!(cargo.run_in(&program, ["run"]).success(), "42\n");
    assert_eq!(
        asked(&registry),
        [
            "GET /index/config.json 200",
            "GET /index/3/f/foo 200",
            "GET /api/v1/crates/foo/1.0.0/download 200",
        ]
    );
}

#[test]
fn dependencies_features_and_yanks_are_as_cargo_knows_them() {
    let registry = TestRegistry::start();
    registry.publish("deep", "1.2.3", "pub const N: u32 = 7;");
    registry.publish("maybe", "0.3.0", "");
    let foo = TestCrate::new("foo", "1.0.0")
        .dependency("deep", "1")
        .optional_dependency("maybe", "0.3")
        .feature("more", &["dep:maybe"])
        .file("src/text", "it is {}")
        .source("pub fn f() -> String { format!(include_str!(\"text\"), deep::N) }");
    registry.add(foo);
    registry.add(TestCrate::new("foo", "1.0.1").yanked());
    let cargo = cargo(&registry);
    let program = program(&cargo);
    assert_eq!(cargo.run_in(&program, ["run"]).success(), "it is 7\n");
    let tree = ["tree", "--prefix", "none", "--format", "{p}"];
    let packages = |features: &str| {
        let toml =
            format!("foo = {{ version = \"1\", registry = \"test\", features = [{features}] }}");
        let program = cargo.program(&format!("tree{}", features.len()), "").dependencies(&toml);
        let tree = cargo.run_in(&program, tree).success();
        let names = tree.lines().skip(1).map(|line| line.split(" (").next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(packages(""), ["foo v1.0.0", "deep v1.2.3"]);
    assert_eq!(packages("\"more\""), ["foo v1.0.0", "deep v1.2.3", "maybe v0.3.0"]);
}

#[test]
fn what_is_unavailable_for_a_while_is_asked_for_again() {
    let (registry, cargo, program) = with_foo();
    registry.inject(On::index("foo"), UNAVAILABLE, 1);
    registry.inject(On::download("foo"), Fault::Status(StatusCode::BAD_GATEWAY), 1);
    let built = cargo.run_in(&program, ["run"]);
    assert_eq!(built.success(), "42\n");
    assert_eq!(
        asked(&registry),
        [
            "GET /index/config.json 200",
            "GET /index/3/f/foo 503",
            "GET /index/3/f/foo 200",
            "GET /api/v1/crates/foo/1.0.0/download 502",
            "GET /api/v1/crates/foo/1.0.0/download 200",
        ]
    );
    assert_said(
        &built.stderr(),
        &[
            "warning: spurious network error (2 tries remaining): failed to get successful HTTP response",
            "/index/3/f/foo` (127.0.0.1), got 503\nbody:\nthis fault was asked for\n",
            "/api/v1/crates/foo/1.0.0/download` (127.0.0.1), got 502\n",
        ],
    );
}

#[test]
fn what_stays_unavailable_is_given_up() {
    let (registry, cargo, program) = with_foo();
    registry.inject(On::index("foo"), UNAVAILABLE, usize::MAX);
    let cargo = cargo.with("CARGO_NET_RETRY", "1");
    let refused = cargo.run_in(&program, ["fetch"]).failure();
    assert_said(
        &refused,
        &[
            "(1 try remaining)",
            "download of 3/f/foo failed",
            "/index/3/f/foo` (127.0.0.1), got 503",
        ],
    );
    let all = "GET /index/3/f/foo 503";
    assert_eq!(asked(&registry), ["GET /index/config.json 200", all, all]);
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let (registry, cargo, program) = with_foo();
    registry.inject(On::config(), Fault::TooMany { retry_after: 1 }, 1);
    let built = cargo.run_in(&program, ["fetch"]);
    built.success();
    assert_said(
        &built.stderr(),
        &["(2 tries remaining)", "/index/config.json` (127.0.0.1), got 429"],
    );
    let exchanges = registry.take_exchanges();
    let answer = &exchanges[0].response;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()),
        (429, &b"1"[..])
    );
    assert_eq!(exchanges[1].response.status(), StatusCode::OK);
}

#[test]
fn a_publish_is_tried_once() {
    let registry = TestRegistry::start();
    registry.inject(On::publish(), UNAVAILABLE, 1);
    let cargo = cargo(&registry);
    let package = cargo.library("foo", "1.0.0");
    let publish = ["publish", "--registry", "test", "--no-verify"];
    let refused = cargo.run_in(&package, publish).failure();
    let expected =
        ["failed to publish foo v1.0.0 to registry", "got 503", "this fault was asked for"];
    assert_said(&refused, &expected);
    // Nothing of it has reached the registry.
    cargo.run_in(&package, publish).success();
}

#[test]
fn a_file_that_is_cut_off_is_fetched_again() {
    let (registry, cargo, program) = with_foo();
    registry.inject(On::download("foo"), Fault::Truncated, 1);
    let built = cargo.run_in(&program, ["run"]);
    assert_eq!(built.success(), "42\n");
    assert_said(&built.stderr(), &["(2 tries remaining)", "end of response with"]);
    let download = "GET /api/v1/crates/foo/1.0.0/download 200";
    assert_eq!(asked(&registry)[2..], [download, download]);
}

#[test]
fn a_file_with_another_content_is_refused() {
    let (registry, cargo, program) = with_foo();
    registry.inject(On::download("foo"), Fault::Content("no crate".into()), 1);
    let refused = cargo.run_in(&program, ["fetch"]).failure();
    assert_said(&refused, &["failed to verify the checksum of `foo v1.0.0 (registry `test`)`"]);
    // It was the one time.
    assert_eq!(cargo.run_in(&program, ["run"]).success(), "42\n");
}

#[test]
fn a_wrong_checksum_in_the_index_is_found() {
    let (registry, cargo, program) = with_foo();
    registry.inject(On::index("foo"), Fault::WrongChecksum, 1);
    let refused = cargo.run_in(&program, ["fetch"]).failure();
    assert_said(&refused, &["failed to verify the checksum of `foo v1.0.0 (registry `test`)`"]);
    // Nothing of it stays.
    cargo.forget_downloads();
    std::fs::remove_file(program.folder().join("Cargo.lock")).unwrap();
    assert_eq!(cargo.run_in(&program, ["run"]).success(), "42\n");
}

#[test]
fn cargo_waits_for_an_index_that_is_late() {
    let registry = TestRegistry::start();
    registry.delay_index(2);
    let cargo = cargo(&registry);
    let package = cargo.library("late", "1.0.0");
    let published = cargo.run_in(&package, ["publish", "--registry", "test", "--no-verify"]);
    published.success();
    assert_said(
        &published.stderr(),
        &["waiting for late v1.0.0 to be available", "Published late v1.0.0 at registry `test`"],
    );
    let (config, absent) = ("GET /index/config.json 200", "GET /index/la/te/late 404");
    let there = "GET /index/la/te/late 200";
    let publish = "PUT /api/v1/crates/new 200";
    assert_eq!(
        asked(&registry),
        [config, absent, publish, config, absent, config, absent, config, there]
    );
}

#[test]
fn a_private_registry_is_read_with_its_token() {
    let registry = TestRegistry::builder().private().start();
    registry.publish("foo", "1.0.0", "pub fn f() -> u32 { 42 }");
    let cargo = cargo(&registry);
    let program = program(&cargo);
    assert_eq!(cargo.run_in(&program, ["run"]).success(), "42\n");
    let exchanges = registry.take_exchanges();
    let with_token = |exchange: &Exchange| exchange.request.headers().contains_key("authorization");
    let with_token: Vec<bool> = exchanges.iter().map(with_token).collect();
    assert_eq!(with_token, [false, true, true, true]);
    assert!(!format!("{exchanges:?}{registry:?}").contains(registry.token()));
    let anonymous = Cargo::bare();
    anonymous.configure(&registry.config_toml().replace("token = ", "other = "));
    let refused = anonymous.run_in(&program, ["fetch"]).failure();
    assert!(refused.contains("no token found for `test`"), "{refused}");
}

#[test]
fn it_ends_when_it_is_dropped() {
    let registry = TestRegistry::start();
    let url = registry.index_url();
    let address = url.trim_start_matches("sparse+http://").trim_end_matches("/index/");
    let open = TcpStream::connect(address).unwrap();
    drop(registry);
    assert!(TcpStream::connect(address).is_err());
    drop(open);
}

#[tokio::test]
async fn requests_are_answered_without_a_socket() {
    let registry = TestRegistry::without_socket();
    registry.publish("foo", "1.0.0", "");
    let get = |path: &str| Request::get(path).body(Empty::<&[u8]>::new()).unwrap();
    let answer = registry.handle(get("/index/3/f/foo")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let line = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(line.starts_with(b"{\"name\":\"foo\",\"vers\":\"1.0.0\""), "{line:?}");

    let is_shown = async |name: &str| {
        let answer = registry.handle(get(&format!("/index/3/{}/{name}", &name[..1]))).await;
        answer.status() == StatusCode::OK
    };
    registry.delay_index(1);
    registry.publish("bar", "1.0.0", "");
    registry.publish("baz", "1.0.0", "");
    assert_eq!([is_shown("bar").await, is_shown("bar").await], [false, true]);
    registry.heal();
    assert!(is_shown("baz").await);

    registry.inject(On::download("foo"), Fault::Truncated, usize::MAX);
    let download = "/api/v1/crates/foo/1.0.0/download";
    let answer = registry.handle(get(download)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.into_body().collect().await.is_err());
    registry.heal();
    let answer = registry.handle(get(download)).await;
    assert!(answer.into_body().collect().await.is_ok());
}
