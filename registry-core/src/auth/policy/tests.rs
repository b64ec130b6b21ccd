use semver::Version;

use super::*;
use crate::{
    auth::{CratePattern, CredentialId, Groups, Identity, Scopes, TokenId, Vouched},
    owner::{Login, Owner},
};

const FILE: &str = r#"
[[rules]]
allow = ["read"]
to = ["authenticated"]
crates = ["*"]

[[rules]]
name = "the UI team"
allow = ["publish-new", "publish-update"]
to = ["group:ui"]
crates = ["ui-*"]

[[rules]]
deny = ["read"]
to = ["group:guests"]
crates = ["ui-secret"]

[[rules]]
deny = ["yank"]
to = ["alice"]
crates = ["frozen"]

[[rules]]
allow = ["admin"]
to = ["root"]
crates = ["*"]
"#;

fn name(name: &str) -> CanonicalName {
    CanonicalName::new(name).unwrap()
}

fn owner(login: &str) -> Owner {
    Owner { id: 1, login: Login::new(login).unwrap(), name: None }
}

fn member(login: &str, group: &str) -> Principal {
    let groups = Groups::from_iter([Login::new(group).unwrap()]);
    Principal { groups, ..owner(login).into() }
}

fn decide<'p>(
    policy: &'p RolePolicy,
    who: Option<&Principal>,
    action: &Action<'_>,
    owners: &Owners,
) -> Decision<'p> {
    let wanted = PolicyAction::of(action, owners.is_empty());
    policy.decide(who, wanted, action.crate_name(), owners)
}

/// What the policy says, as its text.
fn explain(
    policy: &RolePolicy,
    who: Option<&Principal>,
    action: &Action<'_>,
    owners: &[&str],
) -> String {
    let owners: Owners = owners.iter().map(|login| owner(login)).collect();
    decide(policy, who, action, &owners).to_string()
}

#[test]
fn each_decision_says_what_it_rests_on() {
    let policy = RolePolicy::from_toml(FILE).unwrap();
    let (ui, secret, frozen, one) =
        (name("ui_core"), name("ui-secret"), name("frozen"), Version::new(1, 0, 0));
    let (alice, bob) = (owner("alice").into(), member("bob", "group:ui"));
    let guest = Principal { user: owner("eve"), ..member("eve", "group:guests") };
    let root: Principal = owner("root").into();
    let token_of_root = Principal { scopes: Scopes::all_but_admin(), ..root.clone() };
    let publish = |name| Action::Publish(name, &one, None);
    const READS: &str = "allowed by rule 1 (line 2): allow read to authenticated on *";
    const UI: &str = "allowed by rule 2 (line 7), \"the UI team\": allow publish-new, \
                      publish-update to group:ui on ui-*";
    const ROOT: &str = "rule 5 (line 23): allow admin to root on *";
    for (who, action, owners, expected) in [
        (None, Action::Read(&ui), &[][..], "denied: no rule allows it".to_owned()),
        (None, publish(&ui), &[], "denied: the crate may not be read".into()),
        (Some(&alice), Action::ReadRegistry, &[], READS.into()),
        (Some(&alice), Action::Read(&ui), &[], READS.into()),
        (Some(&alice), publish(&ui), &[], "denied: no rule allows it".into()),
        (Some(&alice), publish(&ui), &["alice"], "allowed by ownership".into()),
        (Some(&alice), publish(&ui), &["bob"], "denied: no rule allows it".into()),
        (Some(&alice), Action::ChangeOwners(&ui), &["alice"], "allowed by ownership".into()),
        (
            Some(&alice),
            Action::Yank(&frozen, &one),
            &["alice"],
            "denied by rule 4 (line 18): deny yank to alice on frozen".into(),
        ),
        (Some(&bob), publish(&ui), &[], UI.into()),
        (Some(&bob), publish(&ui), &["alice"], UI.into()),
        (Some(&bob), publish(&frozen), &[], "denied: no rule allows it".into()),
        (Some(&bob), Action::Yank(&ui, &one), &["alice"], "denied: no rule allows it".into()),
        (Some(&bob), Action::Yank(&ui, &one), &["group:ui"], "allowed by ownership".into()),
        (Some(&bob), Action::ChangeOwners(&ui), &["group:ui"], "denied: no rule allows it".into()),
        (
            Some(&guest),
            Action::Read(&secret),
            &[],
            "denied by rule 3 (line 13): deny read to group:guests on ui-secret".into(),
        ),
        (
            Some(&guest),
            Action::Yank(&secret, &one),
            &["eve"],
            "denied: the crate may not be read".into(),
        ),
        (Some(&guest), Action::ReadRegistry, &[], READS.into()),
        (Some(&root), publish(&ui), &[], format!("allowed by {ROOT}")),
        (
            Some(&root),
            Action::ConfigureTrustedPublishing(&ui),
            &["bob"],
            format!("allowed by {ROOT}"),
        ),
        (
            Some(&token_of_root),
            publish(&ui),
            &[],
            format!("denied: needs the scope `admin` for {ROOT}"),
        ),
        (Some(&token_of_root), publish(&ui), &["root"], "allowed by ownership".into()),
    ] {
        assert_eq!(explain(&policy, who, &action, owners), expected, "{who:?} {action:?}");
    }
    for (who, expected) in [
        (&root, format!("allowed by {ROOT}")),
        (&token_of_root, format!("denied: needs the scope `admin` for {ROOT}")),
    ] {
        let decision = policy.decide(Some(who), PolicyAction::Admin, Some(&ui), &Owners::default());
        assert_eq!(decision.to_string(), expected);
    }
    let strict = RolePolicy::from_toml(&format!("owners-may-write = false\n{FILE}")).unwrap();
    let denied = "denied: no rule allows it";
    assert_eq!(explain(&strict, Some(&alice), &publish(&ui), &["alice"]), denied);
}

#[test]
fn an_issuer_reads_the_crates_of_a_tenant_that_is_not_its_own() {
    let policy = RolePolicy::from_toml(
        r#"
        [[rules]]
        allow = ["read"]
        to = [{ issuer = "https://x.example" }]
        crates = ["x-*", "y-*"]
        [[rules]]
        allow = ["read", "publish-new"]
        to = [{ issuer = "https://y.example" }]
        crates = ["y-*"]
        [[rules]]
        allow = ["publish-new"]
        to = [{ issuer = "https://x.example", subject = "robot" }]
        crates = ["x-*"]
        "#,
    )
    .unwrap();
    let of = |issuer: &str, subject: &str| Principal {
        vouched: Vouched {
            identity: Some(Identity { issuer: issuer.into(), subject: subject.into() }),
            ..Vouched::default()
        },
        credential: CredentialId::IdentityToken,
        // The same name, which is another one's at another issuer.
        ..owner("dev").into()
    };
    let (x, y, one) = (name("x_lib"), name("y_lib"), Version::new(1, 0, 0));
    for (who, read_x, read_y, create_x, create_y) in [
        (of("https://x.example", "dev"), true, true, false, false),
        (of("https://x.example", "robot"), true, true, true, false),
        (of("https://y.example", "dev"), false, true, false, true),
        (of("https://y.example", "robot"), false, true, false, true),
        (of("https://x.example.evil", "robot"), false, false, false, false),
        (owner("dev").into(), false, false, false, false),
    ] {
        for (action, expected) in [
            (Action::Read(&x), read_x),
            (Action::Read(&y), read_y),
            (Action::Publish(&x, &one, None), create_x),
            (Action::Publish(&y, &one, None), create_y),
        ] {
            let decision = decide(&policy, Some(&who), &action, &Owners::default());
            assert_eq!(decision.allowed, expected, "{:?} {action:?}", who.vouched);
        }
    }
}

/// They may have left it since.
#[test]
fn a_group_that_others_vouch_for_gives_nothing_to_tokens_and_keys_but_takes_from_them() {
    let policy = RolePolicy::from_toml(
        r#"
        [[rules]]
        allow = ["read"]
        to = ["authenticated"]
        crates = ["*"]
        [[rules]]
        allow = ["publish-new", "admin"]
        to = ["group:corp:ui"]
        crates = ["ui-*"]
        [[rules]]
        deny = ["read"]
        to = ["group:corp:ui"]
        crates = ["secret-*"]
        "#,
    )
    .unwrap();
    let group = Login::new("group:corp:ui").unwrap();
    let groups = Groups::from_iter([group.clone()]);
    let of = |credential| Principal {
        vouched: Vouched { groups: groups.clone(), ..Vouched::default() },
        credential,
        ..owner("corp:alice").into()
    };
    let id = TokenId::from_number(7).unwrap();
    let member = Principal { groups: groups.clone(), ..of(CredentialId::Token(id)) };
    let none = Owners::default();
    let owned = Owners::from_iter([Owner { id: 9, login: group, name: None }]);
    let (ui, foo, secret, one) =
        (name("ui-x"), name("foo"), name("secret-x"), Version::new(1, 0, 0));
    for (who, gives) in [
        (of(CredentialId::IdentityToken), true),
        (of(CredentialId::Proxy), true),
        (of(CredentialId::Token(id)), false),
        (of(CredentialId::Key("a".into())), false),
        // Of this registry, which knows who is in it now.
        (member, true),
    ] {
        for (action, owners, expected) in [
            (Action::Publish(&ui, &one, None), &none, gives),
            (Action::Yank(&ui, &one), &none, gives),
            (Action::Publish(&foo, &one, None), &owned, gives),
            (Action::Read(&ui), &none, true),
            (Action::Read(&secret), &none, false),
        ] {
            let decision = decide(&policy, Some(&who), &action, owners);
            assert_eq!(decision.allowed, expected, "{:?} {action:?}", who.credential);
        }
    }
}

/// A run is no user, whatever its login, but what anybody may do it may, too; and what users may not
/// do, it may not either.
#[test]
fn a_ci_run_is_meant_by_its_own_word_and_by_its_login() {
    let id = TokenId::from_number(7).unwrap();
    let run = Principal { credential: CredentialId::TrustedPublisher(id), ..owner("run").into() };
    let user: Principal = owner("run").into();
    let (foo, one) = (name("foo"), Version::new(1, 0, 0));
    let of_run = Owners::from_iter([owner("run")]);
    const READ: &str = r#"{"allow":["read"],"to":["anonymous"],"crates":["*"]}"#;
    for (to, [for_user, for_run], [denied_to_user, denied_to_run]) in [
        ("anonymous", [true, true], [false, false]),
        ("authenticated", [true, false], [true, true]),
        ("trusted-publishers", [false, true], [false, true]),
        ("run", [true, true], [true, true]),
    ] {
        let rules = format!(r#"{{"rules":[{{"allow":["read"],"to":["{to}"],"crates":["*"]}}]}}"#);
        let allows = RolePolicy::from_json(&rules).unwrap();
        let rules = format!(
            r#"{{"rules":[{READ},{{"deny":["publish-update"],"to":["{to}"],"crates":["f*"]}}]}}"#
        );
        let denies = RolePolicy::from_json(&rules).unwrap();
        for (who, allowed, denied) in
            [(&user, for_user, denied_to_user), (&run, for_run, denied_to_run)]
        {
            let decision = decide(&allows, Some(who), &Action::Read(&foo), &Owners::default());
            let expected = match allowed {
                true => format!("allowed by rule 1: allow read to {to} on *"),
                false => "denied: no rule allows it".to_owned(),
            };
            assert_eq!(decision.to_string(), expected, "{:?}", who.credential);

            let publish = Action::Publish(&foo, &one, None);
            let decision = decide(&denies, Some(who), &publish, &of_run);
            let expected = match denied {
                true => format!("denied by rule 2: deny publish-update to {to} on f*"),
                false => "allowed by ownership".to_owned(),
            };
            assert_eq!(decision.to_string(), expected, "{:?}", who.credential);
        }
    }
}

#[test]
fn what_anybody_may_do_may_be_denied_to_who_does_not_log_in() {
    let rules = |extra: &str| {
        let open = r#"{"allow":["read"],"to":["anonymous"],"crates":["*"]}"#;
        RolePolicy::from_json(&format!(r#"{{"rules":[{open}{extra}]}}"#)).unwrap()
    };
    let open = rules("");
    let inside = rules(r#",{"deny":["read"],"to":["anonymous"],"crates":["in-*"]}"#);
    let (a, internal, alice) = (name("a"), name("in-a"), owner("alice").into());
    for (policy, who, action, allowed) in [
        (&open, None, Action::Read(&internal), true),
        (&open, Some(&alice), Action::Read(&internal), true),
        (&inside, None, Action::Read(&a), true),
        (&inside, None, Action::Read(&internal), false),
        (&inside, None, Action::ReadRegistry, true),
        (&inside, Some(&alice), Action::Read(&internal), true),
    ] {
        assert_eq!(decide(policy, who, &action, &Owners::default()).allowed, allowed, "{action:?}");
    }
    assert!(!open.needs_credential());
    assert!(RolePolicy::from_toml(FILE).unwrap().needs_credential());
    let replaced = LivePolicy::new(open);
    replaced.clone().replace(RolePolicy::from_toml(FILE).unwrap());
    assert!(replaced.needs_credential());
}

#[test]
fn a_slip_in_a_file_is_refused_with_its_place() {
    let error = |text: &str| RolePolicy::from_toml(text).unwrap_err().to_string();
    let rule = |text: &str| error(&format!("{FILE}\n[[rules]]\n{text}"));
    const LIST: &str = "to = [\"a\"]\ncrates = [\"*\"]";
    for (text, expected) in [
        (
            format!("allow = [\"read\"]\n{LIST}\nwho = [\"b\"]"),
            "unknown field `who`, expected one of `name`, `allow`, `deny`, `to`, `crates`",
        ),
        (LIST.into(), "it needs either `allow` or `deny`"),
        (
            format!("allow = [\"read\"]\ndeny = [\"read\"]\n{LIST}"),
            "it needs either `allow` or `deny`",
        ),
        (format!("deny = []\n{LIST}"), "`allow` or `deny` is empty"),
        (
            format!("deny = [\"admin\"]\n{LIST}"),
            "`admin` is not denied: deny the actions themselves",
        ),
        (
            format!("allow = [\"write\"]\n{LIST}"),
            "`write` is not an action: use read, publish-new, publish-update, yank, change-owners, trusted-publishing, admin",
        ),
        ("deny = [\"read\"]\nto = []\ncrates = [\"*\"]".into(), "`to` is empty"),
        ("deny = [\"read\"]\nto = [\"a\"]\ncrates = []".into(), "`crates` is empty"),
        (
            "deny = [\"read\"]\nto = [\"a\"]\ncrates = [\"*-x\"]".into(),
            "`*-x` is not a crate pattern: use a name, the beginning of one and `*`, or `*`",
        ),
        (
            "deny = [\"read\"]\nto = [{ sub = \"a\" }]\ncrates = [\"*\"]".into(),
            "unknown field `sub`, expected `issuer` or `subject`",
        ),
    ] {
        assert_eq!(rule(&text), format!("rule 6 (line 28): {expected}"), "{text}");
    }
    assert_eq!(
        error("\nrule = []"),
        "line 2: unknown field `rule`, expected `owners-may-write` or `rules`"
    );
    assert_eq!(error(""), "line 1: missing field `rules`");
    let json = RolePolicy::from_json(r#"{"rules":[{"allow":["read"],"to":["a"]}]}"#).unwrap_err();
    assert_eq!(json.to_string(), "rule 1: missing field `crates` at line 1 column 29");
    assert_eq!(
        RolePolicy::from_json(r#"{"rules":[{"deny":["yank"],"to":["a"],"crates":["b"]}]}"#)
            .unwrap(),
        RolePolicy::new(
            vec![Rule {
                effect: Effect::Deny,
                who: vec![Who::Login(Login::new("a").unwrap())],
                crates: vec![CratePattern::new("b").unwrap()],
                actions: vec![PolicyAction::Yank],
                name: None,
                place: Place { number: 1, line: None },
            }],
            true
        )
    );
}
