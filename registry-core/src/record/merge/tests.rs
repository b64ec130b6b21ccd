use bytes::Bytes;

use super::*;
use crate::{
    conformance::record_fixture::{
        about, alice, first, line, name, owner, publish, set_yanked, stamp, version,
    },
    record::{ChangeKind, Timestamp},
};

/// All lines, each with a file of 100 bytes; every one of them has to pass.
fn source(here: Option<&CrateRecord>, lines: &[IndexLine]) -> SourceLines {
    let mut source = SourceLines::new(name("foo"), here);
    for line in lines {
        source.check(line).unwrap();
        source.push(line.clone(), Some(100));
    }
    source
}

type Merged = (Option<Transition>, Vec<Result<Brought, String>>);

fn merge_with(
    here: Option<&CrateRecord>,
    source: &SourceLines,
    newest: Option<&(Version, About)>,
) -> Merged {
    let (transition, outcomes) = source.merge(here, &owner(2, "bob"), newest, &stamp()).unwrap();
    (transition, outcomes.into_iter().map(|line| line.map_err(|out| out.to_string())).collect())
}

fn merge(here: Option<&CrateRecord>, lines: &[IndexLine]) -> Merged {
    merge_with(here, &source(here, lines), None)
}

fn usual(version: &str) -> IndexLine {
    line("foo", version, false, "")
}

fn odd(rest: &str) -> IndexLine {
    let checksum = Checksum::of("file");
    let text = format!(r#"{{"vers":"9.0.0","name":"foo","cksum":"{checksum}"{rest}}}"#);
    IndexLine::parse(text.into()).unwrap()
}

fn body(record: &CrateRecord) -> Bytes {
    record.index_file().body
}

#[test]
fn a_new_crate_has_the_lines_in_their_order_and_the_importer_for_its_owner() {
    let lines = [usual("2.0.0"), line("foo", "1.0.0", true, r#","x":[ 1e400 ]"#), odd("")];
    let (transition, outcomes) = merge(None, &lines);
    let (record, change) = transition.unwrap();
    assert_eq!(outcomes, vec![Ok(Brought::New); 3]);
    let expected: Vec<u8> =
        lines.iter().flat_map(|l| [l.as_bytes(), &b"\n"[..]].concat()).collect();
    assert_eq!(body(&record), expected);
    assert_eq!(
        (record.name(), record.owners()),
        (&name("foo"), &[owner(2, "bob")].into_iter().collect())
    );
    let states: Vec<_> = record.releases().iter().map(|release| release.state).collect();
    let (published, yanked) = (ReleaseState::Published, ReleaseState::Yanked);
    assert_eq!(states, [published, yanked, published]);
    assert!(record.releases().iter().all(|r| r.size == 100 && r.published_by == stamp().by));
    assert_eq!(change.kind, ChangeKind::Imported(record.releases().to_vec()));
    assert_eq!(change.stamp, stamp());
    // What storage checks when it reads the record back.
    let parts = (record.owners().clone(), record.about().clone(), record.releases().to_vec());
    let reread = CrateRecord::from_parts(record.name().clone(), parts.0, parts.1, parts.2);
    assert_eq!(reread, Ok(record));
}

#[test]
fn the_time_of_publication_is_that_of_the_line_if_it_has_one() {
    let lines =
        [line("foo", "1.0.0", false, r#","pubtime":"2020-01-01T00:00:00Z""#), usual("1.1.0")];
    let (record, _) = merge(None, &lines).0.unwrap();
    let times: Vec<_> = record.releases().iter().map(|release| release.published_at).collect();
    assert_eq!(times, [Timestamp(1_577_836_800), stamp().at]);
}

#[test]
fn the_same_again_is_no_change() {
    let lines = [usual("1.0.0"), line("foo", "1.1.0", true, ""), odd(r#","yanked":null"#)];
    let (record, _) = merge(None, &lines).0.unwrap();
    let again = merge(Some(&record), &lines);
    assert_eq!(again, (None, vec![Ok(Brought::AlreadyHere); 3]));
    assert_eq!(merge(Some(&record), &[]), (None, vec![]));
    assert_eq!(merge(None, &[]), (None, vec![]));
}

#[test]
fn new_lines_follow_those_that_are_here_and_owners_stay() {
    let (record, _) = first("foo", "1.5.0");
    let (transition, outcomes) =
        merge(Some(&record), &[usual("1.0.0"), usual("1.5.0"), usual("2.0.0")]);
    let (next, change) = transition.unwrap();
    assert_eq!(outcomes, [Ok(Brought::New), Ok(Brought::AlreadyHere), Ok(Brought::New)]);
    let versions: Vec<_> =
        next.releases().iter().map(|release| release.version().clone()).collect();
    assert_eq!(versions, ["1.5.0", "1.0.0", "2.0.0"].map(version));
    assert_eq!(next.releases()[0], record.releases()[0]);
    assert_eq!(next.owners(), &[alice()].into_iter().collect());
    assert_eq!(change.kind, ChangeKind::Imported(next.releases()[1..].to_vec()));
}

#[test]
fn what_is_here_and_not_in_the_source_stays() {
    let record = publish(&first("foo", "1.0.0").0, "1.1.0").0;
    assert_eq!(merge(Some(&record), &[usual("1.1.0")]), (None, vec![Ok(Brought::AlreadyHere)]));
}

#[test]
fn yanks_follow_the_source_both_ways() {
    let (record, _) = first("foo", "1.0.0");
    let (transition, outcomes) = merge(Some(&record), &[line("foo", "1.0.0", true, "")]);
    let (next, change) = transition.unwrap();
    assert_eq!(outcomes, [Ok(Brought::YankChanged)]);
    assert_eq!(next, set_yanked(&record, "1.0.0", true).0);
    assert_eq!(change.kind, ChangeKind::Imported(next.releases().to_vec()));
    let (transition, outcomes) = merge(Some(&next), &[usual("1.0.0")]);
    assert_eq!((transition.unwrap().0, outcomes), (record, vec![Ok(Brought::YankChanged)]));
}

#[test]
fn a_line_that_differs_from_the_one_here_leaves_it_as_it_is() {
    let (record, _) = first("foo", "1.0.0");
    let differs = || Err("version `1.0.0` is here with another line".to_owned());
    let other = line("foo", "1.0.0", true, r#","links":"z""#);
    assert_eq!(merge(Some(&record), &[other]), (None, vec![differs()]));
    // Build metadata aside it is that version.
    let (transition, outcomes) = merge(Some(&record), &[usual("1.0.0+other"), usual("1.1.0")]);
    assert_eq!(outcomes, [differs(), Ok(Brought::New)]);
    assert_eq!(transition.unwrap().0, {
        let size = ReleaseRecord {
            size: 100,
            ..crate::conformance::record_fixture::release("foo", "1.1.0")
        };
        crate::conformance::record_fixture::publish_release(&record, size).0
    });
}

#[test]
fn a_version_that_was_taken_out_of_the_index_does_not_come_back() {
    let (record, _) = first("foo", "1.0.0");
    let unlisted = ReleaseRecord {
        state: ReleaseState::Unlisted,
        ..ReleaseRecord::clone(&record.releases()[0])
    };
    let record = CrateRecord { releases: vec![Arc::new(unlisted)].into(), ..record };
    let out = "the version was taken out of the index here".to_owned();
    assert_eq!(merge(Some(&record), &[usual("1.0.0")]), (None, vec![Err(out)]));
}

#[test]
fn a_line_without_its_file_is_not_brought() {
    let mut source = SourceLines::new(name("foo"), None);
    source.push(usual("1.0.0"), None);
    let out = "the crate file is missing".to_owned();
    assert_eq!(merge_with(None, &source, None), (None, vec![Err(out)]));
}

#[test]
fn the_crate_says_of_itself_what_its_highest_new_version_says() {
    let newest = (version("2.0.0"), about("two"));
    let with = |here: Option<&CrateRecord>, lines: &[IndexLine]| {
        let (transition, _) = merge_with(here, &source(here, lines), Some(&newest));
        transition.map(|(record, _)| record.about().clone())
    };
    let both = [usual("1.0.0"), usual("2.0.0")];
    assert_eq!(with(None, &both), Some(about("two")));
    let (old, _) = first("foo", "1.0.0");
    assert_eq!(with(Some(&old), &both), Some(about("two")));
    // Here already, or lower than what is here.
    assert_eq!(with(Some(&publish(&old, "2.0.0").0), &both), None);
    let higher = first("foo", "3.0.0").0;
    assert_eq!(with(Some(&higher), &both), Some(About::default()));
}

#[test]
fn a_source_has_one_spelling_and_one_line_for_a_version() {
    let mut source = SourceLines::new(name("foo"), None);
    let refused =
        |source: &SourceLines, line: IndexLine| source.check(&line).unwrap_err().to_string();
    assert_eq!(refused(&source, line("bar", "1.0.0", false, "")), "the line is one of crate `bar`");
    let bad = line("f/o", "1.0.0", false, "");
    assert!(matches!(source.check(&bad), Err(LeftOut::Name(NameError::InvalidCharacter { .. }))));
    source.push(line("Foo", "1.0.0+a", false, ""), Some(1));
    let spelled = "the line spells the name `foo`, crate is named `Foo`";
    assert_eq!(refused(&source, usual("2.0.0")), spelled);
    for twice in ["1.0.0", "1.0.0+a", "1.0.0+b"] {
        let twice = line("Foo", twice, true, "");
        assert_eq!(refused(&source, twice), "version `1.0.0+a` has a line already");
    }
    source.check(&line("Foo", "1.0.0-a", false, "")).unwrap();
}

#[test]
fn a_name_that_nobody_may_take_any_more_comes_over() {
    for reserved in ["core", "driver", "con"] {
        let source = SourceLines::new(name(reserved), None);
        source.check(&line(reserved, "1.0.0", false, "")).unwrap();
    }
}

#[test]
fn the_spelling_here_is_the_one_that_counts() {
    let (record, _) = first("Foo", "1.0.0");
    let lines = SourceLines::new(name("foo"), Some(&record));
    let spelled = "the line spells the name `foo`, crate is named `Foo`".to_owned();
    assert_eq!(lines.check(&usual("2.0.0")).unwrap_err().to_string(), spelled);
    // Published here while the lines were being read.
    let lines = source(None, &[usual("2.0.0")]);
    assert_eq!(merge_with(Some(&record), &lines, None), (None, vec![Err(spelled)]));

    // With a hyphen it is another file in the index, and the same crate.
    let (record, _) = first("f-o", "1.0.0");
    let lines = SourceLines::new(name("f_o"), Some(&record));
    let spelled = "the line spells the name `f_o`, crate is named `f-o`";
    assert_eq!(lines.check(&line("f_o", "2.0.0", false, "")).unwrap_err().to_string(), spelled);
}

#[test]
fn limits_leave_out_what_is_beyond_them() {
    let versions = (0..=CrateRecord::MAX_RELEASES).map(|n| usual(&format!("0.0.{n}")));
    let (transition, mut outcomes) = merge(None, &versions.collect::<Vec<_>>());
    assert_eq!(transition.unwrap().0.releases().len(), 10_000);
    assert_eq!(outcomes.pop(), Some(Err("the crate has 10000 versions, limit 10000".into())));
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Brought::New)));

    let least = line("foo", "0.0.10", false, r#","x":"""#).as_bytes().len();
    let filled = |version: &str, bytes: usize| {
        line("foo", version, false, &format!(r#","x":"{}""#, "x".repeat(bytes - least)))
    };
    // With its line end each takes 1 MiB, and all together the limit.
    let mut lines: Vec<_> = (10..42).map(|n| filled(&format!("0.0.{n}"), (1 << 20) - 1)).collect();
    lines.push(usual("1.0.0"));
    let (transition, mut outcomes) = merge(None, &lines);
    assert_eq!(body(&transition.unwrap().0).len(), CrateRecord::MAX_INDEX_BYTES);
    let bytes = (32 << 20) + usual("1.0.0").as_bytes().len() + 1;
    let too_large = format!("the index lines of the crate would be {bytes} bytes, limit 33554432");
    assert_eq!(outcomes.pop(), Some(Err(too_large)));
    assert_eq!(outcomes, vec![Ok(Brought::New); 32]);
}
