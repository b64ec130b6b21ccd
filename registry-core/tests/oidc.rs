//! Tokens of identity providers count if their issuer has signed them, for us, for now.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::FutureExt as _;
use registry_core::{
    BoxError, Login,
    auth::{
        AuthError, Authenticator as _, Credential, CredentialForms, CredentialId, Groups, Identity,
        Scopes, Vouched,
        oidc::{
            Algorithm, ClaimFault, Issuer, Jwt, JwtError, KeySet, KeySource, LoginIssuer,
            OidcAuthenticator, Verified, Verifier, VerifyError, VerifyIdentity as _,
        },
    },
    conformance::{identity_provider::IdentityProvider, run},
    record::Timestamp,
};
use serde_json::{Value, json};

const URL: &str = "https://id.example.com/realm";
const AUDIENCE: &str = "crates.example.com";
const NOW: u64 = 1_700_000_000;

fn issuer() -> Issuer {
    Issuer::new(URL, AUDIENCE).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": URL, "aud": AUDIENCE, "sub": "7", "iat": NOW, "nbf": NOW, "exp": NOW + 300,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn verify(token: &str, keys: &Value, now: u64) -> Result<String, JwtError> {
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    let issuer = issuer().with_algorithms(Algorithm::ALL);
    let claims = Jwt::parse(token)?.verify(&issuer, &keys, Timestamp(now))?;
    Ok(claims.text("sub").unwrap().to_owned())
}

#[test]
fn a_token_counts_by_each_algorithm_and_no_other_key() {
    for algorithm in Algorithm::ALL {
        let provider = IdentityProvider::new(URL, algorithm);
        let token = provider.sign(&claims());
        assert_eq!(verify(&token, &provider.jwks(), NOW), Ok("7".into()), "{algorithm}");
        let other = IdentityProvider::new(URL, algorithm);
        let refused = verify(&token, &other.jwks(), NOW);
        assert_eq!(refused, Err(JwtError::Signature), "{algorithm}");
        // Of another algorithm, under the same id.
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let other = IdentityProvider::new(URL, other);
            assert_eq!(verify(&token, &other.jwks(), NOW), Err(JwtError::UnknownKey));
        }
    }
}

#[test]
fn the_algorithm_is_that_of_the_issuer_and_of_the_key() {
    let provider = IdentityProvider::new(URL, Algorithm::Rs256);
    let keys = provider.jwks();
    let (key_id, body) = (provider.key_id(), BASE64_URL_SAFE_NO_PAD.encode(claims().to_string()));
    for algorithm in ["none", "None", "HS256", "HS384", "RS512", "PS256", "rs256", ""] {
        let token = provider.sign_as(&json!({"alg": algorithm, "kid": key_id}), &claims());
        assert_eq!(verify(&token, &keys, NOW), Err(JwtError::Algorithm), "{algorithm}");
    }
    // The classic ones: no signature at all, and the public key as the secret of an HMAC.
    let header = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": key_id}).to_string());
    let unsigned = format!("{header}.{body}.");
    assert_eq!(verify(&unsigned, &keys, NOW), Err(JwtError::Algorithm));
    let header = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": key_id}).to_string());
    let public = keys["keys"][0]["n"].as_str().unwrap().as_bytes();
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public);
    let tag = aws_lc_rs::hmac::sign(&secret, format!("{header}.{body}").as_bytes());
    let hmac = format!("{header}.{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref()));
    assert_eq!(verify(&hmac, &keys, NOW), Err(JwtError::Algorithm));
    // A right signature, by an algorithm that this issuer's tokens do not have.
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    let issuer = issuer().with_algorithms([Algorithm::Es256]);
    let token = provider.sign(&claims());
    let verified = Jwt::parse(&token).unwrap().verify(&issuer, &keys, Timestamp(NOW));
    assert_eq!(verified.unwrap_err(), JwtError::Algorithm);
}

#[test]
fn each_claim_is_held_against_what_it_has_to_be() {
    let provider = IdentityProvider::new(URL, Algorithm::Es256);
    let keys = provider.jwks();
    let claim = |claim, fault| Err(JwtError::Claim { claim, fault });
    let ok = || Ok("7".to_owned());
    use ClaimFault::{Expired, Mismatch, Missing, NotYet};
    for (claims, expected) in [
        (claims(), ok()),
        (with("iss", json!(format!("{URL}/"))), claim("iss", Mismatch)),
        (with("iss", json!(URL.to_uppercase())), claim("iss", Mismatch)),
        (with("iss", json!(7)), claim("iss", Missing)),
        (without("iss"), claim("iss", Missing)),
        (with("aud", json!([AUDIENCE])), ok()),
        (with("aud", json!([AUDIENCE, "other"])), claim("aud", Mismatch)),
        (with("aud", json!([])), claim("aud", Mismatch)),
        (with("aud", json!("Crates.example.com")), claim("aud", Mismatch)),
        (with("aud", json!("")), claim("aud", Mismatch)),
        (without("aud"), claim("aud", Missing)),
        (with("exp", json!(NOW - 60)), ok()),
        (with("exp", json!(NOW - 61)), claim("exp", Expired)),
        (with("exp", json!(0)), claim("exp", Expired)),
        (with("exp", json!((NOW - 60) as f64 + 0.5)), ok()),
        (with("exp", json!(1e300)), ok()),
        (with("exp", json!(-1)), claim("exp", Mismatch)),
        (with("exp", json!("9999999999")), claim("exp", Mismatch)),
        (without("exp"), claim("exp", Missing)),
        (with("nbf", json!(NOW + 60)), ok()),
        (with("nbf", json!(NOW + 61)), claim("nbf", NotYet)),
        (with("nbf", json!(null)), claim("nbf", Mismatch)),
        (without("nbf"), ok()),
        (with("iat", json!(NOW + 60)), ok()),
        (with("iat", json!(NOW + 61)), claim("iat", NotYet)),
        (with("iat", json!(u64::MAX)), claim("iat", NotYet)),
        (without("iat"), claim("iat", Missing)),
    ] {
        assert_eq!(verify(&provider.sign(&claims), &keys, NOW), expected, "{claims}");
    }
}

#[test]
fn what_is_no_token_is_refused_without_repeating_it() {
    let provider = IdentityProvider::new(URL, Algorithm::EdDsa);
    let (keys, token) = (provider.jwks(), provider.sign(&claims()));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, body) = signed.split_once('.').unwrap();
    let padding = "x".repeat(Jwt::MAX_BYTES);
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "crg_0",
        "\u{1f980}.\u{1f980}.\u{1f980}",
        &format!("{token}."),
        &format!("{token}="),
        &format!("{token}.{signature}"),
        &format!("{header}..{signature}"),
        &format!(".{body}.{signature}"),
        &format!("{body}.{body}.{signature}"),
        &format!(" {token}"),
        &format!("{token}{padding}"),
    ] {
        let error = verify(text, &keys, NOW).unwrap_err();
        let known = [JwtError::Malformed, JwtError::Algorithm];
        assert!(known.contains(&error), "{text}: {error}");
    }
    for (header, error) in [
        (json!({"alg": "EdDSA"}), JwtError::UnknownKey),
        (json!({"alg": "EdDSA", "kid": "other"}), JwtError::UnknownKey),
        (json!({"alg": "EdDSA", "kid": "key-0", "crit": ["b64"]}), JwtError::Malformed),
        (json!({"kid": "key-0"}), JwtError::Malformed),
        (json!([]), JwtError::Malformed),
    ] {
        let token = provider.sign_as(&header, &claims());
        assert_eq!(verify(&token, &keys, NOW), Err(error), "{header}");
    }
    // One letter of the signed part or of the signature changed at a time.
    for at in (0..token.len()).filter(|at| token.as_bytes()[*at] != b'.') {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let bent = String::from_utf8(bytes).unwrap();
        assert!(verify(&bent, &keys, NOW).is_err(), "{at}");
    }
}

#[test]
fn keys_that_are_of_no_use_are_left_out() {
    let provider = IdentityProvider::new(URL, Algorithm::Rs256);
    let token = provider.sign(&claims());
    let good = provider.jwks()["keys"][0].clone();
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("RS512")),
        ("alg", json!("none")),
        ("kty", json!("oct")),
        ("kid", json!(null)),
        ("n", json!("!")),
        ("e", json!(null)),
    ] {
        let mut key = good.clone();
        key[name] = value;
        let refused = verify(&token, &json!({"keys": [key, {}, 7]}), NOW);
        assert_eq!(refused, Err(JwtError::UnknownKey), "{name}");
    }
    assert_eq!(verify(&token, &json!({"keys": [7, {"kty": "oct"}, good]}), NOW), Ok("7".into()));
    // RSA keys below 2048 bits sign nothing.
    let mut short = good.clone();
    short["n"] = "x".repeat(168).into();
    assert_eq!(verify(&token, &json!({"keys": [short]}), NOW), Err(JwtError::Signature));
    for json in ["", "[]", r#"{"keys":{}}"#, r#"{"key":[]}"#] {
        assert!(KeySet::parse(json.as_bytes()).is_err(), "{json}");
    }
    let many = |count| json!({"keys": vec![7; count]}).to_string();
    assert!(KeySet::parse(many(KeySet::MAX_KEYS).as_bytes()).is_ok());
    assert!(KeySet::parse(many(KeySet::MAX_KEYS + 1).as_bytes()).is_err());
}

#[test]
fn an_issuer_is_one_whose_keys_nobody_can_exchange() {
    for url in ["https://a.example", "https://a.example/b/", "http://127.0.0.1:80", "http://[::1]"]
    {
        assert!(Issuer::new(url, "a").is_ok(), "{url}");
    }
    for url in [
        "",
        "a.example",
        "http://a.example",
        "http://localhost.example",
        "http://10.0.0.1",
        "ftp://a.example",
        "file:///a",
        "https://u:p@a.example",
        "https://a.example?b",
        "https://a.example#b",
    ] {
        assert!(Issuer::new(url, "a").is_err(), "{url}");
    }
    assert!(Issuer::new("https://a.example", "").is_err());
}

/// A provider that is asked by whoever verifies, and can be out of reach.
#[derive(Debug)]
struct Reached {
    provider: Mutex<IdentityProvider>,
    /// In the place of what the provider says of itself.
    discovery: Mutex<Option<Value>>,
    fetches: AtomicUsize,
    is_down: AtomicBool,
    stalls: AtomicBool,
}

#[derive(Clone, Debug)]
struct Source(Arc<Reached>);

impl Source {
    fn new() -> Self {
        let provider = Mutex::new(IdentityProvider::new(URL, Algorithm::Es256));
        Self(Arc::new(Reached {
            provider,
            discovery: Mutex::default(),
            fetches: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            stalls: AtomicBool::new(false),
        }))
    }

    fn sign(&self, claims: &Value) -> String {
        self.0.provider.lock().unwrap().sign(claims)
    }

    /// A token that counts at a time.
    fn token(&self, now: u64) -> String {
        let mut claims = claims();
        (claims["iat"], claims["nbf"], claims["exp"]) = (json!(now), json!(now), json!(now + 9));
        self.sign(&claims)
    }

    /// How often the keys were fetched since the last time.
    fn fetches(&self) -> usize {
        self.0.fetches.swap(0, Relaxed)
    }
}

#[async_trait::async_trait]
impl KeySource for Source {
    async fn fetch(&self, url: &str) -> Result<Bytes, BoxError> {
        if url.ends_with("/openid-configuration") {
            self.0.fetches.fetch_add(1, Relaxed);
        }
        let answers = || !self.0.stalls.load(Relaxed);
        poll_fn(|_| if answers() { Poll::Ready(()) } else { Poll::Pending }).await;
        let provider = self.0.provider.lock().unwrap();
        let found = match url.strip_prefix(URL) {
            Some("/.well-known/openid-configuration") => {
                self.0.discovery.lock().unwrap().clone().unwrap_or_else(|| provider.discovery())
            }
            Some("/jwks") => provider.jwks(),
            _ => return Err(format!("asked for {url}").into()),
        };
        match self.0.is_down.load(Relaxed) {
            true => Err("out of reach".into()),
            false => Ok(found.to_string().into()),
        }
    }
}

async fn check(verifier: &Verifier, token: &str, now: u64) -> Result<(), Option<JwtError>> {
    match verifier.verify(token, Timestamp(now)).await {
        Ok(Verified { claims, .. }) => {
            assert_eq!(claims.text("sub"), Some("7"));
            Ok(())
        }
        Err(VerifyError::Invalid(error)) => Err(Some(error)),
        Err(_) => Err(None),
    }
}

#[test]
fn keys_are_fetched_once_and_again_when_they_change_or_are_old() {
    run(async {
        let source = Source::new();
        let verifier = Verifier::new([issuer()], source.clone());
        for second in 0..60 {
            let token = source.token(NOW);
            assert_eq!(check(&verifier, &token, NOW + second).await, Ok(()));
        }
        assert_eq!(source.fetches(), 1);
        // Another key: found once the last fetch is a minute ago, and the old one is gone then.
        let old = source.token(NOW + 30);
        source.0.provider.lock().unwrap().rotate();
        let new = source.token(NOW + 30);
        assert_eq!(check(&verifier, &new, NOW + 59).await, Err(Some(JwtError::UnknownKey)));
        assert_eq!((check(&verifier, &old, NOW + 59).await, source.fetches()), (Ok(()), 0));
        assert_eq!((check(&verifier, &new, NOW + 60).await, source.fetches()), (Ok(()), 1));
        assert_eq!(check(&verifier, &old, NOW + 61).await, Err(Some(JwtError::UnknownKey)));
        // However many tokens name keys that nobody has, they are looked for once a minute.
        let unknown = |i: u64| {
            let header = json!({"alg": "ES256", "kid": format!("unknown {i}")});
            source.0.provider.lock().unwrap().sign_as(&header, &claims())
        };
        for i in 0..120 {
            let refused = check(&verifier, &unknown(i), NOW + 62 + i).await;
            assert_eq!(refused, Err(Some(JwtError::UnknownKey)));
        }
        assert_eq!(source.fetches(), 2);
        // What is not signed, or not by an issuer of ours, costs no fetch.
        let later = NOW + 400;
        assert!(check(&verifier, "a.b.c", later).await.is_err());
        let other = source.sign(&with("iss", json!("https://other.example")));
        let mismatch = JwtError::Claim { claim: "iss", fault: ClaimFault::Mismatch };
        assert_eq!(check(&verifier, &other, later).await, Err(Some(mismatch)));
        assert_eq!(source.fetches(), 0);
        // An hour later they are fetched anew for a key that is known.
        let hour = NOW + 180 + 3601;
        assert_eq!(check(&verifier, &source.token(hour), hour).await, Ok(()));
        assert_eq!(source.fetches(), 1);
    });
}

#[test]
fn keys_of_an_issuer_that_is_down_count_for_a_day() {
    run(async {
        let source = Source::new();
        let verifier = Verifier::new([issuer()], source.clone());
        source.0.is_down.store(true, Relaxed);
        let token = source.token(NOW);
        assert_eq!(check(&verifier, &token, NOW).await, Err(None));
        assert_eq!(check(&verifier, &token, NOW + 4).await, Err(None));
        assert_eq!(source.fetches(), 1);
        source.0.is_down.store(false, Relaxed);
        assert_eq!((check(&verifier, &token, NOW + 5).await, source.fetches()), (Ok(()), 1));
        source.0.is_down.store(true, Relaxed);
        for (later, expected) in [(3_700, Ok(())), (86_405, Ok(())), (86_406, Err(None))] {
            let now = NOW + later;
            assert_eq!(check(&verifier, &source.token(now), now).await, expected, "{later}");
        }
        source.0.is_down.store(false, Relaxed);
        let now = NOW + 86_500;
        assert_eq!(check(&verifier, &source.token(now), now).await, Ok(()));
    });
}

#[test]
fn clients_that_go_away_keep_no_keys_from_being_fetched_and_have_them_fetched_once() {
    run(async {
        let source = Source::new();
        let verifier = Verifier::new([issuer()], source.clone());
        // While there are no keys, and when they have changed.
        for now in [NOW, NOW + 100] {
            source.0.provider.lock().unwrap().rotate();
            let token = source.token(now);
            source.0.stalls.store(true, Relaxed);
            for (seconds, fetches) in [(0, 1), (0, 0), (3, 0), (9, 0)] {
                let left = check(&verifier, &token, now + seconds).now_or_never();
                assert_eq!((left, source.fetches()), (None, fetches), "after {seconds} s");
            }
            source.0.stalls.store(false, Relaxed);
            let now = now + 9;
            assert_eq!((check(&verifier, &token, now).await, source.fetches()), (Ok(()), 0));
        }
        // One that nobody has gone on with is begun anew.
        source.0.provider.lock().unwrap().rotate();
        source.0.stalls.store(true, Relaxed);
        for now in [NOW + 200, NOW + 210] {
            let token = source.token(now);
            let left = check(&verifier, &token, now).now_or_never();
            assert_eq!((left, source.fetches()), (None, 1));
        }
    });
}

#[test]
fn an_issuer_speaks_for_itself_alone() {
    run(async {
        for discovery in [
            json!({"issuer": "https://other.example", "jwks_uri": format!("{URL}/jwks")}),
            json!({"issuer": URL, "jwks_uri": "http://id.example.com/jwks"}),
            json!({"issuer": URL, "jwks_uri": "file:///etc/keys"}),
            json!({"issuer": URL}),
            json!([]),
        ] {
            let source = Source::new();
            *source.0.discovery.lock().unwrap() = Some(discovery.clone());
            let verifier = Verifier::new([issuer()], source.clone());
            let refused = check(&verifier, &source.token(NOW), NOW).await;
            assert_eq!(refused, Err(None), "{discovery}");
        }
    });
}

fn credential(token: &str) -> Credential {
    Credential::from_header(token.as_bytes(), CredentialForms::default()).unwrap()
}

/// Claims that count now, by the clock of this machine.
fn login_claims(name: &str) -> Value {
    let now = Timestamp::from(std::time::SystemTime::now()).0;
    json!({
        "iss": URL, "aud": AUDIENCE, "sub": "5f0c", "iat": now, "exp": now + 300,
        "preferred_username": name, "name": "Alice A.", "groups": ["ui", "a b", 7, "group:x"],
    })
}

#[test]
fn a_token_of_an_issuer_makes_a_principal_of_that_issuer() {
    run(async {
        let source = Source::new();
        let corp = LoginIssuer::new(issuer(), "corp:").unwrap();
        let by_name =
            corp.clone().with_login_claim("preferred_username").with_groups_claim("groups");
        let authenticator = OidcAuthenticator::new(vec![by_name], source.clone()).unwrap();
        let token = source.sign(&login_claims("alice"));
        let principal = authenticator.authenticate(&credential(&token)).await.unwrap();
        let login = |text| Login::new(text).unwrap();
        assert_eq!(principal.user.login, login("corp:alice"));
        assert_eq!(principal.user.name.as_deref(), Some("Alice A."));
        let (issuer, subject) = (URL.into(), "5f0c".into());
        let identity = Some(Identity { issuer, subject });
        let groups: Groups =
            [login("group:corp:ui"), login("group:corp:group:x")].into_iter().collect();
        assert_eq!(principal.vouched, Vouched { identity, groups, ..Vouched::default() });
        assert_eq!(principal.groups, Groups::default());
        assert!(principal.is(&login("group:corp:ui")) && !principal.is(&login("group:ui")));
        assert_eq!(principal.credential, CredentialId::IdentityToken);
        assert!(principal.credential.is_person());
        assert_eq!((&principal.scopes, &principal.claim), (&Scopes::all(), &None));
        // The owner that others can add by their login.
        let found = authenticator.find_user(&login("corp:alice")).await.unwrap().unwrap();
        assert_eq!((found.id, &found.login), (principal.user.id, &principal.user.login));
        assert!(found.id >= 1 << 31);
        assert!(authenticator.find_user(&login("group:corp:ui")).await.unwrap().is_some());
        for other in ["alice", "corp", "corp2:alice", "group:ui", "group:corp2:ui"] {
            assert_eq!(authenticator.find_user(&login(other)).await.unwrap(), None, "{other}");
        }
        // By the subject, unless something else is said; in no group.
        let by_subject = OidcAuthenticator::new(vec![corp], source.clone()).unwrap();
        let principal = by_subject.authenticate(&credential(&token)).await.unwrap();
        assert_eq!(principal.user.login, login("corp:5f0c"));
        assert_eq!(principal.vouched.groups, Groups::default());
    });
}

#[test]
fn a_display_name_deceives_nobody_on_a_terminal() {
    run(async {
        let source = Source::new();
        let corp = LoginIssuer::new(issuer(), "corp:").unwrap();
        let authenticator = OidcAuthenticator::new(vec![corp], source.clone()).unwrap();
        let long = "é".repeat(101);
        for (name, shown) in [
            ("Zoë \u{1F980} van Dijk", Some("Zoë \u{1F980} van Dijk")),
            (" a\u{1b}[2J\u{202e}b\r\n\u{2066}c\u{9b}\0d ", Some("a[2Jbcd")),
            (&long, Some(&long[..200])),
            ("\u{202e} \n", None),
            ("", None),
        ] {
            let mut claims = login_claims("alice");
            claims["name"] = json!(name);
            let token = credential(&source.sign(&claims));
            let principal = authenticator.authenticate(&token).await.unwrap();
            assert_eq!(principal.user.name.as_deref(), shown, "{name:?}");
        }
    });
}

#[test]
fn a_credential_that_is_no_token_of_an_issuer_is_left_to_others() {
    run(async {
        let source = Source::new();
        let corp = LoginIssuer::new(issuer(), "corp:").unwrap();
        let corp = corp.with_login_claim("preferred_username");
        let authenticator = OidcAuthenticator::new(vec![corp], source.clone()).unwrap();
        let mut expired = login_claims("alice");
        expired["exp"] = json!(1);
        let mut nameless = login_claims("alice");
        nameless.as_object_mut().unwrap().remove("sub");
        for token in [
            "crg_00000000000000000000000000000000000000000004ViuA6".to_owned(),
            "a.b.c".to_owned(),
            source.sign(&expired),
            source.sign(&nameless),
            source.sign(&login_claims("")).replace('.', ".."),
            source.sign(&login_claims("a/b")),
            source.sign(&login_claims(&"a".repeat(60))),
        ] {
            let refused = authenticator.authenticate(&credential(&token)).await;
            assert!(matches!(refused, Err(AuthError::Rejected)), "{token}");
        }
        source.0.is_down.store(true, Relaxed);
        let corp = LoginIssuer::new(issuer(), "corp:").unwrap();
        let authenticator = OidcAuthenticator::new(vec![corp], source.clone()).unwrap();
        let unknown =
            authenticator.authenticate(&credential(&source.sign(&login_claims("a")))).await;
        assert!(matches!(unknown, Err(AuthError::Backend(_))));
    });
}

#[test]
fn no_issuer_has_logins_that_are_somebody_elses() {
    for prefix in ["", ":", "corp", "group:", "trusted-publisher:", "a:b:", "a b:", ":a:", "-a:"] {
        assert!(LoginIssuer::new(issuer(), prefix).is_err(), "{prefix}");
    }
    let corp = LoginIssuer::new(issuer(), "corp:").unwrap();
    let other = Issuer::new("https://other.example", AUDIENCE).unwrap();
    let other = LoginIssuer::new(other, "corp:").unwrap();
    assert!(OidcAuthenticator::new(vec![corp, other], Source::new()).is_err());
}
