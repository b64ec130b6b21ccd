//! One line of the index: as typed values to write, and verbatim to keep.

use std::collections::BTreeMap;

use bytes::Bytes;
use semver::{Version, VersionReq};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{
    checksum::Checksum,
    name::CrateName,
    record::Timestamp,
    version::{VersionError, parse_version},
};

/// Feature names, each with what it turns on.
pub type Features = BTreeMap<String, Vec<String>>;

/// One release as the index lists it. Field order is the order on the line.
///
/// Absent values are left out rather than written as `null`: for `features`, `deps`, and a
/// dependency's `features`, `optional`, `default_features` and `lib`, cargo refuses `null` and the
/// version with it. Source: Cargo book, "Registry Index", JSON schema; measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The crate's name as first published.
    pub name: CrateName,
    /// The version, with its build metadata.
    #[serde(rename = "vers")]
    pub version: Version,
    /// What it depends on; one package may stand here several times, by kind and target.
    #[serde(rename = "deps")]
    pub dependencies: Vec<IndexDependency>,
    /// SHA-256 of the crate file.
    #[serde(rename = "cksum")]
    pub checksum: Checksum,
    /// Features that every cargo can read.
    pub features: Features,
    /// Features that only cargo 1.60 and later can read: with `dep:` or `?/`, or turning on such a
    /// one.
    #[serde(skip_serializing_if = "Features::is_empty", default)]
    pub features2: Features,
    /// Hidden from new resolutions, still downloadable.
    pub yanked: bool,
    /// The native library the package links to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<String>,
    /// Schema version: 2 if there are `features2`, 3 with artifact dependencies, otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// Oldest Rust it builds with: `1`, `1.70` or `1.70.1`, nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rust_version: Option<String>,
    /// When it was published: exactly `YYYY-MM-DDThh:mm:ssZ`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubtime: Option<String>,
    /// Keys this library does not know, kept as they are.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// One dependency of an [`IndexEntry`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDependency {
    /// The name the manifest knows it by: the alias, if it is renamed.
    pub name: String,
    /// Versions that will do.
    pub req: VersionReq,
    /// Features asked of it.
    #[serde(default)]
    pub features: Vec<String>,
    /// Taken only if a feature asks for it.
    #[serde(default)]
    pub optional: bool,
    /// Whether its default features are taken.
    #[serde(default = "yes")]
    pub default_features: bool,
    /// The platform it is needed on: a triple or `cfg(…)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What it is needed for.
    #[serde(default)]
    pub kind: DependencyKind,
    /// Index URL of the registry it comes from; absent for the registry this line is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The package's own name, if [`IndexDependency::name`] is an alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Whether the depending crate shows its types. Unstable in cargo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Artifacts wanted instead of the library. Unstable in cargo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Vec<String>>,
    /// The platform to build those artifacts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindep_target: Option<String>,
    /// Whether the library is wanted beside the artifacts.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub lib: bool,
}

fn yes() -> bool {
    true
}

/// What a dependency is needed for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DependencyKind {
    /// The crate itself.
    #[default]
    Normal,
    /// Its build script.
    Build,
    /// Its tests, examples and benchmarks.
    Dev,
}

impl IndexEntry {
    /// Writes the line.
    pub fn to_line(&self) -> IndexLine {
        let text = serde_json::to_vec(self).expect("an entry has string keys and no failing part");
        IndexLine {
            // Records are kept, and are not to keep the room that the text grew in.
            text: text.into_boxed_slice().into(),
            name: self.name.as_str().into(),
            version: self.version.clone(),
            checksum: self.checksum,
            yanked: self.yanked,
        }
    }
}

/// One line of the index verbatim, with the parts the registry itself needs to know.
///
/// Lines are kept and served byte for byte, because cargo caches them and other tools hash them:
/// re-serializing would change bytes that have no reason to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexLine {
    text: Bytes,
    name: Box<str>,
    version: Version,
    checksum: Checksum,
    yanked: bool,
}

/// What a line must let us read; everything else may be anything.
#[derive(Deserialize)]
struct Essentials<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    vers: std::borrow::Cow<'a, str>,
    cksum: Checksum,
    #[serde(borrow, default, deserialize_with = "present")]
    yanked: Option<&'a RawValue>,
}

// Unlike an `Option` by itself, this keeps the place of a `null`.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

impl IndexLine {
    /// Most bytes a line has. Source: ours; a line is read by every client that looks at the crate.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// Reads one line, without its line end.
    ///
    /// # Errors
    /// [`IndexLineError`] if it is not one JSON object on one line with a name, a version and a
    /// checksum, or too long. What else it says may be of any form: cargo passes over a version
    /// whose line it cannot read.
    pub fn parse(text: Bytes) -> Result<Self, IndexLineError> {
        if text.len() > Self::MAX_BYTES {
            return Err(IndexLineError::TooLong { bytes: text.len() });
        }
        if text.contains(&b'\n') || text.contains(&b'\r') {
            return Err(IndexLineError::LineBreak);
        }
        // White space around the object would have no place once lines are joined.
        if text.first() != Some(&b'{') || text.last() != Some(&b'}') {
            return Err(IndexLineError::NotAnObject);
        }
        // The whole line: a JSON parser passes over bad bytes in values that it does not read.
        let json = std::str::from_utf8(&text).map_err(|_| IndexLineError::NotUtf8)?;
        let line: Essentials<'_> = serde_json::from_str(json)?;
        let (name, version, checksum) = (line.name.into(), parse_version(&line.vers)?, line.cksum);
        // Cargo takes a line with any other value for a version that is not valid.
        let yanked = line.yanked.is_some_and(|value| value.get() == "true");
        Ok(Self { text, name, version, checksum, yanked })
    }

    /// Reads the lines of an index file, each with its number, counted from 1.
    ///
    /// As lenient as cargo: lines may end in `\r\n`, have white space around them, or be blank,
    /// and one that cannot be read spoils no other. Source: cargo; measured.
    pub fn in_file(
        file: &Bytes,
    ) -> impl Iterator<Item = (usize, Result<Self, IndexLineError>)> + use<> {
        let file = file.clone();
        let mut rest = Some(0);
        let lines = std::iter::from_fn(move || {
            let start = rest?;
            let length = file[start..].iter().position(|byte| *byte == b'\n');
            rest = length.map(|length| start + length + 1);
            let line = &file[start..length.map_or(file.len(), |length| start + length)];
            Some(file.slice_ref(line.trim_ascii()))
        });
        (1..)
            .zip(lines)
            .filter(|(_, line)| !line.is_empty())
            .map(|(n, line)| (n, Self::parse(line)))
    }

    /// The line's bytes, without a line end.
    pub fn as_bytes(&self) -> &Bytes {
        &self.text
    }

    /// The crate name on the line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version on the line, with build metadata.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The checksum on the line.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// When the line says that the version was published; `None` if it says no time since 1970.
    pub fn pubtime(&self) -> Option<Timestamp> {
        #[derive(Deserialize)]
        struct Pubtime<'a> {
            #[serde(borrow)]
            pubtime: std::borrow::Cow<'a, str>,
        }
        let line: Pubtime<'_> = serde_json::from_slice(&self.text).ok()?;
        let time: jiff::Timestamp = line.pubtime.parse().ok()?;
        u64::try_from(time.as_second()).ok().map(Timestamp)
    }

    /// Whether the line says that the version is yanked: with any value but `true` it does not.
    pub fn yanked(&self) -> bool {
        self.yanked
    }

    /// The same line with `yanked` set as asked, all other bytes as they are.
    #[must_use]
    pub fn with_yanked(&self, yanked: bool) -> Self {
        if self.yanked == yanked {
            return self.clone();
        }
        let text = std::str::from_utf8(&self.text).expect("a parsed line is UTF-8");
        let line: Essentials<'_> = serde_json::from_str(text).expect("the line has been parsed");
        let value = if yanked { "true" } else { "false" };
        let changed = match line.yanked {
            Some(raw) => {
                // `raw` borrows from `text`, so the distance of the two is its place on the line.
                let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
                let end = start + raw.get().len();
                format!("{}{value}{}", &text[..start], &text[end..])
            }
            None => format!("{},\"yanked\":{value}}}", &text[..text.len() - 1]),
        };
        let text = changed.into_bytes().into_boxed_slice().into();
        Self { text, yanked, ..self.clone() }
    }

    /// Reads the whole line into typed values.
    ///
    /// # Errors
    /// [`IndexLineError::Json`] if a field is not as cargo's schema has it.
    pub fn to_entry(&self) -> Result<IndexEntry, IndexLineError> {
        Ok(serde_json::from_slice(&self.text)?)
    }
}

/// Why bytes are not a line of an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexLineError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("the index line is not as the schema has it")]
    Json(#[from] serde_json::Error),
    /// The version is not a version.
    #[error("the version in the index line is not valid")]
    Version(#[from] VersionError),
    /// Not one JSON object from the first byte to the last.
    #[error("the index line is not one JSON object")]
    NotAnObject,
    /// Not UTF-8.
    #[error("the index line is not UTF-8")]
    NotUtf8,
    /// There is a line break in it.
    #[error("the index line contains a line break")]
    LineBreak,
    /// Longer than [`IndexLine::MAX_BYTES`].
    #[error("the index line is {bytes} bytes, limit {}", IndexLine::MAX_BYTES)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKSUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn line(rest: &str) -> String {
        format!(
            r#"{{"name":"foo","vers":"0.1.0","deps":[],"cksum":"{CHECKSUM}","features":{{}}{rest}}}"#
        )
    }

    fn parse(text: &str) -> Result<IndexLine, IndexLineError> {
        IndexLine::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_line_that_was_made_takes_no_more_than_its_text() {
        let first = parse(&line(r#","yanked":false"#)).unwrap().to_entry().unwrap().to_line();
        let yanked = first.with_yanked(true);
        for line in [first, yanked, parse(&line("")).unwrap().with_yanked(true)] {
            let length = line.as_bytes().len();
            assert_eq!(line.text.try_into_mut().unwrap().capacity(), length);
        }
    }

    #[test]
    fn the_smallest_entry_is_the_canonical_line() {
        let entry = IndexEntry {
            name: CrateName::new("foo").unwrap(),
            version: Version::new(0, 1, 0),
            dependencies: vec![],
            checksum: CHECKSUM.parse().unwrap(),
            features: Features::new(),
            features2: Features::new(),
            yanked: false,
            links: None,
            v: None,
            rust_version: None,
            pubtime: None,
            other: serde_json::Map::new(),
        };
        let written = entry.to_line();
        assert_eq!(written.as_bytes(), line(r#","yanked":false"#).as_bytes());
        assert_eq!(written, parse(&line(r#","yanked":false"#)).unwrap());
        assert_eq!(written.to_entry().unwrap(), entry);
    }

    #[test]
    fn a_dependency_leaves_out_what_it_does_not_say() {
        let dependency = IndexDependency {
            name: "alias".into(),
            req: VersionReq::parse("1.2").unwrap(),
            features: vec!["std".into()],
            optional: true,
            default_features: false,
            target: Some("cfg(unix)".into()),
            kind: DependencyKind::Build,
            registry: None,
            package: Some("real".into()),
            public: None,
            artifact: None,
            bindep_target: None,
            lib: false,
        };
        assert_eq!(
            serde_json::to_string(&dependency).unwrap(),
            r#"{"name":"alias","req":"^1.2","features":["std"],"optional":true,"default_features":false,"target":"cfg(unix)","kind":"build","package":"real"}"#
        );
    }

    #[test]
    fn yanking_changes_the_value_and_no_other_byte() {
        for (before, after) in [
            (r#","yanked":false"#, r#","yanked":true"#),
            (
                r#","yanked" : false ,"links":"yanked\":false""#,
                r#","yanked" : true ,"links":"yanked\":false""#,
            ),
            (r#","x":{"yanked":false},"yanked":false"#, r#","x":{"yanked":false},"yanked":true"#),
            (r#","yanked":null,"new":[1.0,1e400]"#, r#","yanked":true,"new":[1.0,1e400]"#),
            ("", r#","yanked":true"#),
        ] {
            let Ok(parsed) = parse(&line(before)) else { panic!("{before}") };
            let yanked = parsed.with_yanked(true);
            assert_eq!(yanked.as_bytes(), line(after).as_bytes());
            assert!(yanked.yanked());
            assert_eq!(yanked, parse(&line(after)).unwrap());
        }
    }

    #[test]
    fn a_value_of_yanked_that_cargo_does_not_know_is_not_a_yank() {
        for value in ["1", "\"true\"", "[true]", "{}"] {
            let odd = parse(&line(&format!(r#","yanked":{value}"#))).unwrap();
            assert!(!odd.yanked(), "{value}");
            assert_eq!(odd.with_yanked(false), odd);
            assert_eq!(odd.with_yanked(true), parse(&line(r#","yanked":true"#)).unwrap());
        }
    }

    #[test]
    fn the_time_of_publication_is_read_if_it_is_one() {
        for (rest, seconds) in [
            (r#","pubtime":"2024-02-29T12:00:00Z""#, Some(1_709_208_000)),
            (r#","pubtime":"2024-02-29T13:00:00.9+01:00""#, Some(1_709_208_000)),
            (r#","pubtime":"1970-01-01T00:00:00Z""#, Some(0)),
            (r#","pubtime":"1969-12-31T23:59:58Z""#, None),
            (r#","pubtime":"yesterday""#, None),
            (r#","pubtime":1709208000"#, None),
            (r#","pubtime":null"#, None),
            ("", None),
        ] {
            assert_eq!(parse(&line(rest)).unwrap().pubtime(), seconds.map(Timestamp), "{rest}");
        }
    }

    #[test]
    fn a_line_from_the_cargo_book_is_kept_as_it_is_and_read_whole() {
        // Cargo book, "Registry Index", JSON schema: written by hand, without white space.
        let text = concat!(
            r#"{"name":"foo","vers":"0.1.0","deps":[{"name":"rand","req":"^0.6","#,
            r#""features":["i128_support"],"optional":false,"default_features":true,"#,
            r#""target":null,"kind":"normal","registry":null,"package":null}],"#,
            r#""cksum":"d867001db0e2b6e0496f9fac96930e2d42233ecd3ca0413e0753d4c7695d289c","#,
            r#""features":{"extras":["rand/simd_support"]},"yanked":false,"links":null,"v":2,"#,
            r#""features2":{"serde":["dep:serde","chrono?/serde"]},"rust_version":"1.60"}"#,
        );
        let read = parse(text).unwrap();
        assert_eq!(read.as_bytes(), text.as_bytes());
        assert_eq!((read.name(), read.version()), ("foo", &Version::new(0, 1, 0)));
        let entry = read.to_entry().unwrap();
        assert_eq!(entry.dependencies.len(), 1);
        assert_eq!(entry.dependencies[0].req, VersionReq::parse("^0.6").unwrap());
        assert_eq!(entry.dependencies[0].kind, DependencyKind::Normal);
        assert_eq!(entry.features2["serde"], ["dep:serde", "chrono?/serde"]);
        assert_eq!((entry.v, entry.rust_version.as_deref()), (Some(2), Some("1.60")));
        assert_eq!(entry.to_line().to_entry().unwrap(), entry);
    }

    #[test]
    fn lines_of_a_file_are_read_as_cargo_does() {
        let text = |version: &str| line("").replace("0.1.0", version);
        let file = [
            text("1.0.0") + "\r\n",
            "\n \t\r\n".into(),
            "  ".to_owned() + &text("2.0.0") + " \n",
            "{\n".into(),
            text("3.0.0"),
        ];
        let read = IndexLine::in_file(&file.concat().into());
        let read: Vec<_> =
            read.map(|(n, line)| (n, line.map(|l| l.as_bytes().clone()).ok())).collect();
        let whole = |version: &str| Some(Bytes::from(text(version)));
        let expected = [(1, whole("1.0.0")), (4, whole("2.0.0")), (5, None), (6, whole("3.0.0"))];
        assert_eq!(read, expected);
        assert_eq!(IndexLine::in_file(&Bytes::new()).count(), 0);
    }

    #[test]
    fn undoing_a_yank_gives_the_first_bytes_back() {
        let first = parse(&line(r#","yanked":false,"unknown":"ü""#)).unwrap();
        assert_eq!(first.with_yanked(true).with_yanked(false), first);
    }

    #[test]
    fn what_is_not_one_line_is_refused() {
        assert!(matches!(parse(""), Err(IndexLineError::NotAnObject)));
        assert!(matches!(parse("[]"), Err(IndexLineError::NotAnObject)));
        assert!(matches!(parse(&format!(" {}", line(""))), Err(IndexLineError::NotAnObject)));
        assert!(matches!(parse(&line(",\n\"a\":1")), Err(IndexLineError::LineBreak)));
        assert!(matches!(
            parse(&line(r#","yanked":true,"yanked":false"#)),
            Err(IndexLineError::Json(_))
        ));
        assert!(matches!(
            parse(&line("").replace("0.1.0", "0.1")),
            Err(IndexLineError::Version(_))
        ));
        assert!(matches!(parse(&line("").replace("ba78", "BA78")), Err(IndexLineError::Json(_))));
        assert!(matches!(parse(r#"{"name":"foo"}"#), Err(IndexLineError::Json(_))));
        let bad_bytes =
            [line(r#","unknown":""#).trim_end_matches('}').as_bytes(), b"\xff\"}"].concat();
        assert!(matches!(IndexLine::parse(bad_bytes.into()), Err(IndexLineError::NotUtf8)));
        let filler = IndexLine::MAX_BYTES - line(r#","x":"""#).len();
        assert!(parse(&line(&format!(r#","x":"{}""#, "a".repeat(filler)))).is_ok());
        assert!(matches!(
            parse(&line(&format!(r#","x":"{}""#, "a".repeat(filler + 1)))),
            Err(IndexLineError::TooLong { bytes }) if bytes == IndexLine::MAX_BYTES + 1
        ));
    }
}
