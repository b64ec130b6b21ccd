//! Which runs are those of a trusted publisher, on claims as the services make them.

use registry_core::auth::{
    oidc::{ClaimFault, Claims},
    trusted::{Mismatch, TrustedPublisher},
};
use serde_json::{Value, json};

fn claims(value: &Value) -> Claims {
    Claims::from(value.as_object().unwrap().clone())
}

/// Source: GitHub Docs, "OpenID Connect reference".
fn github_claims() -> Value {
    json!({
        "jti": "example-id", "sub": "repo:octo-org/octo-repo:environment:prod",
        "environment": "prod", "aud": "crates.example.com", "ref": "refs/heads/main",
        "sha": "example-sha", "repository": "octo-org/octo-repo", "repository_owner": "octo-org",
        "actor_id": "12", "repository_visibility": "private", "repository_id": "74",
        "repository_owner_id": "65", "run_id": "example-run-id", "run_number": "10",
        "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat",
        "workflow": "example-workflow", "head_ref": "", "base_ref": "",
        "event_name": "workflow_dispatch", "ref_type": "branch",
        "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/publish.yml@refs/heads/main",
        "iss": "https://token.actions.githubusercontent.com",
        "nbf": 1632492967, "exp": 1632493867, "iat": 1632493567,
    })
}

fn github(environment: Option<&str>) -> TrustedPublisher {
    TrustedPublisher::GitHub {
        issuer: TrustedPublisher::GITHUB.into(),
        repository_owner: "Octo-Org".into(),
        repository_owner_id: 65,
        repository: "octo-repo".into(),
        workflow: "publish.yml".into(),
        environment: environment.map(Into::into),
    }
}

/// Source: GitLab Docs, "OpenID Connect (OIDC) Authentication Using ID Tokens".
fn gitlab_claims() -> Value {
    json!({
        "namespace_id": "72", "namespace_path": "my-group/sub", "project_id": "20",
        "project_path": "my-group/sub/my-project", "user_id": "1", "user_login": "sample-user",
        "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
        "ref": "feature-branch-1", "ref_type": "branch", "ref_path": "refs/heads/main",
        "ref_protected": "false", "environment": "Prod", "runner_id": 1,
        "runner_environment": "self-hosted", "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "project_visibility": "public",
        "ci_config_ref_uri": "gitlab.com/my-group/sub/my-project//ci/publish.yml@refs/heads/main",
        "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b", "iss": "https://gitlab.com",
        "iat": 1681395193, "nbf": 1681395188, "exp": 1681398793,
        "sub": "project_path:my-group/sub/my-project:ref_type:branch:ref:main",
        "aud": "crates.example.com",
    })
}

fn gitlab(environment: Option<&str>) -> TrustedPublisher {
    TrustedPublisher::GitLab {
        issuer: TrustedPublisher::GITLAB.into(),
        namespace: "my-group/sub".into(),
        namespace_id: 72,
        project: "my-project".into(),
        workflow: "ci/publish.yml".into(),
        environment: environment.map(Into::into),
    }
}

/// Source: Forgejo Docs, "Security OpenID Connect"; its numbers, from Forgejo's change 12355.
fn forgejo_claims() -> Value {
    json!({
        "iss": "https://forge.example.com/api/actions", "aud": "crates.example.com",
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "repository": "octo-org/octo-repo",
        "repository_owner": "octo-org", "event_name": "push", "run_id": "7",
        "repository_owner_id": "65", "repository_id": "74", "actor_id": "12",
        "workflow_ref": "octo-org/octo-repo/.forgejo/workflows/publish.yml@refs/heads/main",
    })
}

fn forgejo(repository_owner_id: Option<u64>) -> TrustedPublisher {
    TrustedPublisher::Forgejo {
        issuer: "https://forge.example.com/api/actions".into(),
        repository_owner: "octo-org".into(),
        repository_owner_id,
        repository: "octo-repo".into(),
        workflow: ".forgejo/workflows/publish.yml".into(),
    }
}

/// Source: Buildkite Docs, "buildkite-agent oidc".
fn buildkite_claims() -> Value {
    json!({
        "iss": "https://agent.buildkite.com", "aud": "crates.example.com",
        "sub": "organization:acme-inc:pipeline:super-duper-app:ref:refs/heads/main:commit:9f3182:\
                step:build",
        "organization_slug": "acme-inc", "pipeline_slug": "super-duper-app", "build_number": 1,
        "build_branch": "main", "build_commit": "9f3182", "step_key": "build", "job_id": "0184990a",
        "agent_id": "0184990a", "organization_id": "0184990a-477b-4fa8-9968-496074483cee",
        "iat": 1669014898, "nbf": 1669014898, "exp": 1669015198,
    })
}

const ORGANIZATION: &str = "0184990a-477b-4fa8-9968-496074483cee";

fn buildkite(organization_id: Option<&str>) -> TrustedPublisher {
    TrustedPublisher::Buildkite {
        issuer: TrustedPublisher::BUILDKITE.into(),
        organization: "acme-inc".into(),
        organization_id: organization_id.map(Into::into),
        pipeline: "super-duper-app".into(),
    }
}

fn generic() -> TrustedPublisher {
    TrustedPublisher::Generic {
        issuer: "https://ci.example.com".into(),
        claims: [("sub".into(), "job 7".into()), ("protected".into(), "true".into())].into(),
    }
}

fn generic_claims() -> Value {
    json!({"iss": "https://ci.example.com", "sub": "job 7", "protected": true})
}

#[test]
fn a_run_of_each_service_matches() {
    for (publisher, run) in [
        (github(None), github_claims()),
        (github(Some("Prod")), github_claims()),
        (gitlab(None), gitlab_claims()),
        (gitlab(Some("prod")), gitlab_claims()),
        (forgejo(None), forgejo_claims()),
        (forgejo(Some(65)), forgejo_claims()),
        (buildkite(None), buildkite_claims()),
        (buildkite(Some(ORGANIZATION)), buildkite_claims()),
        (generic(), generic_claims()),
    ] {
        assert_eq!(publisher.clone().checked(), Ok(publisher.clone()));
        assert_eq!(publisher.matches(&claims(&run)), Ok(()), "{publisher:?}");
    }
}

/// The claims that a publisher looks at, each with values that are another run's.
fn others() -> Vec<(TrustedPublisher, Value, &'static str, Vec<Value>)> {
    let (hub, lab) = (github(Some("prod")), gitlab(Some("prod")));
    let (forgejo, buildkite) = (forgejo(Some(65)), buildkite(Some(ORGANIZATION)));
    let texts = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
    let issuers =
        texts(&["https://other.example", "", "HTTPS://GITLAB.COM", "https://gitlab.com/"]);
    let foreign = texts(&["pull_request_target", "workflow_run"]);
    let merge = texts(&["merge_request_event", "external_pull_request_event"]);
    let repositories = texts(&[
        "octo-org/other",
        "other/octo-repo",
        "octo-org/octo-repo/",
        "octo-org",
        "",
        "octo-repo",
        "octo-org/octo-repo2",
    ]);
    let workflows = texts(&[
        "octo-org/octo-repo/.github/workflows/other.yml@refs/heads/main",
        "octo-org/octo-repo/.github/workflows/Publish.yml@refs/heads/main",
        "octo-org/octo-repo/.github/workflows/publish.yml",
        "octo-org/octo-repo/.github/workflows/publish.yml2@refs/heads/main",
        "octo-org/octo-repo/.github/workflows/x/publish.yml@refs/heads/main",
        "octo-org/other/.github/workflows/publish.yml@refs/heads/main",
        "octo-org/octo-repo/publish.yml@refs/heads/main",
        // The name of a branch is chosen by whoever makes it.
        "octo-org/octo-repo/.github/workflows/evil.yml@refs/heads/x/.github/workflows/publish.yml@",
        "",
        "publish.yml",
        "octo-org/octo-repÖ/.github/workflows/publish.yml@refs/heads/main",
    ]);
    let files = texts(&[
        "gitlab.com/my-group/sub/my-project//ci/other.yml@refs/heads/main",
        "gitlab.com/my-group/sub/my-project//CI/publish.yml@refs/heads/main",
        "gitlab.com/my-group/sub/my-project//x@refs/heads//ci/publish.yml@refs/heads/main",
        "gitlab.com/my-group/sub/my-project/ci/publish.yml@refs/heads/main",
        "gitlab.example/my-group/sub/my-project//ci/publish.yml@refs/heads/main",
        "gitlab.com/other/my-project//ci/publish.yml@refs/heads/main",
        "ci/publish.yml",
        "",
    ]);
    let forge = texts(&[
        "octo-org/octo-repo/.github/workflows/publish.yml@refs/heads/main",
        "octo-org/octo-repo/.forgejo/workflows/other.yml@refs/heads/main",
        "",
    ]);
    let prods = texts(&["staging", "", "prod ", "prod2"]);
    let numbers = vec![json!("66"), json!("065"), json!(65.5), json!(-65), json!(""), json!([65])];
    let slugs = texts(&["acme", "acme-inc2", ""]);
    let ids = vec![json!("7"), json!("720"), json!(null), json!({})];
    vec![
        (hub.clone(), github_claims(), "iss", issuers.clone()),
        (hub.clone(), github_claims(), "repository", repositories.clone()),
        (hub.clone(), github_claims(), "repository_owner_id", numbers.clone()),
        (hub.clone(), github_claims(), "workflow_ref", workflows),
        (hub.clone(), github_claims(), "event_name", foreign.clone()),
        (hub, github_claims(), "environment", prods.clone()),
        (lab.clone(), gitlab_claims(), "iss", vec![issuers[0].clone(), issuers[3].clone()]),
        (lab.clone(), gitlab_claims(), "project_path", texts(&["my-group/my-project", "sub"])),
        (lab.clone(), gitlab_claims(), "namespace_id", ids),
        (lab.clone(), gitlab_claims(), "ci_config_ref_uri", files),
        (lab.clone(), gitlab_claims(), "pipeline_source", merge),
        (lab, gitlab_claims(), "environment", prods),
        (forgejo.clone(), forgejo_claims(), "iss", issuers.clone()),
        (forgejo.clone(), forgejo_claims(), "repository", repositories),
        (forgejo.clone(), forgejo_claims(), "repository_owner_id", numbers),
        (forgejo.clone(), forgejo_claims(), "workflow_ref", forge),
        (forgejo, forgejo_claims(), "event_name", foreign),
        (buildkite.clone(), buildkite_claims(), "iss", issuers.clone()),
        (buildkite.clone(), buildkite_claims(), "organization_slug", slugs),
        (buildkite.clone(), buildkite_claims(), "organization_id", texts(&["0184990a", ""])),
        (buildkite, buildkite_claims(), "pipeline_slug", texts(&["app", ""])),
        (generic(), generic_claims(), "iss", issuers),
        (generic(), generic_claims(), "sub", texts(&["job 8", "JOB 7", "job 7 "])),
        (generic(), generic_claims(), "protected", vec![json!(false), json!("TRUE"), json!(1)]),
    ]
}

#[test]
fn a_run_that_differs_in_one_claim_does_not_match() {
    for (publisher, run, claim, values) in others() {
        assert_eq!(publisher.matches(&claims(&run)), Ok(()));
        let error = |fault| Err(Mismatch { claim: claim.into(), fault });
        let mut without = run.clone();
        without.as_object_mut().unwrap().remove(claim).unwrap();
        let missing = publisher.matches(&claims(&without));
        assert_eq!(missing, error(ClaimFault::Missing), "{claim}");
        for value in values {
            let mut other = run.clone();
            other[claim] = value.clone();
            let fault = match value {
                Value::Null | Value::Array(_) | Value::Object(_) => ClaimFault::Missing,
                _ => ClaimFault::Mismatch,
            };
            assert_eq!(publisher.matches(&claims(&other)), error(fault), "{claim} {value}");
        }
    }
}

#[test]
fn names_are_compared_as_the_services_compare_them() {
    let mut run = github_claims();
    run["repository"] = json!("OCTO-ORG/Octo-Repo");
    run["workflow_ref"] = json!("OCTO-ORG/Octo-Repo/.github/workflows/publish.yml@refs/tags/v1");
    run["environment"] = json!("PROD");
    assert_eq!(github(Some("prod")).matches(&claims(&run)), Ok(()));
    // A number may come as one.
    run["repository_owner_id"] = json!(65);
    assert_eq!(github(Some("prod")).matches(&claims(&run)), Ok(()));
    // Without an environment named, any does, and none.
    run.as_object_mut().unwrap().remove("environment");
    assert_eq!(github(None).matches(&claims(&run)), Ok(()));
}

#[test]
fn no_service_speaks_for_another() {
    let runs =
        [github_claims(), gitlab_claims(), forgejo_claims(), buildkite_claims(), generic_claims()];
    let publishers = [github(None), gitlab(None), forgejo(None), buildkite(None), generic()];
    for (i, publisher) in publishers.iter().enumerate() {
        for (j, run) in runs.iter().enumerate() {
            assert_eq!(publisher.matches(&claims(run)).is_ok(), i == j, "{i} {j}");
        }
        // All claims of all services, but by another issuer.
        let mut all = json!({});
        for run in &runs {
            all.as_object_mut().unwrap().extend(run.as_object().unwrap().clone());
        }
        all["iss"] = json!("https://other.example");
        assert!(publisher.matches(&claims(&all)).is_err());
    }
}

#[test]
fn a_publisher_that_no_run_could_match_is_refused() {
    type Change = fn(&mut Value);
    let hub = || serde_json::to_value(github(Some("prod"))).unwrap();
    let lab = || serde_json::to_value(gitlab(None)).unwrap();
    let other = || serde_json::to_value(generic()).unwrap();
    let cases: Vec<(Value, Change, &str)> = vec![
        (hub(), |it| it["issuer"] = json!("http://token.example"), "issuer"),
        (hub(), |it| it["issuer"] = json!(""), "issuer"),
        (hub(), |it| it["repository_owner"] = json!(""), "repository_owner"),
        (hub(), |it| it["repository_owner"] = json!("a/b"), "repository_owner"),
        (hub(), |it| it["repository"] = json!(".."), "repository"),
        (hub(), |it| it["repository"] = json!("a".repeat(256)), "repository"),
        (hub(), |it| it["workflow"] = json!("publish"), "workflow"),
        (hub(), |it| it["workflow"] = json!(".yml"), "workflow"),
        (hub(), |it| it["workflow"] = json!("x/publish.yml"), "workflow"),
        (hub(), |it| it["workflow"] = json!("../publish.yml"), "workflow"),
        (hub(), |it| it["environment"] = json!(""), "environment"),
        (hub(), |it| it["environment"] = json!("a\nb"), "environment"),
        (lab(), |it| it["namespace"] = json!("/a"), "namespace"),
        (lab(), |it| it["project"] = json!("a/b"), "project"),
        (lab(), |it| it["workflow"] = json!("ci//publish.yml"), "workflow"),
        (lab(), |it| it["workflow"] = json!("ci.yml@x"), "workflow"),
        (other(), |it| it["claims"] = json!({}), "claims"),
        (other(), |it| it["claims"] = json!({"aud": "a", "iss": "b"}), "claims"),
        (other(), |it| it["claims"] = json!({"sub": ""}), "claims"),
    ];
    for (mut json, change, field) in cases {
        change(&mut json);
        let publisher: TrustedPublisher = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(publisher.checked().unwrap_err().field, field, "{json}");
    }
    let mut json = hub();
    json["branch"] = json!("main");
    assert!(serde_json::from_value::<TrustedPublisher>(json).is_err());
}
