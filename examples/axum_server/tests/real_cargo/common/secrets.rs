use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use serde_json::Value;

/// The texts that belong to one user of a server, or to its operator, and to nobody else.
///
/// Clones share what they hold.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl Secrets {
    /// Shorter texts are somewhere by chance.
    const MIN_BYTES: usize = 10;

    /// Adds a password, a key, or a token without what all tokens begin with.
    pub(crate) fn add(&self, text: &str) {
        let text = text.strip_prefix("crg_").unwrap_or(text);
        if text.len() >= Self::MIN_BYTES {
            let mut secrets = self.0.lock().unwrap();
            secrets.entry(text.to_owned()).or_insert_with(|| ways(text));
        }
    }

    /// Adds what an `Authorization` header holds, whatever its form.
    pub(crate) fn add_header(&self, header: &str) {
        for word in header.split_whitespace() {
            self.add(word);
        }
        let packed = header.split_whitespace().nth(1).unwrap_or_default();
        let pair = BASE64_STANDARD.decode(packed).ok().and_then(|it| String::from_utf8(it).ok());
        if let Some((user, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            self.add(password);
            if user.starts_with("crg_") {
                self.add(user);
            }
        }
    }

    /// Adds the tokens that a client sends, or is given, in a body.
    pub(crate) fn add_body(&self, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
        for place in ["/jwt", "/token", "/api_token/token"] {
            if let Some(text) = body.pointer(place).and_then(Value::as_str) {
                self.add(text);
            }
        }
    }

    /// Those that are in `place`, in whatever way they are written there.
    pub(crate) fn found_in(&self, place: &[u8]) -> Vec<String> {
        // All ways are ASCII, which stays as it is.
        let place = String::from_utf8_lossy(place);
        let secrets = self.0.lock().unwrap();
        let found = secrets.iter().filter(|(_, ways)| ways.iter().any(|way| place.contains(way)));
        found.map(|(secret, _)| secret.clone()).collect()
    }
}

/// How a text may be written: as it is, in base64 with whatever is around it, as in a URL, in
/// hexadecimal digits, and as Rust prints bytes.
fn ways(text: &str) -> BTreeSet<String> {
    let mut ways = BTreeSet::from([text.to_owned()]);
    let lax = GeneralPurposeConfig::new().with_encode_padding(false);
    for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
        for before in 0..3 {
            let bytes = [&vec![0; before], text.as_bytes()].concat();
            let encoded = GeneralPurpose::new(&alphabet, lax).encode(&bytes);
            // Without the digits that are partly of what stands before or behind.
            let whole = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
            ways.insert(encoded[whole].to_owned());
        }
    }
    let each = |write: &dyn Fn(u8) -> String| text.bytes().map(write).collect::<Vec<_>>();
    let in_url = |byte: u8| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    ways.insert(each(&in_url).concat());
    ways.insert(text.replace(' ', "+"));
    ways.insert(each(&|byte| format!("{byte:02x}")).concat());
    ways.insert(each(&|byte| byte.to_string()).join(", "));
    ways
}

#[test]
fn a_secret_is_found_in_whatever_way_it_is_written() {
    let secrets = Secrets::default();
    secrets.add("correct: horse");
    let found = |text: &str| secrets.found_in(text.as_bytes()) == ["correct: horse"];
    for text in [
        "the password is `correct: horse`",
        "correct%3A%20horse",
        "correct:+horse",
        // As `printf TEXT | base64` has it, of `alice:TEXT`, `bobby:TEXT`, `al:TEXTs`, `TEXT!`.
        "YWxpY2U6Y29ycmVjdDogaG9yc2U=",
        "Ym9iYnk6Y29ycmVjdDogaG9yc2U=",
        "YWw6Y29ycmVjdDogaG9yc2Vz",
        "eHg6eHhjb3JyZWN0OiBob3JzZQ==",
        "Y29ycmVjdDogaG9yc2Uh",
        "636f72726563743a20686f727365",
        "[99, 111, 114, 114, 101, 99, 116, 58, 32, 104, 111, 114, 115, 101]",
    ] {
        assert!(found(text), "{text}");
    }
    for text in ["correct horse", "correct: hors", "Y29ycmVjdCBob3JzZQ=="] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn a_secret_is_taken_from_wherever_it_is_sent() {
    let held = |add: &dyn Fn(&Secrets)| {
        let secrets = Secrets::default();
        add(&secrets);
        secrets.0.lock().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(held(&|it| it.add_header("crg_0123456789")), ["0123456789"]);
    assert_eq!(held(&|it| it.add_header("Bearer  crg_0123456789")), ["0123456789"]);
    let pair = "YWxpY2U6Y29ycmVjdDogaG9yc2U=";
    let both = held(&|it| it.add_header(&format!("Basic {pair}")));
    assert_eq!(both, [pair, "correct: horse"]);
    let made = br#"{"api_token":{"id":1,"token":"crg_0123456789"}}"#;
    assert_eq!(held(&|it| it.add_body(made)), ["0123456789"]);
    assert_eq!(held(&|it| it.add_body(br#"{"jwt":"0123.4567.89"}"#)), ["0123.4567.89"]);
    assert_eq!(held(&|it| it.add_header("Bearer nonsense")), [] as [String; 0]);
}
