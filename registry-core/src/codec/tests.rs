use proptest::prelude::*;
use semver::Version;

use super::*;
use crate::owner::Owner;

const CHECKSUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

// Lengths and validator were taken with `wc -c` and `sha256sum`.
const GOLDEN: &str = concat!(
    r#"{"format":1,"write":7,"name":"Foo","etag":"\"b09ebe7b753b6f4ebd270f9bf7236eba\"","index":289,"rest":479}"#,
    "\n",
    r#"{"name":"Foo","vers":"0.1.0","deps":[],"cksum":"CHECKSUM","features":{},"yanked":false}"#,
    "\n",
    r#"{"name":"Foo","vers":"0.2.0+b","deps":[],"cksum":"CHECKSUM","features":{},"yanked":true}"#,
    "\n",
    r#"{"owners":[{"id":7,"login":"alice","name":"Alice"}],"#,
    r#""about":{"description":"A \"foo\"","keywords":["k"]},"releases":["#,
    r#"{"size":10,"published_at":1700000000,"published_by":"alice","state":"published"},"#,
    r#"{"size":11,"published_at":1700000001,"published_by":"bob","state":"archived","#,
    r#""line":"{\"name\":\"Foo\",\"vers\":\"0.1.1\",\"cksum\":\"CHECKSUM\"}"},"#,
    r#"{"size":12,"published_at":1700000002,"published_by":"bob","state":"yanked"}]}"#,
);

#[test]
fn a_record_keeps_nothing_of_the_buffer_that_it_was_read_from() {
    let buffer: Arc<[u8]> = golden().into_bytes().into();
    let record = decode(Bytes::from_owner(buffer.clone())).unwrap();
    assert_eq!(Arc::strong_count(&buffer), 1);
    assert_eq!(record, golden_record());
}

fn golden() -> String {
    GOLDEN.replace("CHECKSUM", CHECKSUM)
}

fn line(version: &str, rest: &str) -> IndexLine {
    let text = format!(r#"{{"name":"Foo","vers":"{version}",{rest}}}"#);
    IndexLine::parse(text.into()).unwrap()
}

fn golden_record() -> CrateRecord {
    let release = |line, size, at, by, state| {
        Arc::new(ReleaseRecord {
            line,
            size,
            published_at: Timestamp(at),
            published_by: Login::new(by).unwrap(),
            state,
        })
    };
    let listed =
        |yanked| format!(r#""deps":[],"cksum":"{CHECKSUM}","features":{{}},"yanked":{yanked}"#);
    let unlisted = format!(r#""cksum":"{CHECKSUM}""#);
    let alice = Login::new("alice").unwrap();
    CrateRecord::from_parts(
        CrateName::new("Foo").unwrap(),
        Owners::from_iter([Owner { id: 7, login: alice, name: Some("Alice".into()) }]),
        About {
            description: Some("A \"foo\"".into()),
            keywords: vec!["k".into()],
            ..About::default()
        },
        vec![
            release(
                line("0.1.0", &listed(false)),
                10,
                1_700_000_000,
                "alice",
                ReleaseState::Published,
            ),
            release(line("0.1.1", &unlisted), 11, 1_700_000_001, "bob", ReleaseState::Archived),
            release(line("0.2.0+b", &listed(true)), 12, 1_700_000_002, "bob", ReleaseState::Yanked),
        ],
    )
    .unwrap()
}

#[test]
fn the_layout_is_as_documented() {
    assert_eq!(std::str::from_utf8(&encode(&golden_record(), 7)).unwrap(), golden());
    assert_eq!(decode(golden().into()).unwrap(), golden_record());
}

#[test]
fn the_index_file_shares_the_stored_bytes() {
    let stored = Bytes::from(golden());
    let file = index_file(stored.clone()).unwrap();
    assert_eq!(file, golden_record().index_file());
    assert_eq!(file.etag.as_str(), "\"b09ebe7b753b6f4ebd270f9bf7236eba\"");
    let start = golden().find('\n').unwrap() + 1;
    assert_eq!(file.body.as_ptr(), stored[start..].as_ptr());
}

#[test]
fn the_header_is_read_from_the_first_bytes_alone() {
    let stored = Bytes::from(golden());
    let lines_at = golden().find('\n').unwrap() + 1;
    let expected = RecordHeader {
        write: 7,
        name: CrateName::new("Foo").unwrap(),
        etag: ETag::parse("\"b09ebe7b753b6f4ebd270f9bf7236eba\"").unwrap(),
        lines: lines_at..lines_at + 289,
        length: stored.len(),
    };
    assert_eq!(header(&stored[..lines_at]).unwrap(), expected);
    assert_eq!(header(&stored[..MAX_HEADER_BYTES]).unwrap(), expected);
    assert!(matches!(header(&stored[..lines_at - 1]), Err(CodecError::NoHeader)));
}

#[test]
fn what_does_not_add_up_is_refused() {
    let decode = |text: String| decode(text.into()).unwrap_err();
    assert!(matches!(decode(String::new()), CodecError::NoHeader));
    assert!(matches!(decode("{".repeat(1000) + "\n"), CodecError::NoHeader));
    assert!(matches!(decode("{}\n".into()), CodecError::Header(_)));
    assert!(matches!(
        decode(golden().replacen(r#""index""#, r#""new":0,"index""#, 1)),
        CodecError::Header(_)
    ));
    assert!(matches!(
        decode("{\"format\":2,\"anything\":{}}\n".into()),
        CodecError::Format { format: 2 }
    ));
    assert!(matches!(
        decode(golden() + "\n"),
        CodecError::Length { index: 289, rest: 479, found: 769 }
    ));
    assert!(matches!(
        decode(golden().replacen("479", &usize::MAX.to_string(), 1)),
        CodecError::Length { rest: usize::MAX, .. }
    ));
    assert!(matches!(decode(golden().replacen("0.1.0", "0.1.9", 1)), CodecError::ETag));
    assert!(matches!(
        decode(golden().replacen(r#""owners""#, r#""ownerz""#, 1)),
        CodecError::Rest(_)
    ));
    // A line without a release, a listed release with a line of its own, and one without any.
    let last = r#",{"size":12,"published_at":1700000002,"published_by":"bob","state":"yanked"}"#;
    assert!(matches!(
        decode(golden().replace(last, "").replace("479", &(479 - last.len()).to_string())),
        CodecError::Lines
    ));
    assert!(matches!(
        decode(golden().replace(r#""state":"archived""#, r#""state":  "yanked""#)),
        CodecError::Lines
    ));
    assert!(matches!(
        decode(
            golden().replace(r#""state":"yanked""#, r#""state":"disposed""#).replace("479", "481")
        ),
        CodecError::Lines
    ));
    assert!(matches!(
        decode(golden().replace(r#""state":"yanked""#, r#""state":"published""#).replace("479", "482")),
        CodecError::Record(RecordError::YankedDiffers { version }) if version == Version::parse("0.2.0+b").unwrap()
    ));
}

fn records() -> impl Strategy<Value = CrateRecord> {
    let states = prop::sample::select(vec![
        ReleaseState::Published,
        ReleaseState::Yanked,
        ReleaseState::Unlisted,
        ReleaseState::Archived,
        ReleaseState::Disposed,
        ReleaseState::Deleted,
    ]);
    let release = (states, any::<u64>(), any::<u64>(), "[a-z][a-z0-9.@:_-]{0,8}", "\\PC{0,20}");
    let owners =
        prop::collection::vec((any::<u32>(), "[A-Za-z0-9]{1,9}", any::<Option<String>>()), 1..4);
    let about = (any::<Option<String>>(), prop::collection::vec(".*", 0..3));
    let parts =
        ("[A-Za-z][A-Za-z0-9_-]{0,63}", owners, about, prop::collection::vec(release, 0..6));
    parts.prop_map(|(name, owners, (description, keywords), releases)| {
        let name = CrateName::new(&name).unwrap();
        let releases = releases.into_iter().enumerate().map(|(minor, release)| {
            let (state, size, at, by, note) = release;
            let yanked = state == ReleaseState::Yanked;
            let line = serde_json::json!({
                "name": name, "vers": format!("0.{minor}.0+x"), "cksum": CHECKSUM,
                "yanked": yanked, "note": note,
            });
            Arc::new(ReleaseRecord {
                line: IndexLine::parse(line.to_string().into()).unwrap(),
                size,
                published_at: Timestamp(at),
                published_by: Login::new(&by).unwrap(),
                state,
            })
        });
        let releases = releases.collect();
        let owners = owners.into_iter().map(|(id, login, name)| {
            let login = Login::new(&login).unwrap();
            Owner { id, login, name }
        });
        let about = About { description, keywords, ..About::default() };
        CrateRecord::from_parts(name.clone(), owners.collect(), about, releases).unwrap()
    })
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was(record in records()) {
        let stored = encode(&record, 7);
        prop_assert_eq!(index_file(stored.clone()).unwrap(), record.index_file());
        prop_assert_eq!(decode(stored).unwrap(), record);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_record(
        record in records(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut stored = encode(&record, 7).to_vec();
        let at = at.index(stored.len());
        if cut {
            stored.truncate(at);
            prop_assert!(decode(stored.into()).is_err());
        } else {
            stored[at] = byte;
            // A digit of a size may turn into another digit; what is read can be written again.
            if let Ok(record) = decode(stored.into()) {
                prop_assert_eq!(decode(encode(&record, 7)).unwrap(), record);
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode(bytes.clone().into()).is_err());
        prop_assert!(index_file(bytes.into()).is_err());
    }
}
