use super::*;
use crate::{
    auth::{
        Action, AuthError, Authenticator as _, Claim, CratePattern, Credential, CredentialForms,
        EndpointScope, Groups, Mutation, TokenAuthenticator,
    },
    memory::MemoryTokens,
    name::CanonicalName,
    owner::Owner,
};

const NOW: u64 = 1_709_208_000;
const HOUR: u64 = 60 * 60;

fn at(now: u64) -> WallClock {
    WallClock::new(move || Timestamp(now))
}

fn login(text: &str) -> Login {
    Login::new(text).unwrap()
}

fn alice() -> Principal {
    Principal::from(Owner { id: 1, login: login("alice"), name: None })
}

fn by(credential: CredentialId) -> Principal {
    Principal { credential, ..alice() }
}

fn credential(token: &Token) -> Credential {
    Credential::from_header(token.expose().as_bytes(), CredentialForms::default()).unwrap()
}

fn tokens(rules: TokenRules) -> (Tokens, MemoryTokens) {
    let store = MemoryTokens::new();
    (Tokens::new(store.clone()).with_rules(rules).with_clock(at(NOW)), store)
}

#[tokio::test]
async fn a_token_counts_until_it_expires_or_is_revoked() {
    let (tokens, store) = tokens(TokenRules::default());
    let scopes = Scopes::new([EndpointScope::Yank], [CratePattern::new("ui-*").unwrap()]);
    let request =
        TokenRequest::new(&login("alice")).with_name("laptop").with_scopes(scopes.clone());
    let issued = tokens.issue(TokenCaller::Operator, &request).await.unwrap();
    let end = NOW + 90 * 24 * HOUR;
    let record = TokenRecord {
        id: issued.record.id,
        user: Owner { id: 1, login: login("alice"), name: None },
        name: "laptop".into(),
        kind: TokenKind::User,
        scopes: scopes.clone(),
        vouched: Vouched::default(),
        created_at: Timestamp(NOW),
        expires_at: Some(Timestamp(end)),
        last_used_at: None,
        revoked_at: None,
    };
    assert_eq!(issued.record, record);
    assert_eq!(store.list(None).await.unwrap(), std::slice::from_ref(&record));

    let credential = credential(&issued.token);
    let who = async |now: u64| {
        let authenticator = TokenAuthenticator::new(store.clone()).with_clock(at(now));
        authenticator.authenticate(&credential).await.map(|principal| (*principal).clone())
    };
    let principal = Principal {
        user: record.user.clone(),
        vouched: Vouched::default(),
        groups: Groups::default(),
        credential: CredentialId::Token(record.id),
        scopes,
        claim: None,
    };
    assert_eq!(who(end - 1).await.unwrap(), principal);
    assert!(matches!(who(end).await, Err(AuthError::Rejected)));

    let revoked = tokens.revoke(TokenCaller::Operator, &record.id.into()).await.unwrap();
    assert_eq!(revoked, [TokenRecord { revoked_at: Some(Timestamp(NOW)), ..record }]);
    assert!(matches!(who(NOW).await, Err(AuthError::Rejected)));
}

#[tokio::test]
async fn the_longest_lifetime_is_not_exceeded() {
    let (twelve, thirteen) = (Lifetime::Seconds(12 * HOUR), Lifetime::Seconds(13 * HOUR));
    let (tokens, store) = tokens(TokenRules { max_lifetime: twelve, ..TokenRules::default() });
    let issue = async |expiry| {
        let request = TokenRequest::new(&login("alice")).with_expiry(expiry);
        let issued = tokens.issue(TokenCaller::Operator, &request).await;
        issued.map(|issued| issued.record.expires_at.unwrap().0 - NOW).map_err(|e| e.to_string())
    };
    // The default of 90 days gives way.
    assert_eq!(issue(TokenExpiry::Default).await, Ok(12 * HOUR));
    assert_eq!(issue(TokenExpiry::After(twelve)).await, Ok(12 * HOUR));
    assert_eq!(issue(TokenExpiry::At(Timestamp(NOW + 1))).await, Ok(1));
    let made = store.list(None).await.unwrap();
    for (expiry, error) in [
        (TokenExpiry::After(thirteen), "tokens expire after 12h at most, and `13h` was asked for"),
        (
            TokenExpiry::At(Timestamp(NOW + 12 * HOUR + 1)),
            "tokens expire after 12h at most, and `43201s` was asked for",
        ),
        (
            TokenExpiry::After(Lifetime::Unlimited),
            "tokens expire after 12h at most, and `never` was asked for",
        ),
        (TokenExpiry::At(Timestamp(NOW)), "the token would have expired already"),
        (TokenExpiry::After(Lifetime::Seconds(0)), "the token would have expired already"),
    ] {
        assert_eq!(issue(expiry).await, Err(error.to_owned()));
    }
    assert_eq!(store.list(None).await.unwrap(), made);
}

#[tokio::test]
async fn never_is_had_by_saying_so() {
    let (tokens, _) = tokens(TokenRules::default());
    let never = TokenExpiry::After(Lifetime::Unlimited);
    let request = TokenRequest::new(&login("alice")).with_expiry(never);
    let issued = tokens.issue(TokenCaller::Operator, &request).await.unwrap();
    assert_eq!(issued.record.expires_at, None);
}

#[tokio::test]
async fn only_a_person_looks_after_tokens_and_only_after_their_own() {
    let (tokens, store) = tokens(TokenRules::default());
    let request = TokenRequest::new(&login("alice"));
    let issued = tokens.issue(TokenCaller::Operator, &request).await.unwrap();
    let id = issued.record.id;
    let name = CanonicalName::new("foo").unwrap();
    let claim =
        Claim { mutation: Mutation::Owners, name, version: None, checksum: None, once: None };
    let no_persons = [
        by(CredentialId::Token(id)),
        by(CredentialId::TrustedPublisher(id)),
        by(CredentialId::Key("k3.pid.x".into())),
        Principal { claim: Some(claim), ..alice() },
    ];
    for principal in &no_persons {
        let caller = TokenCaller::Principal(principal);
        for error in [
            tokens.issue(caller, &request).await.map(drop).unwrap_err(),
            tokens.list(caller, Some(&login("alice"))).await.map(drop).unwrap_err(),
            tokens.revoke(caller, &id.into()).await.map(drop).unwrap_err(),
            tokens.revoke(caller, &Revocation::User(login("alice"))).await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, TokenError::NoPerson), "{error:?}");
            assert_eq!(error.to_string(), "cannot use an API token to create a new API token");
        }
    }
    let bob = Principal::from(Owner { id: 2, login: login("bob"), name: None });
    let caller = TokenCaller::Principal(&bob);
    for error in [
        tokens.issue(caller, &request).await.map(drop).unwrap_err(),
        tokens.list(caller, Some(&login("alice"))).await.map(drop).unwrap_err(),
        tokens.list(caller, None).await.map(drop).unwrap_err(),
        tokens.revoke(caller, &Revocation::User(login("alice"))).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, TokenError::OtherUser), "{error:?}");
    }
    assert_eq!(tokens.revoke(caller, &id.into()).await.unwrap(), []);
    assert_eq!(store.list(None).await.unwrap(), [issued.record]);
    for credential in [CredentialId::Password, CredentialId::IdentityToken, CredentialId::Proxy] {
        tokens.issue(TokenCaller::Principal(&by(credential)), &request).await.unwrap();
    }
    assert_eq!(
        tokens.list(TokenCaller::Principal(&alice()), Some(&login("alice"))).await.unwrap().len(),
        4
    );
    let revoked = tokens.revoke(TokenCaller::Principal(&alice()), &id.into()).await.unwrap();
    assert_eq!(revoked[0].revoked_at, Some(Timestamp(NOW)));
}

#[tokio::test]
async fn a_token_is_not_for_more_than_what_it_was_asked_for_with() {
    let (tokens, _) = tokens(TokenRules::default());
    let pattern = |text| CratePattern::new(text).unwrap();
    use EndpointScope::{Admin, PublishUpdate, Yank};
    let scopes = Scopes::new([PublishUpdate, Yank], [pattern("ui-*"), pattern("core")]);
    let caller = Principal { scopes, ..alice() };
    for (endpoints, crates, granted) in [
        (&[Yank][..], &["ui_core", "Core", "ui-a-*"][..], true),
        (&[PublishUpdate, Yank], &["ui-*"], true),
        (&[Yank, Admin], &["core"], false),
        (&[Yank], &["core*"], false),
        (&[Yank], &["*"], false),
        (&[Yank], &["ui-*", "other"], false),
    ] {
        let crates = crates.iter().map(|text| pattern(text));
        let request = TokenRequest::new(&login("alice"))
            .with_scopes(Scopes::new(endpoints.iter().copied(), crates));
        match tokens.issue(TokenCaller::Principal(&caller), &request).await {
            Ok(issued) => assert!(granted, "{:?}", issued.record.scopes),
            Err(TokenError::MoreThanCaller) => assert!(!granted, "{:?}", request.scopes),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn names_that_a_terminal_obeys_are_refused() {
    let (tokens, _) = tokens(TokenRules::default());
    let longest = "ü".repeat(TokenRequest::MAX_NAME_CHARS);
    for (name, is_name) in
        [("", true), (&*longest, true), (&format!("{longest}x"), false), ("a\x1b[2J", false)]
    {
        let request = TokenRequest::new(&login("alice")).with_name(name);
        let issued = tokens.issue(TokenCaller::Operator, &request).await;
        assert_eq!(issued.is_ok(), is_name, "{name:?}: {issued:?}");
    }
}

#[tokio::test]
async fn everybody_may_revoke_the_token_they_come_with() {
    let (tokens, store) = tokens(TokenRules::default());
    let request = TokenRequest::new(&login("alice"));
    let issued = tokens.issue(TokenCaller::Operator, &request).await.unwrap();
    let authenticator = TokenAuthenticator::new(store).with_clock(at(NOW));
    let credential = credential(&issued.token);
    let principal = authenticator.authenticate(&credential).await.unwrap();
    let name = CanonicalName::new("foo").unwrap();
    principal.may_be_used_for(&Action::Read(&name), false).unwrap();
    let revoked = tokens.revoke_current(&principal).await.unwrap().unwrap();
    assert_eq!((revoked.id, revoked.revoked_at), (issued.record.id, Some(Timestamp(NOW))));
    let refused = authenticator.authenticate(&credential).await;
    assert!(matches!(refused, Err(AuthError::Rejected)), "{refused:?}");
    assert_eq!(tokens.revoke_current(&alice()).await.unwrap(), None);
}

#[tokio::test]
async fn when_a_token_was_used_is_told_to_the_store_later_and_by_the_minute() {
    let (tokens, store) = tokens(TokenRules::default());
    let request = TokenRequest::new(&login("alice"));
    let issued = tokens.issue(TokenCaller::Operator, &request).await.unwrap();
    let authenticator = |now| TokenAuthenticator::new(store.clone()).with_clock(at(now));
    let last_use = async || store.list(None).await.unwrap()[0].last_used_at;
    let minute = NOW - NOW % 60;
    let first = authenticator(minute + 59);
    first.authenticate(&credential(&issued.token)).await.unwrap();
    assert_eq!(last_use().await, None);
    first.clone().write_uses().await.unwrap();
    assert_eq!(last_use().await, Some(Timestamp(minute)));
    // An earlier one, of a process whose clock is behind, changes nothing.
    for (now, known) in [(minute - 60, minute), (minute + 60, minute + 60)] {
        let later = authenticator(now);
        later.authenticate(&credential(&issued.token)).await.unwrap();
        later.write_uses().await.unwrap();
        assert_eq!(last_use().await, Some(Timestamp(known)));
    }
}
