use registry_core::{
    auth::oidc::{Algorithm, Issuer, Jwt, KeySet},
    record::Timestamp,
};

/// No text makes the parsers panic, that of tokens or that of key sets, and no token but the
/// committed one counts.
///
/// A refusal cannot tell what was sent: its type has no room for it.
pub fn identity_token(data: &[u8]) {
    // Made once, with a key that nobody has.
    const GENUINE: &[u8] = include_bytes!("../corpus/identity_token/run");
    const KEYS: &[u8] = include_bytes!("../corpus/identity_token/keys");
    const SECOND: u64 = 1_800_000_000;

    let _ = KeySet::parse(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let is_shaped = Jwt::is_shaped(text);
    let Ok(token) = Jwt::parse(text) else { return };
    assert!(text.len() <= Jwt::MAX_BYTES);
    let issuer = Issuer::new("https://ci.example.com", "crates").expect("the issuer is one");
    let issuer = issuer.with_algorithms([Algorithm::EdDsa]);
    let keys = KeySet::parse(KEYS).expect("the keys are some");
    let verified = token.verify(&issuer, &keys, Timestamp(SECOND));
    assert_eq!(verified.is_ok(), data == GENUINE);
    assert!(verified.is_err() || is_shaped);
}
