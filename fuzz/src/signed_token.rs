use std::time::{Duration, SystemTime};

use registry_core::auth::{
    PublicKey,
    paseto::{Expected, SignedToken},
};

/// No text makes the parser panic, and none but the committed token counts.
///
/// A refusal cannot tell what was sent: its type has no room for it.
pub fn signed_token(data: &[u8]) {
    // The first token of RFC 3231, its key, index URL and time.
    const GENUINE: &[u8] = include_bytes!("../corpus/signed_token/read");
    const KEY: &str =
        "k3.public.AmDwjlyf8jAV3gm5Z7Kz9xAOcsKslt_Vwp5v-emjFzBHLCtcANzTaVEghTNEMj9PkQ";
    const SECOND: u64 = 1_646_073_204;

    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(token) = SignedToken::parse(text) else { return };
    assert!(text.len() <= SignedToken::MAX_BYTES);
    assert!(text.contains('.') && token.key().as_str().starts_with("k3.pid."));
    let key: PublicKey = KEY.parse().expect("the key is one");
    let index_urls = ["https://registry.com/crate-index".to_owned()];
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SECOND);
    let verified = token.verify(&key, &Expected { now, index_urls: &index_urls, subject: None });
    assert_eq!(verified.is_ok(), data == GENUINE);
}
