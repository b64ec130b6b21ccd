mod model;

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::*;
use crate::{
    conformance::record_fixture::{
        PUBLISHED_AT, about, add_owner, alice, first, line, login, name, origin, owner, publish,
        publish_release, release, remove_owner, set_yanked, stamp, version,
    },
    entry::IndexLine,
    owner::Owner,
};

fn text_of(record: &CrateRecord) -> String {
    String::from_utf8(record.index_file().body.into()).unwrap()
}

fn logins(record: &CrateRecord) -> Vec<&str> {
    record.owners().iter().map(|owner| owner.login.as_str()).collect()
}

fn change(name: &CrateName, kind: ChangeKind) -> Change {
    Change { name: name.clone(), kind, stamp: stamp() }
}

#[test]
fn a_first_publish_makes_its_publisher_the_owner() {
    let (record, made) = CrateRecord::first(
        name("Foo-Bar"),
        alice(),
        about("finds bars"),
        release("Foo-Bar", "1.0.0"),
        origin(),
    );
    assert_eq!(record.name(), &name("Foo-Bar"));
    assert_eq!(record.owners(), &Owners::from_iter([alice()]));
    assert_eq!(record.about(), &about("finds bars"));
    assert_eq!(record.releases(), [Arc::new(release("Foo-Bar", "1.0.0"))]);
    let published = ChangeKind::Published(Arc::new(release("Foo-Bar", "1.0.0")));
    assert_eq!(made, change(&name("Foo-Bar"), published));
}

#[test]
fn the_index_file_is_the_listed_lines_in_the_order_of_publishing() {
    const CHECKSUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let with = |version: &str, yanked: &str, state| {
        let text = format!(r#"{{"name":"foo","vers":"{version}","cksum":"{CHECKSUM}"{yanked}}}"#);
        let line = IndexLine::parse(Bytes::from(text)).unwrap();
        Arc::new(ReleaseRecord { line, state, ..release("foo", version) })
    };
    let releases = vec![
        with("2.0.0", "", ReleaseState::Published),
        with("0.1.0", r#", "yanked" : true"#, ReleaseState::Yanked),
        with("0.2.0", "", ReleaseState::Unlisted),
        with("0.3.0", "", ReleaseState::Archived),
        with("0.4.0", "", ReleaseState::Disposed),
        with("0.5.0", "", ReleaseState::Deleted),
        with("1.0.0+b", r#","yanked":null"#, ReleaseState::Published),
    ];
    let owners = Owners::from_iter([alice()]);
    let record = CrateRecord::from_parts(name("foo"), owners, About::default(), releases).unwrap();
    let body = format!(
        r#"{{"name":"foo","vers":"2.0.0","cksum":"{CHECKSUM}"}}
{{"name":"foo","vers":"0.1.0","cksum":"{CHECKSUM}", "yanked" : true}}
{{"name":"foo","vers":"1.0.0+b","cksum":"{CHECKSUM}","yanked":null}}
"#
    );
    let etag = ETag::of(body.as_bytes());
    let expected = IndexFile { name: name("foo"), etag, body: Bytes::from(body) };
    assert_eq!(record.index_file(), expected);
}

#[test]
fn the_validator_is_that_of_the_lines_also_when_it_was_asked_for_before() {
    // The steps from one state to the next, with and without having asked for that of the earlier.
    for asked in 0..1 << 5 {
        let mut records = vec![first("foo", "0.1.0").0];
        let steps: [fn(&CrateRecord) -> Transition; 5] = [
            |record| publish(record, "0.2.0"),
            |record| add_owner(record, owner(2, "bob")),
            |record| publish(record, "0.3.0+build"),
            |record| set_yanked(record, "0.2.0", true),
            |record| publish(record, "0.4.0"),
        ];
        for (number, step) in steps.into_iter().enumerate() {
            let record = records.last().unwrap();
            if asked & 1 << number != 0 {
                record.etag();
            }
            let next = step(record).0;
            records.push(next);
        }
        for record in records {
            let file = record.index_file();
            assert_eq!((record.etag(), file.etag), (ETag::of(&file.body), ETag::of(&file.body)));
        }
    }
}

#[test]
fn a_publish_adds_a_line_at_the_end_and_leaves_the_rest() {
    let (before, _) = first("foo", "1.0.0");
    let by_bob = ReleaseRecord {
        published_by: login("bob"),
        published_at: Timestamp(7),
        ..release("foo", "0.9.0")
    };
    let (after, made) =
        before.publish(&name("foo"), About::default(), by_bob.clone(), Origin::default()).unwrap();
    assert_eq!(after.releases(), [Arc::new(release("foo", "1.0.0")), Arc::new(by_bob.clone())]);
    assert_eq!(after.owners(), before.owners());
    let stamp = Stamp { by: login("bob"), at: Timestamp(7), origin: Origin::default() };
    let kind = ChangeKind::Published(Arc::new(by_bob));
    assert_eq!(made, Change { name: name("foo"), kind, stamp });
}

#[test]
fn the_highest_version_says_what_the_crate_is() {
    for (there, next, is_taken) in [
        (["0.1.0", "1.0.0"], "1.0.1", true),
        (["0.1.0", "1.0.0"], "0.9.0", false),
        (["1.0.0", "0.1.0"], "0.9.0", false),
        (["0.1.0", "1.0.0"], "1.0.0-rc.1", false),
        (["0.1.0", "0.9.0"], "0.10.0", true),
        (["0.1.0", "1.0.0"], "2.0.0-rc.1", true),
        (["0.1.0", "2.0.0-rc.1"], "1.0.0", false),
    ] {
        let (record, _) = publish(&first("foo", there[0]).0, there[1]);
        let (after, _) = record
            .publish(&name("foo"), about("new"), release("foo", next), Origin::default())
            .unwrap();
        let expected = if is_taken { about("new") } else { About::default() };
        assert_eq!(after.about(), &expected, "{next} after {there:?}");
    }
}

#[test]
fn a_version_once_taken_stays_taken() {
    for state in [
        ReleaseState::Published,
        ReleaseState::Yanked,
        ReleaseState::Unlisted,
        ReleaseState::Archived,
        ReleaseState::Disposed,
        ReleaseState::Deleted,
    ] {
        let line = line("foo", "1.0.0-rc.1+one", state == ReleaseState::Yanked, "");
        let taken = ReleaseRecord { line, state, ..release("foo", "1.0.0-rc.1+one") };
        let (record, _) = publish_release(&first("foo", "0.1.0").0, taken);
        for again in ["1.0.0-rc.1+one", "1.0.0-rc.1+two", "1.0.0-rc.1"] {
            let refusal = record
                .publish(&name("foo"), About::default(), release("foo", again), Origin::default())
                .unwrap_err();
            assert_eq!(refusal, Refusal::VersionTaken { version: version(again) });
            assert_eq!(refusal.to_string(), "crate version `1.0.0-rc.1` is already uploaded");
        }
        publish(&record, "1.0.0-rc.2");
    }
}

#[test]
fn a_name_has_one_spelling() {
    let (record, _) = first("Foo-Bar", "1.0.0");
    for other in ["foo-bar", "Foo_Bar", "FOO-BAR"] {
        let refusal = record
            .publish(&name(other), About::default(), release(other, "1.1.0"), Origin::default())
            .unwrap_err();
        assert_eq!(refusal, Refusal::NameTaken { existing: name("Foo-Bar") });
        assert_eq!(refusal.to_string(), "crate was previously named `Foo-Bar`");
        // What it is called comes first: the version may be free under the right name.
        let taken = record.may_publish(&name(other), &version("1.0.0")).unwrap_err();
        assert_eq!(taken, refusal);
    }
}

#[test]
fn a_crate_has_at_most_10_000_versions() {
    let with = |count: u64| {
        let releases =
            (0..count).map(|i| Arc::new(release("foo", &format!("0.{i}.0")))).collect::<Vec<_>>();
        let owners = Owners::from_iter([alice()]);
        CrateRecord::from_parts(name("foo"), owners, About::default(), releases).unwrap()
    };
    let (full, _) = publish(&with(9_999), "1.0.0");
    assert_eq!(full.releases().len(), 10_000);
    let refusal = full.may_publish(&name("foo"), &version("2.0.0")).unwrap_err();
    assert_eq!(refusal, Refusal::TooManyReleases { name: name("foo") });
    assert_eq!(refusal.to_string(), "crate `foo` has 10000 versions, limit 10000");
    let taken = full.may_publish(&name("foo"), &version("1.0.0")).unwrap_err();
    assert_eq!(taken, Refusal::VersionTaken { version: version("1.0.0") });
}

#[test]
fn the_index_lines_of_a_crate_have_at_most_32_mib() {
    let of_length = |version: &str, length: usize| {
        let least = line("foo", version, false, r#","links":"""#).as_bytes().len();
        let links = format!(r#","links":"{}""#, "x".repeat(length - least));
        ReleaseRecord { line: line("foo", version, false, &links), ..release("foo", version) }
    };
    let mib = 1 << 20;
    // With its line end, each line takes a MiB.
    let releases = (0..31).map(|i| Arc::new(of_length(&format!("0.{i}.0"), mib - 1)));
    let owners = Owners::from_iter([alice()]);
    let record =
        CrateRecord::from_parts(name("foo"), owners, About::default(), releases.collect()).unwrap();
    let publish = |length| {
        let release = of_length("1.0.0", length);
        record.publish(&name("foo"), About::default(), release, Origin::default())
    };
    let (full, _) = publish(mib - 1).unwrap();
    assert_eq!(full.index_file().body.len(), 32 * mib);
    let refusal = publish(mib).unwrap_err();
    assert_eq!(refusal, Refusal::IndexTooLarge { name: name("foo"), bytes: 32 * mib + 1 });
    assert_eq!(
        refusal.to_string(),
        "the index lines of crate `foo` would be 33554433 bytes, limit 33554432"
    );
}

#[test]
fn a_yank_changes_one_line_and_the_next_takes_it_back() {
    let before = publish(&publish(&first("foo", "1.0.0").0, "1.1.0+b").0, "1.2.0").0;
    let (yanked, made) = before.set_yanked(&version("1.1.0+b"), true, stamp()).unwrap().unwrap();
    let line = line("foo", "1.1.0+b", true, "");
    let release =
        Arc::new(ReleaseRecord { line, state: ReleaseState::Yanked, ..release("foo", "1.1.0+b") });
    assert_eq!(
        yanked.releases(),
        [before.releases()[0].clone(), release.clone(), before.releases()[2].clone()]
    );
    assert_eq!(made, change(&name("foo"), ChangeKind::YankedSet(release)));

    let (undone, made) = set_yanked(&yanked, "1.1.0+b", false);
    assert_eq!(undone, before);
    let kind = ChangeKind::YankedSet(before.releases()[1].clone());
    assert_eq!(made, change(&name("foo"), kind));
}

#[test]
fn what_is_so_already_is_no_change() {
    let (record, _) = first("foo", "1.0.0");
    assert_eq!(record.set_yanked(&version("1.0.0"), false, stamp()), Ok(None));
    let (record, _) = set_yanked(&record, "1.0.0", true);
    assert_eq!(record.set_yanked(&version("1.0.0"), true, stamp()), Ok(None));
    assert_eq!(record.add_owners(&[alice(), alice()], stamp()), Ok(None));
    assert_eq!(record.add_owners(&[], stamp()), Ok(None));
    assert_eq!(record.remove_owners(&[], stamp()), Ok(None));
    // The login says who it is.
    assert_eq!(record.add_owners(&[owner(99, "alice")], stamp()), Ok(None));
}

#[test]
fn only_a_listed_version_is_yanked() {
    let mut record = first("foo", "1.0.0+b").0;
    for (patch, state) in [
        ReleaseState::Unlisted,
        ReleaseState::Archived,
        ReleaseState::Disposed,
        ReleaseState::Deleted,
    ]
    .into_iter()
    .enumerate()
    {
        let release = ReleaseRecord { state, ..release("foo", &format!("2.0.{patch}")) };
        record = publish_release(&record, release).0;
    }
    for unknown in ["1.0.0", "1.0.0+c", "1.0.1", "2.0.0", "2.0.1", "2.0.2", "2.0.3"] {
        for yanked in [true, false] {
            let refusal = record.set_yanked(&version(unknown), yanked, stamp()).unwrap_err();
            let expected = Refusal::UnknownVersion { name: name("foo"), version: version(unknown) };
            assert_eq!(refusal, expected);
            let text = format!("crate `foo` does not have a version `{unknown}`");
            assert_eq!(refusal.to_string(), text);
        }
    }
}

#[test]
fn owners_are_added_at_the_end_and_once() {
    let (record, _) = first("foo", "1.0.0");
    // The login says who it is, and not the number.
    let wish = [owner(2, "bob"), alice(), owner(9, "bob"), owner(2, "Alice")];
    let (after, made) = record.add_owners(&wish, stamp()).unwrap().unwrap();
    assert_eq!(logins(&after), ["alice", "bob", "Alice"]);
    assert_eq!(after.owners().iter().next(), Some(&alice()));
    let added = vec![owner(2, "bob"), owner(2, "Alice")];
    assert_eq!(made, change(&name("foo"), ChangeKind::OwnersAdded(added)));
    assert_eq!(after.releases(), record.releases());
}

#[test]
fn a_crate_has_at_most_100_owners() {
    let others: Vec<Owner> = (2..=101).map(|id| owner(id, &format!("user{id}"))).collect();
    let (record, _) = first("foo", "1.0.0");
    let (full, _) = record.add_owners(&others[..99], stamp()).unwrap().unwrap();
    assert_eq!(full.owners().len(), 100);
    for (record, wish) in [(&record, &others[..]), (&full, &others[99..])] {
        let refusal = record.add_owners(wish, stamp()).unwrap_err();
        assert_eq!(refusal, Refusal::TooManyOwners { name: name("foo") });
        assert_eq!(refusal.to_string(), "crate `foo` would have too many owners, limit 100");
    }
    assert_eq!(full.add_owners(&others[..99], stamp()), Ok(None));
}

#[test]
fn owners_are_removed_and_the_others_keep_their_order() {
    let record = add_owner(&first("foo", "1.0.0").0, owner(2, "bob")).0;
    let record = add_owner(&record, owner(3, "carol")).0;
    let wish = [login("carol"), login("alice"), login("carol")];
    let (after, made) = record.remove_owners(&wish, stamp()).unwrap().unwrap();
    assert_eq!(logins(&after), ["bob"]);
    // In the order in which they were owners.
    let removed = vec![alice(), owner(3, "carol")];
    assert_eq!(made, change(&name("foo"), ChangeKind::OwnersRemoved(removed)));
    let (back, _) = add_owner(&after, alice());
    assert_eq!(logins(&back), ["bob", "alice"]);
}

#[test]
fn a_user_always_owns_a_crate_beside_its_groups() {
    let group = owner(7, "group:ui");
    let record = add_owner(&first("foo", "1.0.0").0, group.clone()).0;
    let alone = [&[login("alice")][..], &[login("group:ui"), login("alice")]];
    for removed in alone {
        assert_eq!(record.remove_owners(removed, stamp()), Err(Refusal::LastOwner));
    }
    let (without, made) = record.remove_owners(&[login("group:ui")], stamp()).unwrap().unwrap();
    assert_eq!(logins(&without), ["alice"]);
    assert_eq!(made, change(&name("foo"), ChangeKind::OwnersRemoved(vec![group])));
    let record = add_owner(&record, owner(2, "bob")).0;
    let (left, _) = record.remove_owners(&[login("alice")], stamp()).unwrap().unwrap();
    assert_eq!(logins(&left), ["group:ui", "bob"]);
}

#[test]
fn somebody_always_owns_a_crate() {
    let record = add_owner(&first("foo", "1.0.0").0, owner(2, "bob")).0;
    let refusal = record.remove_owners(&[login("bob"), login("alice")], stamp()).unwrap_err();
    assert_eq!(refusal, Refusal::LastOwner);
    assert_eq!(refusal.to_string(), "cannot remove all individual owners of a crate");
    let (record, _) = remove_owner(&record, &login("alice"));
    assert_eq!(record.remove_owners(&[login("bob")], stamp()), Err(Refusal::LastOwner));

    let refusal = record.remove_owners(&[login("bob"), login("Bob")], stamp()).unwrap_err();
    assert_eq!(refusal, Refusal::NotAnOwner { login: login("Bob") });
    assert_eq!(refusal.to_string(), "could not find owner with login `Bob`");
}

#[test]
fn parts_that_contradict_each_other_make_no_record() {
    let owners = || Owners::from_iter([alice()]);
    let from = |owners, releases: Vec<ReleaseRecord>| {
        let releases = releases.into_iter().map(Arc::new).collect();
        CrateRecord::from_parts(name("foo"), owners, About::default(), releases).unwrap_err()
    };
    let state = |state, yanked| {
        vec![ReleaseRecord {
            line: line("foo", "1.0.0", yanked, ""),
            state,
            ..release("foo", "1.0.0")
        }]
    };
    for (error, variant, text) in [
        (
            from(owners(), vec![release("foo", "0.1.0"), release("Foo", "1.0.0")]),
            RecordError::OtherName { version: version("1.0.0") },
            "the line of version `1.0.0` names another crate",
        ),
        (
            from(owners(), vec![release("foo", "1.0.0+a"), release("foo", "1.0.0+b")]),
            RecordError::TwoLines { version: version("1.0.0+b") },
            "version `1.0.0+b` is listed twice",
        ),
        (
            from(owners(), state(ReleaseState::Published, true)),
            RecordError::YankedDiffers { version: version("1.0.0") },
            "the line of version `1.0.0` does not show whether it is yanked",
        ),
        (
            from(owners(), state(ReleaseState::Yanked, false)),
            RecordError::YankedDiffers { version: version("1.0.0") },
            "the line of version `1.0.0` does not show whether it is yanked",
        ),
        (
            from(Owners::default(), vec![release("foo", "1.0.0")]),
            RecordError::NoOwner,
            "the crate has no owner",
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!(error, variant);
    }
}

#[test]
fn the_highest_version_shown_is_published() {
    let mut record = first("foo", "1.0.0").0;
    assert_eq!(record.max_version(), Some(&version("1.0.0")));
    for (next, highest) in [("0.9.0", "1.0.0"), ("1.10.0", "1.10.0"), ("1.9.0", "1.10.0")] {
        record = publish(&record, next).0;
        assert_eq!(record.max_version(), Some(&version(highest)), "after {next}");
    }
    for state in [ReleaseState::Unlisted, ReleaseState::Archived, ReleaseState::Deleted] {
        let version = format!("{}.0.0", record.releases().len());
        let hidden = ReleaseRecord { state, ..release("foo", &version) };
        record = publish_release(&record, hidden).0;
    }
    for (yanked, highest) in [
        ("1.10.0", Some("1.9.0")),
        ("0.9.0", Some("1.9.0")),
        ("1.9.0", Some("1.0.0")),
        ("1.0.0", None),
    ] {
        record = set_yanked(&record, yanked, true).0;
        assert_eq!(record.max_version(), highest.map(version).as_ref(), "without {yanked}");
    }
    assert!(!text_of(&record).is_empty());
}

#[test]
fn a_state_shows_the_changes_that_are_part_of_it() {
    let (one, first_made) = first("foo", "1.0.0");
    let (two, published) = publish(&one, "1.1.0");
    let (three, yanked) = set_yanked(&two, "1.1.0", true);
    let (four, added) = add_owner(&three, owner(2, "bob"));
    let (five, removed) = remove_owner(&four, &login("bob"));
    for (change, shown) in [
        (&first_made, [true, true, true, true, true]),
        (&published, [false, true, true, true, true]),
        (&yanked, [false, false, true, true, true]),
        (&added, [false, false, false, true, false]),
        (&removed, [true, true, true, false, true]),
    ] {
        let states = [&one, &two, &three, &four, &five];
        assert_eq!(states.map(|state| state.shows(change)), shown, "{:?}", change.kind);
    }
    let (_, of_another) = one
        .publish(
            &name("foo"),
            about(""),
            ReleaseRecord { published_by: login("bob"), ..release("foo", "1.1.0") },
            Origin::default(),
        )
        .unwrap();
    assert!(!two.shows(&of_another));
}

#[test]
fn each_state_says_where_a_release_is() {
    for (state, is_listed, is_downloadable) in [
        (ReleaseState::Published, true, true),
        (ReleaseState::Yanked, true, true),
        (ReleaseState::Unlisted, false, true),
        (ReleaseState::Archived, false, false),
        (ReleaseState::Disposed, false, false),
        (ReleaseState::Deleted, false, false),
    ] {
        assert_eq!((state.is_listed(), state.is_downloadable()), (is_listed, is_downloadable));
    }
}

#[test]
fn a_time_is_whole_seconds_since_the_epoch() {
    let epoch = SystemTime::UNIX_EPOCH;
    for (time, seconds) in [
        (epoch, 0),
        (epoch + Duration::from_millis(1_999), 1),
        (epoch - Duration::from_secs(5), 0),
        (epoch + Duration::from_secs(PUBLISHED_AT.0), 1_709_208_000),
    ] {
        assert_eq!(Timestamp::from(time), Timestamp(seconds));
    }
}
