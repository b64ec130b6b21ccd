use super::*;
use crate::{
    conformance::record_fixture::{add_owner, first, login, owner, publish, set_yanked, stamp},
    record::Change,
};

fn grown() -> CrateRecord {
    let (record, _) = first("foo", "1.0.0");
    publish(&record, "1.1.0").0
}

#[test]
fn a_record_brought_over_names_all_its_releases() {
    let record = grown();
    let (next, change) = record.clone().imported(stamp());
    assert_eq!(next, record);
    let kind = ChangeKind::Imported(record.releases().to_vec());
    assert_eq!(change, Change { name: record.name().clone(), kind, stamp: stamp() });
    assert!(next.shows(&change));
}

#[test]
fn following_names_what_differs_and_nothing_else() {
    let old = grown();
    assert_eq!(old.follow(&old, stamp()), Ok(None));

    let (source, _) = publish(&set_yanked(&old, "1.0.0", true).0, "1.2.0");
    let (next, change) = old.follow(&source, stamp()).unwrap().unwrap();
    assert_eq!(next, source);
    let differing = vec![source.releases()[0].clone(), source.releases()[2].clone()];
    assert_eq!(change.kind, ChangeKind::Imported(differing));
    assert!(source.shows(&change));
    assert!(!old.shows(&change));

    let (source, _) = add_owner(&old, owner(2, "bob"));
    let (next, change) = old.follow(&source, stamp()).unwrap().unwrap();
    assert!(next.owners().contains(&login("bob")));
    assert_eq!(change.kind, ChangeKind::Imported(vec![]));
}

#[test]
fn following_takes_nothing_away() {
    let (short, _) = first("foo", "1.0.0");
    let long = publish(&short, "1.1.0").0;
    let diverged = |record: &CrateRecord, version: &str| {
        let version = version.parse().unwrap();
        Err(Refusal::Diverged { name: record.name().clone(), version })
    };
    assert_eq!(long.follow(&short, stamp()), diverged(&long, "1.1.0"));
    let other = publish(&short, "1.2.0").0;
    assert_eq!(long.follow(&other, stamp()), diverged(&long, "1.1.0"));
    let spelled = first("Foo", "1.0.0").0;
    let existing = short.name().clone();
    assert_eq!(short.follow(&spelled, stamp()), Err(Refusal::NameTaken { existing }));
}

#[test]
fn a_line_that_says_nothing_of_yanks_may_be_yanked_and_back() {
    let (record, _) = first("foo", "1.0.0");
    let text = String::from_utf8(record.releases()[0].line.as_bytes().to_vec()).unwrap();
    let silent = text.replace(",\"yanked\":false", "");
    assert_ne!(silent, text);
    let release = ReleaseRecord {
        line: crate::IndexLine::parse(silent.into()).unwrap(),
        ..ReleaseRecord::clone(&record.releases()[0])
    };
    let record = CrateRecord::from_parts(
        record.name().clone(),
        record.owners().clone(),
        record.about().clone(),
        vec![Arc::new(release)],
    )
    .unwrap();
    let yanked = set_yanked(&record, "1.0.0", true).0;
    let back = set_yanked(&yanked, "1.0.0", false).0;
    for (old, source) in [(&record, &yanked), (&yanked, &back), (&record, &back)] {
        assert_eq!(old.follow(source, stamp()).unwrap().unwrap().0, *source);
    }
}
