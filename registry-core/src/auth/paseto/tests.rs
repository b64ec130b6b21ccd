use std::time::{Duration, SystemTime};

use pasetors::{
    keys::{AsymmetricPublicKey, AsymmetricSecretKey},
    version3::{PublicToken, V3},
};
use proptest::prelude::*;
use semver::Version;

use super::{Expected, SignedToken, SignedTokenError as E, Verified};
use crate::{
    auth::{Claim, Mutation, PublicKey},
    checksum::Checksum,
    name::CanonicalName,
    record::Timestamp,
};

/// The keys of RFC 3231: these are no secret.
const SECRET: &str = "fNYVuMvBgOlljt9TDohnaYLblghqaHoQquVZwgR6X12cBFHZLFsaU3q7X3k1Zn36";
const PUBLIC: &str = "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
const ID: &str = "k3.pid.QB3WNBP-5j-0XQV2MOuvuOcLlJ8uz-pmqtIZus1x3YTu";
const URL: &str = "sparse+https://crates.example.com/main/index/";
/// The time of its examples, 2022-02-28T18:33:24Z.
const SECOND: u64 = 1_646_073_204;
const IAT: &str = "2022-02-28T18:33:24Z";

fn key() -> PublicKey {
    PublicKey::new(PUBLIC).unwrap()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(SECOND)
}

fn decode(text: &str) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Signs with the library that cargo uses.
fn sign(payload: &str, footer: &str) -> String {
    let secret = AsymmetricSecretKey::<V3>::from(&decode(SECRET)).unwrap();
    PublicToken::sign(&secret, payload.as_bytes(), Some(footer.as_bytes()), None).unwrap()
}

fn footer() -> String {
    format!(r#"{{"url":"{URL}","kip":"{ID}"}}"#)
}

fn verify_at(token: &str, now: SystemTime, subject: Option<&str>) -> Result<Verified, E> {
    let urls = ["sparse+https://old.example.com/".to_owned(), URL.to_owned()];
    SignedToken::parse(token)?.verify(&key(), &Expected { now, index_urls: &urls, subject })
}

fn verify(payload: &str) -> Result<Verified, E> {
    verify_at(&sign(payload, &footer()), now(), None)
}

/// What a payload of these claims, and the time, is for.
fn claim(claims: &str) -> Result<Option<Claim>, E> {
    verify(&format!(r#"{{"iat":"{IAT}"{claims}}}"#)).map(|verified| verified.claim)
}

#[test]
fn the_tokens_of_the_rfc_are_understood() {
    let read = concat!(
        "v3.public.eyJpYXQiOiAiMjAyMi0wMi0yOFQxODozMzoyNCswMDowMCJ99q655qLlH5HYwCh86OGvPvY26X0rr",
        "d7Ibci3fmHz6MgAKK3RugUQ1rvNRjBEJZvfWqqq2WxEOrjMujkuk8jpmJ2B_i3BTIzYYZZRhjZeWAi0erCNqmtFZ",
        "MeC3_2oqSka.eyJ1cmwiOiAiaHR0cHM6Ly9yZWdpc3RyeS5jb20vY3JhdGUtaW5kZXgiLCAia2lkIjogImszLnBp",
        "ZC5RQjNXTkJQLTVqLTBYUVYyTU91dnVPY0xsSjh1ei1wbXF0SVp1czF4M1lUdSJ9",
    );
    let urls = ["https://registry.com/crate-index".to_owned()];
    let expected = Expected { now: now(), index_urls: &urls, subject: None };
    let token = SignedToken::parse(read).unwrap();
    assert_eq!(token.key().as_str(), ID);
    let verified = token.verify(&key(), &expected).unwrap();
    assert_eq!((verified.claim, verified.until), (None, Timestamp(SECOND + 900)));

    // It answers a challenge, which this registry does not send.
    let publish = concat!(
        "v3.public.eyJjaGFsbGVuZ2UiOiAiY2hhbGxlbmdlIiwgIm11dGF0aW9uIjogInB1Ymxpc2giLCAibmFtZSI6I",
        "CJmb28iLCAidmVycyI6ICIwLjAuMCIsICJja3N1bSI6ICJmN2RiYjZhY2ZlZmYxZDQ5MGZiYTY5M2E0MDI0NTZmN",
        "zZiMzQ0ZmVhNzdhNWU3Y2FlNDNiNTk3MGMzMzMyYjhmIiwgInN1YiI6ICJwcml2YXRlLWtleS1zdWJqZWN0Iiwg",
        "ImlhdCI6ICIyMDIyLTAyLTI4VDE4OjMzOjI0KzAwOjAwIn36ifmVYCSBYcjHVjQ_JD6R16dcWPEjHYVFOR7QRx3r",
        "iOLiH7o-m236uNs2NEu-NzOCDZZbsVXvxhop-aUKRc9D-jphV5KFuC8y6mNLklfg1PpH37QeDsyzJDZy604gZ5c.",
        "eyJ1cmwiOiAiaHR0cHM6Ly9yZWdpc3RyeS1jaGFsbGVuZ2Utc3ViamVjdC5jb20vY3JhdGUtaW5kZXgiLCAia2lk",
        "IjogImszLnBpZC5RQjNXTkJQLTVqLTBYUVYyTU91dnVPY0xsSjh1ei1wbXF0SVp1czF4M1lUdSJ9",
    );
    let urls = ["https://registry-challenge-subject.com/crate-index".to_owned()];
    let expected = Expected { now: now(), index_urls: &urls, subject: Some("private-key-subject") };
    let token = SignedToken::parse(publish).unwrap();
    assert_eq!(token.verify(&key(), &expected), Err(E::Challenge));
}

#[test]
fn a_token_is_for_exactly_the_write_that_it_names() {
    let name = CanonicalName::new("fo_o").unwrap();
    let version = Some(Version::new(1, 0, 0));
    let checksum = Checksum::of("a crate file");
    let cksum = checksum.to_string();
    let is_for = |mutation, version: Option<Version>, checksum| {
        Ok(Some(Claim { mutation, name: name.clone(), version, checksum, once: None }))
    };
    assert_eq!(claim(""), Ok(None));
    let release = r#","name":"Fo-o","vers":"1.0.0""#;
    assert_eq!(
        claim(&format!(r#","mutation":"publish"{release},"cksum":"{cksum}""#)),
        is_for(Mutation::Publish, version.clone(), Some(checksum))
    );
    for (mutation, text) in [(Mutation::Yank, "yank"), (Mutation::Unyank, "unyank")] {
        let claims = format!(r#","mutation":"{text}"{release}"#);
        assert_eq!(claim(&claims), is_for(mutation, version.clone(), None));
    }
    let owners = claim(r#","mutation":"owners","name":"fo_o""#);
    assert_eq!(owners, is_for(Mutation::Owners, None, None));
}

#[test]
fn a_write_has_all_its_claims_and_no_other() {
    let upper = Checksum::of("a crate file").to_string().to_uppercase();
    let cksum = Checksum::of("a crate file");
    let cksum = format!(r#","cksum":"{cksum}""#);
    let (name, vers) = (r#","name":"foo""#, r#","vers":"1.0.0""#);
    let mutation = |text| format!(r#","mutation":"{text}""#);
    let cases = [
        (name.to_owned(), "name"),
        (vers.to_owned(), "vers"),
        (cksum.clone(), "cksum"),
        (mutation("publish") + name + vers, "cksum"),
        (mutation("publish") + name + &cksum, "vers"),
        (mutation("publish") + vers + &cksum, "name"),
        (mutation("yank") + name + vers + &cksum, "cksum"),
        (mutation("yank") + name, "vers"),
        (mutation("unyank") + vers, "name"),
        (mutation("owners") + name + vers, "vers"),
        (mutation("owners") + name + &cksum, "cksum"),
        (mutation("owners"), "name"),
        (mutation("owners") + r#","name":"../foo""#, "name"),
        (mutation("yank") + name + r#","vers":"1.0""#, "vers"),
        (mutation("publish") + name + vers + &format!(r#","cksum":"{upper}""#), "cksum"),
    ];
    for (claims, wrong) in cases {
        assert_eq!(claim(&claims), Err(E::Mismatch { claim: wrong }), "{claims}");
    }
    for text in ["", "read", "Publish", "delete"] {
        assert_eq!(claim(&(mutation(text) + name)), Err(E::Mutation), "{text}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    for (claims, result) in [
        (r#","v":1"#, Ok(None)),
        (r#","v":2"#, Err(E::Version)),
        (r#","v":0,"challenge":"x""#, Err(E::Version)),
        (r#","v":-1"#, Err(E::Claims)),
        (r#","v":"1""#, Err(E::Claims)),
        (r#","challenge":"x""#, Err(E::Challenge)),
        (r#","custom":{"totp":[1,2]}"#, Ok(None)),
        (r#","exp":"2022-02-28T18:00:00Z""#, Err(E::Claims)),
        (r#","mutation":null"#, Err(E::Claims)),
        (r#","sub":null"#, Err(E::Claims)),
        (r#","iat":"2022-02-28T18:33:24Z""#, Err(E::Claims)),
        (r#"} {"#, Err(E::Claims)),
    ] {
        assert_eq!(claim(claims), result, "{claims}");
    }
    for payload in ["{}", "[]", "null", "iat", r#"{"iat":1646073204}"#] {
        assert_eq!(verify(payload), Err(E::Claims), "{payload}");
    }
    let deep = format!(r#"{{"iat":"{IAT}","custom":{}{}}}"#, "[".repeat(900), "]".repeat(900));
    assert!(matches!(verify(&deep), Ok(_) | Err(E::Claims)));
}

#[test]
fn a_token_counts_for_a_quarter_of_an_hour() {
    let token = sign(&format!(r#"{{"iat":"{IAT}"}}"#), &footer());
    let (nanosecond, age) = (Duration::from_nanos(1), Duration::from_secs(15 * 60));
    let lead = Duration::from_secs(2 * 60);
    for (time, result) in [
        (now() + age, Ok(())),
        (now() + age + nanosecond, Err(E::TooOld)),
        (now() - lead, Ok(())),
        (now() - lead - nanosecond, Err(E::InTheFuture)),
        (SystemTime::UNIX_EPOCH, Err(E::InTheFuture)),
    ] {
        assert_eq!(verify_at(&token, time, None).map(drop), result, "{time:?}");
    }
}

#[test]
fn the_time_is_written_as_rfc_3339_has_it() {
    for (iat, until) in [
        ("2022-02-28T18:33:24Z", SECOND),
        ("2022-02-28T18:33:24+00:00", SECOND),
        ("2022-02-28T19:33:24+01:00", SECOND),
        ("2022-02-28T18:33:24.1Z", SECOND),
        ("2022-02-28T18:33:24.123456789Z", SECOND),
        ("2022-02-28T16:33:25.999999999-02:00", SECOND + 1),
    ] {
        let verified = verify(&format!(r#"{{"iat":"{iat}"}}"#));
        assert_eq!(verified.map(|it| it.until), Ok(Timestamp(until + 900)), "{iat}");
    }
    for iat in [
        "",
        "Z",
        "2022-02-28",
        "2022-02-28T18:33Z",
        "2022-02-28T18:33:24",
        "2022-02-28 18:33:24Z",
        "2022-02-28t18:33:24z",
        "20220228T183324Z",
        "2022-02-28T18:33:24.Z",
        "2022-02-28T18:33:24.1234567890Z",
        "2022-02-28T18:33:24.1x3Z",
        "2022-02-28T18:33:24+00",
        "2022-02-28T18:33:24+00:00[UTC]",
        "2022-02-30T18:33:24Z",
        "2022-02-28T25:33:24Z",
        "+002022-02-28T18:33:24Z",
        "2022-02-28T18:33:2\u{e9}Z",
        "1646073204",
    ] {
        assert_eq!(verify(&format!(r#"{{"iat":"{iat}"}}"#)), Err(E::IssuedAt), "{iat}");
    }
}

#[test]
fn the_subject_is_the_registered_one() {
    let bare = sign(&format!(r#"{{"iat":"{IAT}"}}"#), &footer());
    let with = sign(&format!(r#"{{"iat":"{IAT}","sub":"ci"}}"#), &footer());
    for (token, subject, result) in [
        (&bare, None, Ok(())),
        (&bare, Some("ci"), Err(E::Subject)),
        (&with, Some("ci"), Ok(())),
        (&with, None, Err(E::Subject)),
        (&with, Some("CI"), Err(E::Subject)),
        (&with, Some(""), Err(E::Subject)),
    ] {
        assert_eq!(verify_at(token, now(), subject).map(drop), result, "{subject:?}");
    }
}

#[test]
fn the_footer_names_this_registry_and_one_key() {
    let with = |footer: &str| {
        verify_at(&sign(&format!(r#"{{"iat":"{IAT}"}}"#), footer), now(), None).map(drop)
    };
    let other = ID.replace("QB3", "QB4");
    for (footer, result) in [
        (format!(r#"{{"url":"{URL}","kip":"{ID}"}}"#), Ok(())),
        (format!(r#"{{"url":"{URL}","kid":"{ID}"}}"#), Ok(())),
        (format!(r#"{{"url":"sparse+https://old.example.com/","kid":"{ID}"}}"#), Ok(())),
        (format!(r#"{{"url":"{URL}","kid":"{ID}","kip":"{ID}"}}"#), Err(E::KeyId)),
        (format!(r#"{{"url":"{URL}"}}"#), Err(E::KeyId)),
        (format!(r#"{{"url":"{URL}","kip":"{other}"}}"#), Err(E::KeyId)),
        (format!(r#"{{"url":"{URL}","kip":"x"}}"#), Err(E::KeyId)),
        (format!(r#"{{"kip":"{ID}"}}"#), Err(E::Footer)),
        (format!(r#"{{"url":"{URL}","kip":"{ID}","wpk":"x"}}"#), Err(E::Footer)),
        (format!(r#"{{"url":"{URL}","kip":"{ID}","kip":"{ID}"}}"#), Err(E::Footer)),
        ("kip".into(), Err(E::Footer)),
        (format!(r#"{{"url":"{}","kip":"{ID}"}}"#, &URL[7..]), Err(E::Url)),
        (format!(r#"{{"url":"{}","kip":"{ID}"}}"#, URL.trim_end_matches('/')), Err(E::Url)),
        (format!(r#"{{"url":"{URL}/","kip":"{ID}"}}"#), Err(E::Url)),
        (format!(r#"{{"url":"","kip":"{ID}"}}"#), Err(E::Url)),
    ] {
        assert_eq!(with(&footer), result, "{footer}");
    }
}

#[test]
fn only_a_public_token_of_version_3_is_read() {
    let token = sign(&format!(r#"{{"iat":"{IAT}"}}"#), &footer());
    let (signed, footer) = token["v3.public.".len()..].split_once('.').unwrap();
    for (text, error) in [
        (String::new(), E::Form),
        (token.replace("v3.public", "v4.public"), E::Form),
        (token.replace("v3.public", "v3.local"), E::Form),
        (token.replace("v3", "V3"), E::Form),
        (format!("v3.public.{signed}"), E::Footer),
        (format!("v3.public.{signed}."), E::Footer),
        (format!("v3.public..{footer}"), E::Form),
        (format!("v3.public.{}.{footer}", &signed[..100]), E::Form),
        (format!("{token}."), E::Form),
        (format!("{token}.{footer}"), E::Form),
        (format!("{token}="), E::Form),
        (format!("{token} "), E::Form),
        // The signature all zeros.
        (format!("v3.public.{}.{footer}", "A".repeat(160)), E::Signature),
        (format!("v3.public.{}", "A".repeat(4087)), E::TooLong),
        (format!("v3.public.{}", "A".repeat(4086)), E::Footer),
    ] {
        assert_eq!(SignedToken::parse(&text), Err(error), "{text}");
    }
}

#[test]
fn nothing_counts_without_the_key() {
    let payload = format!(r#"{{"iat":"{IAT}"}}"#);
    let other = AsymmetricSecretKey::<V3>::from(&[7; 48]).unwrap();
    let footer = footer();
    let forged = PublicToken::sign(&other, payload.as_bytes(), Some(footer.as_bytes()), None);
    assert_eq!(verify_at(&forged.unwrap(), now(), None), Err(E::Signature));
    // Known under its own name, it is that of another key.
    let public = AsymmetricPublicKey::<V3>::try_from(&other).unwrap();
    assert_ne!(public.as_bytes(), key().as_bytes());
    // An implicit assertion is none of ours.
    let secret = AsymmetricSecretKey::<V3>::from(&decode(SECRET)).unwrap();
    let asserted =
        PublicToken::sign(&secret, payload.as_bytes(), Some(footer.as_bytes()), Some(b"x"));
    assert_eq!(verify_at(&asserted.unwrap(), now(), None), Err(E::Signature));
    // No point has this coordinate.
    let none = (0..=255).map(|last| {
        let mut bytes = [0; 49];
        (bytes[0], bytes[48]) = (2, last);
        PublicKey(bytes)
    });
    assert!(none.clone().any(|key| key.check() == Err(E::Key)));
    assert!(none.clone().any(|key| key.check() == Ok(())));
}

#[test]
fn another_signature_of_the_same_is_the_same_use() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use p384::ecdsa::Signature;

    let token = sign(&format!(r#"{{"iat":"{IAT}"}}"#), &footer());
    let (signed, footer) = token["v3.public.".len()..].split_once('.').unwrap();
    let mut signed = decode(signed);
    let at = signed.len() - 96;
    let signature = Signature::from_slice(&signed[at..]).unwrap();
    let (r, s) = signature.split_scalars();
    let other = Signature::from_scalars(r, -s).unwrap();
    assert_ne!(other, signature);
    signed[at..].copy_from_slice(&other.to_bytes());
    let twin = format!("v3.public.{}.{footer}", URL_SAFE_NO_PAD.encode(signed));
    assert_ne!(twin, token);
    let (one, two) = (verify_at(&token, now(), None), verify_at(&twin, now(), None));
    assert_eq!(one.unwrap().digest, two.unwrap().digest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_token_with_another_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let token = sign(&format!(r#"{{"iat":"{IAT}"}}"#), &footer());
        let mut bytes = token.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // Neither is any text but ASCII.
        if let Ok(text) = std::str::from_utf8(&bytes) {
            prop_assert!(verify_at(text, now(), None).is_err());
        }
    }
}
