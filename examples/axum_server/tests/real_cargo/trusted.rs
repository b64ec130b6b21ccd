//! CI runs publish by what their CI service says of them.

use registry_core::{
    CanonicalName, Login,
    auth::{oidc::Algorithm, trusted::TrustedPublisherStore as _},
    conformance,
    record::Timestamp,
};
use registry_index::sqlite::SqliteDatabase;
use serde_json::{Value, json};

use crate::common::{AUDIENCE, Answer, Cargo, CrateFile, IdentityServer, Server, wait_for};

pub(crate) const EXCHANGE: &str = "/main/api/v1/trusted_publishing/tokens";

/// A server that believes the runs of a CI service, on which alice has two crates.
fn start(ci: &IdentityServer) -> (Server, Cargo) {
    let server = Server::start_with(&["--oidc", &ci.file("trusted-publishing", "")]);
    let alice = Cargo::of(&server, "alice");
    alice.publish_library("hello", "1.0.0");
    alice.publish_library("other", "1.0.0");
    (server, alice)
}

fn trust(server: &Server, name: &str, flags: &[&str]) -> String {
    let mut command = server.command(["trusted-publisher", "add", "--crate", name]);
    let output = command.args(flags).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn trust_github(server: &Server, name: &str, ci: &IdentityServer) -> String {
    let flags = ["--github", "octo-org/hello", "--owner-id", "65", "--workflow", "publish.yml"];
    trust(server, name, &[&flags[..], &["--issuer", &ci.url()]].concat())
}

/// What GitHub says of a run of the workflow.
pub(crate) fn run() -> Value {
    json!({
        "sub": "repo:octo-org/hello:ref:refs/heads/main", "repository": "octo-org/hello",
        "repository_owner": "octo-org", "repository_owner_id": "65", "run_id": "1658821493",
        "workflow_ref": "octo-org/hello/.github/workflows/publish.yml@refs/heads/main",
        "event_name": "push",
    })
}

pub(crate) fn exchange(server: &Server, method: &str, identity_token: &str) -> Answer {
    let body = json!({ "jwt": identity_token }).to_string();
    server.client().send(method, EXCHANGE, &[], body.as_bytes())
}

pub(crate) fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn cargo_with(server: &Server, token: &str) -> Cargo {
    Cargo::anonymous(server).with("CARGO_REGISTRIES_MAIN_TOKEN", token)
}

#[test]
fn a_run_of_github_publishes_the_crate_that_trusts_it_and_nothing_else() {
    let ci = IdentityServer::start(Algorithm::Rs256);
    let (server, _) = start(&ci);
    let unknown = exchange(&server, "PUT", &ci.token(&run())).error();
    let text = "no crate trusts the repository or pipeline that the identity token is of";
    assert_eq!(unknown, (400, text.to_owned()));
    trust_github(&server, "hello", &ci);

    let identity_token = ci.token(&run());
    let published_by = token(&exchange(&server, "PUT", &identity_token));
    let cargo = cargo_with(&server, &published_by);
    cargo.publish_library("hello", "1.1.0");
    for (name, lacks) in [
        ("other", "it is not for the crate `other`"),
        ("hello-macros", "it is not for the crate `hello_macros`"),
    ] {
        let refused = cargo.publish(&cargo.library(name, "1.1.0")).failure();
        assert!(refused.contains("403 Forbidden") && refused.contains(lacks), "{refused}");
    }
    for command in [&["yank", "hello@1.0.0"][..], &["owner", "--add", "bob", "hello"]] {
        let refused = cargo.run(command.iter().chain(&["--registry", "main"])).failure();
        assert!(refused.contains("403 Forbidden"), "{refused}");
    }

    // Nor is a crate made by a run that is trusted with its name, as no command lets it be.
    conformance::run(async {
        let database = SqliteDatabase::open(server.data().join("index.sqlite")).unwrap();
        let publishers = database.trusted_publishers("main");
        let publisher = publishers.list(None).await.unwrap().remove(0).publisher;
        let (fresh, by) = (CanonicalName::new("fresh").unwrap(), Login::new("alice").unwrap());
        publishers.add(&fresh, &publisher, Timestamp(0), &by).await.unwrap();
    });
    let both = cargo_with(&server, &token(&exchange(&server, "PUT", &ci.token(&run()))));
    let refused = both.publish(&both.library("fresh", "1.0.0")).failure();
    assert!(refused.contains("403 Forbidden"), "{refused}");
    assert!(refused.contains("it lacks the scope `publish-new`"), "{refused}");
    both.publish_library("hello", "1.1.1");

    // The same identity token again, by either method.
    for method in ["PUT", "POST"] {
        let used = exchange(&server, method, &identity_token).error();
        assert_eq!(used, (400, "the identity token has already been used".into()));
    }
    // A second run, by the method of crates.io.
    let second = token(&exchange(&server, "POST", &ci.token(&run())));
    assert_ne!(second, published_by);

    // A run that has ended gives its token back.
    let bearer = format!("Bearer {published_by}");
    let revoked = server.client().with_token(&bearer).send("DELETE", EXCHANGE, &[], b"");
    assert_eq!((revoked.status, revoked.text()), (204, ""));
    let run = server.client().with_token(&bearer);
    wait_for("the end of the token", || (run.get("/main/api/v1/me").status == 401).then_some(()));
    let refused = cargo.publish(&cargo.library("hello", "1.2.0")).failure();
    assert!(refused.contains("authentication failed"), "{refused}");
    cargo_with(&server, &second).publish_library("hello", "1.2.0");
    let alice = server.token("alice");
    let refused = server.client().with_token(&alice).send("DELETE", EXCHANGE, &[], b"").error();
    assert_eq!(refused, (403, "only a trusted publishing token can be revoked here".into()));
    for secret in [identity_token, published_by, second] {
        assert!(!server.log().contains(&secret));
    }
}

#[test]
fn in_a_private_registry_a_run_reads_what_it_needs() {
    let ci = IdentityServer::start(Algorithm::Rs256);
    let server = Server::start_with(&["--private", "--oidc", &ci.file("trusted-publishing", "")]);
    let alice = Cargo::of(&server, "alice");
    alice.publish_library("hello", "1.0.0");
    alice.publish_library("other", "1.0.0");
    trust_github(&server, "hello", &ci);
    let cargo = cargo_with(&server, &token(&exchange(&server, "PUT", &ci.token(&run()))));
    let hello = cargo.library("hello", "1.1.0");
    let hello = hello.dependencies(r#"other = { version = "1", registry = "main" }"#);
    cargo.run_in(&hello, ["publish", "--registry", "main"]).success();
}

#[test]
fn a_run_that_is_another_one_is_told_by_which_claim() {
    let ci = IdentityServer::start(Algorithm::Es256);
    let (server, _) = start(&ci);
    trust_github(&server, "hello", &ci);
    let with = |name: &str, value: Value| {
        let mut run = run();
        run[name] = value;
        ci.token(&run)
    };
    let other = IdentityServer::start(Algorithm::Es256);
    for (token, claim) in [
        (with("repository_owner_id", json!("66")), "`repository_owner_id` does not match"),
        (with("workflow_ref", json!("octo-org/hello/.github/workflows/x.yml@y")), "`workflow_ref`"),
        (with("event_name", json!("pull_request_target")), "`event_name` does not match"),
        (with("event_name", json!("workflow_run")), "`event_name` does not match"),
        (with("repository_owner_id", Value::Null), "`repository_owner_id` is missing"),
        (with("aud", json!("crates.io")), "`aud` does not match"),
        (with("aud", json!([AUDIENCE, "crates.io"])), "`aud` does not match"),
        (with("iss", json!("https://token.actions.githubusercontent.com")), "`iss`"),
        (with("exp", json!(1)), "`exp` has passed"),
        (with("nbf", json!(u32::MAX)), "`nbf` is in the future"),
        (with("iat", json!(u32::MAX)), "`iat` is in the future"),
        (other.token(&run()), "`iss` does not match"),
    ] {
        let (status, detail) = exchange(&server, "PUT", &token).error();
        assert!(status == 400 && detail.contains(claim), "{claim}: {detail}");
        assert!(!detail.contains("65") && !detail.contains("publish.yml"), "{detail}");
    }
    for body in ["", "{}", "[]", r#"{"jwt":7}"#, r#"{"jwt":"a.b.c"}"#, r#"{"jwt":""}"#] {
        let answer = server.client().put(EXCHANGE, body.as_bytes());
        assert_eq!(answer.error().0, 400, "{body}");
    }
}

#[test]
fn of_many_exchanges_of_one_identity_token_one_gets_a_token() {
    let ci = IdentityServer::start(Algorithm::Es256);
    let (server, _) = start(&ci);
    trust_github(&server, "hello", &ci);
    let identity_token = ci.token(&run());
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let exchanges: Vec<_> =
            (0..16).map(|_| scope.spawn(|| exchange(&server, "PUT", &identity_token))).collect();
        exchanges.into_iter().map(|exchange| exchange.join().unwrap()).collect()
    });
    let (tokens, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert_eq!((tokens.len(), refused.len()), (1, 15));
    for answer in refused {
        assert_eq!(answer.error(), (400, "the identity token has already been used".into()));
    }
}

#[test]
fn a_job_of_gitlab_publishes_by_a_configuration_over_http() {
    let ci = IdentityServer::start(Algorithm::Rs256);
    let (server, _) = start(&ci);
    let configs = "/main/api/v1/trusted_publishing/gitlab_configs";
    let body = json!({"gitlab_config": {
        "crate": "Hello", "namespace": "my-group/sub", "namespace_id": 72, "project": "hello",
        "workflow_filepath": ".gitlab-ci.yml", "environment": "prod", "issuer": ci.url(),
    }});
    let body = body.to_string();
    let (alice, bob) = (server.client_of("alice"), server.client_of("bob"));
    let refused = bob.send("POST", configs, &[], body.as_bytes()).error();
    assert!(refused.0 == 403 && refused.1.contains("don't seem to be an owner"), "{refused:?}");
    assert_eq!(server.client().send("POST", configs, &[], body.as_bytes()).status, 401);
    let added = alice.send("POST", configs, &[], body.as_bytes());
    assert_eq!(added.status, 200, "{}", added.text());
    let mut shown = added.json()["gitlab_config"].clone();
    let id = shown["id"].as_u64().unwrap();
    assert!(shown["created_at"].take().as_str().unwrap().ends_with('Z'));
    let expected = json!({
        "id": id, "crate": "hello", "namespace": "my-group/sub", "namespace_id": "72",
        "project": "hello", "workflow_filepath": ".gitlab-ci.yml", "environment": "prod",
        "issuer": ci.url(), "created_at": null,
    });
    assert_eq!(shown, expected);
    let list = |kind: &str| {
        alice.get(&format!("/main/api/v1/trusted_publishing/{kind}_configs?crate=hello")).json()
    };
    assert_eq!(list("gitlab")["meta"], json!({"total": 1, "next_page": null}));
    assert_eq!(list("github")["github_configs"], json!([]));

    let host = ci.url().replace("http://", "");
    let job = json!({
        "project_path": "my-group/sub/hello", "namespace_id": "72", "pipeline_id": "574",
        "ci_config_ref_uri": format!("{host}/my-group/sub/hello//.gitlab-ci.yml@refs/heads/main"),
        "pipeline_source": "push", "environment": "Prod",
    });
    let cargo = cargo_with(&server, &token(&exchange(&server, "POST", &ci.token(&job))));
    cargo.publish_library("hello", "1.1.0");

    let path = format!("{configs}/{id}");
    assert_eq!(bob.send("DELETE", &path, &[], b"").status, 403);
    assert_eq!(alice.send("DELETE", &path, &[], b"").status, 204);
    assert_eq!(alice.send("DELETE", &path, &[], b"").status, 404);
    assert_eq!(exchange(&server, "POST", &ci.token(&job)).error().0, 400);
}

#[test]
fn publishers_of_other_services_are_configured_by_command() {
    let ci = IdentityServer::start(Algorithm::EdDsa);
    let file = ci.file("trusted-publishing", "algorithms = [\"EdDSA\"]");
    let server = Server::start_with(&["--oidc", &file]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let url = ci.url();
    let issuer = ["--issuer", url.as_str()];
    let forgejo = ["--forgejo", "a/b", "--workflow", ".forgejo/workflows/publish.yml"];
    let numbered = [&forgejo[..], &["--owner-id", "65"]].concat();
    let buildkite = ["--buildkite", "acme/app", "--organization-id", "0184990a"];
    trust(
        &server,
        "hello",
        &[&["--claim", "sub=job 7", "--claim", "protected=true"], &issuer[..]].concat(),
    );
    trust(&server, "hello", &[&buildkite[..], &issuer].concat());
    trust(&server, "hello", &[&numbered[..], &issuer].concat());
    for (minor, run) in [
        json!({"sub": "job 7", "protected": true}),
        json!({"organization_slug": "acme", "pipeline_slug": "app", "build_number": 7,
            "organization_id": "0184990a"}),
        json!({"repository": "a/b", "event_name": "push", "repository_owner_id": "65",
            "workflow_ref": "a/b/.forgejo/workflows/publish.yml@refs/heads/main"}),
    ]
    .iter()
    .enumerate()
    {
        let token = token(&exchange(&server, "PUT", &ci.token(run)));
        let file = CrateFile::library("hello", &format!("1.{}.0", minor + 1), b"");
        let answer = server.client().with_token(&token).publish(&file.frame());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // Who has taken over a name that was given up is somebody else.
    let taken_over = [
        (
            json!({"organization_slug": "acme", "pipeline_slug": "app"}),
            "`organization_id` is missing",
        ),
        (
            json!({"repository": "a/b", "event_name": "push", "repository_owner_id": "66",
                "workflow_ref": "a/b/.forgejo/workflows/publish.yml@refs/heads/main"}),
            "`repository_owner_id` does not match",
        ),
    ];
    for (run, fault) in taken_over {
        let (status, detail) = exchange(&server, "PUT", &ci.token(&run)).error();
        assert!(status == 400 && detail.contains(fault), "{detail}");
    }
    let output = server.command(["trusted-publisher", "list"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let kinds: Vec<_> = list.lines().filter_map(|line| line.split('"').nth(3)).collect();
    assert_eq!(list.lines().count(), 3, "{list}");
    let logins: Vec<_> = list.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    let digits = |login: &str| login.strip_prefix("trusted-publisher:").map(str::len);
    assert!(list.lines().all(|line| line.contains(" hello ")), "{list} {kinds:?}");
    assert_eq!((logins[0], digits(logins[1]), digits(logins[2])), ("-", Some(16), Some(16)));
    let tokens = server.command(["token", "list"]).output().unwrap();
    let tokens = String::from_utf8(tokens.stdout).unwrap();
    assert!(logins[1..].iter().all(|login| tokens.contains(login)), "{tokens}");
    // Nobody takes the runs for people.
    let users = server.command(["user", "list"]).output().unwrap();
    let users = String::from_utf8(users.stdout).unwrap();
    let (runs, people): (Vec<_>, Vec<_>) =
        users.lines().partition(|line| line.starts_with("trusted-publisher:"));
    assert_eq!((runs.len(), &people[..]), (3, &["alice\tuser\t-\t-"][..]), "{users}");
    assert!(runs.iter().all(|line| line.ends_with("\ttrusted-publisher\t-\t-")), "{users}");
    assert!(logins[1..].iter().all(|login| users.contains(login)), "{users}");
    let id = list.split(' ').next().unwrap();
    assert!(server.command(["trusted-publisher", "remove", id]).status().unwrap().success());
    assert!(!server.command(["trusted-publisher", "remove", id]).status().unwrap().success());
    let wrong = server.command(["trusted-publisher", "add", "--crate", "hello", "--github", "a/b"]);
    assert!(!{ wrong }.status().unwrap().success());
}

#[test]
fn a_server_that_trusts_no_ci_service_exchanges_nothing() {
    let server = Server::start();
    let answer = exchange(&server, "PUT", "a.b.c").error();
    assert_eq!(answer, (404, "this registry does not offer trusted publishing".into()));
}
