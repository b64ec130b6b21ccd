use super::{Tracked, assert_absent};
use crate::{
    conformance::{
        Bench,
        record_fixture::{
            about, add_owner, alice, canonical, first, line, login, name, owner, publish,
            publish_release, release, remove_owner, set_yanked, stamp,
        },
    },
    entry::IndexLine,
    index::Index,
    owner::{Login, Owner, Owners},
    record::{About, CrateRecord, Origin, ReleaseRecord, ReleaseState, Stamp, Timestamp},
};

pub async fn every_change_comes_back_whole(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("Foo-Bar", "0.1.0")).await;
    let everything = About {
        description: Some("finds bars".into()),
        keywords: vec!["bar".into(), "Foo".into(), "bar".into()],
        homepage: Some("https://example.com".into()),
        documentation: Some("https://example.com/doc".into()),
        repository: Some("https://example.com/repository".into()),
    };
    let by_bob = ReleaseRecord {
        size: 9,
        published_at: Timestamp(1_800_000_000),
        published_by: login("bob"),
        ..release("Foo-Bar", "1.0.0-rc.1+build.5")
    };
    let publish_as = |record: &CrateRecord, about, release| {
        record.publish(record.name(), about, release, Origin::default())
    };
    tracked.commit(publish_as(&tracked.record, everything, by_bob).unwrap()).await;
    // A lower version leaves what the crate says of itself, a higher one takes it away.
    let lower = release("Foo-Bar", "0.1.1");
    tracked.commit(publish_as(&tracked.record, about("of old"), lower).unwrap()).await;
    let higher = release("Foo-Bar", "1.0.0");
    tracked.commit(publish_as(&tracked.record, About::default(), higher).unwrap()).await;

    tracked.commit(set_yanked(&tracked.record, "0.1.1", true)).await;
    tracked.commit(set_yanked(&tracked.record, "1.0.0-rc.1+build.5", true)).await;
    tracked.commit(set_yanked(&tracked.record, "0.1.1", false)).await;

    let team = Owner { name: Some("The Crew".into()), ..owner(u32::MAX, "github:org:crew") };
    let added = [owner(3, "carol"), team, owner(2, "bob")];
    tracked.commit(tracked.record.add_owners(&added, stamp()).unwrap().unwrap()).await;
    tracked.commit(remove_owner(&tracked.record, &alice().login)).await;
    tracked.commit(remove_owner(&tracked.record, &login("carol"))).await;
    tracked.commit(add_owner(&tracked.record, alice())).await;
    let stamp = Stamp { by: login("bob"), at: Timestamp(0), origin: Origin::default() };
    let leaving = [login("bob"), login("github:org:crew")];
    tracked.commit(tracked.record.remove_owners(&leaving, stamp).unwrap().unwrap()).await;
    tracked.commit(publish(&tracked.record, "2.0.0")).await;
}

pub async fn every_state_comes_back_whole(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked: Option<Tracked> = None;
    // The first of them is not listed: the crate is there, its index file is empty.
    for (patch, state) in [
        ReleaseState::Unlisted,
        ReleaseState::Published,
        ReleaseState::Yanked,
        ReleaseState::Archived,
        ReleaseState::Disposed,
        ReleaseState::Deleted,
    ]
    .into_iter()
    .enumerate()
    {
        let version = format!("1.0.{patch}");
        let line = line("foo", &version, state == ReleaseState::Yanked, "");
        let release = ReleaseRecord { line, state, ..release("foo", &version) };
        match &mut tracked {
            Some(tracked) => tracked.commit(publish_release(&tracked.record, release)).await,
            none => {
                let about = About::default();
                let step =
                    CrateRecord::first(name("foo"), alice(), about, release, Origin::default());
                *none = Some(Tracked::create(&index, step).await);
            }
        }
    }
}

pub async fn unusual_texts_come_back_verbatim(bench: Bench<dyn Index>) {
    const TEXTS: [&str; 9] = [
        "",
        " ",
        "Größe e\u{301} 大きさ 🦀👩‍🚀 \u{10ffff}",
        "\u{202e}right to left\u{feff}",
        "'; DROP TABLE crates; -- \"'`$1?%_\\",
        "tab\tline\nreturn\rdelete\u{7f}\u{2028}\u{85}",
        "{\"yanked\":true}",
        "null",
        "trailing ",
    ];
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("foo", "0.0.0")).await;
    for (minor, text) in (1..).zip(TEXTS) {
        let about = About {
            description: Some(text.into()),
            keywords: vec![text.into(), String::new()],
            homepage: Some(text.into()),
            documentation: None,
            repository: Some(text.into()),
        };
        let version = format!("0.{minor}.0");
        let step = tracked.record.publish(
            tracked.record.name(),
            about,
            release("foo", &version),
            Origin::default(),
        );
        tracked.commit(step.unwrap()).await;
        let someone = Owner { name: Some(text.into()), ..owner(minor + 1, &format!("u{minor}")) };
        tracked.commit(add_owner(&tracked.record, someone)).await;
        tracked.commit(set_yanked(&tracked.record, &version, true)).await;
    }
    // Members nobody knows, and spellings of JSON that no writer of ours would choose.
    for (minor, more) in (100..).zip([
        r#", "unknown" : [ 1.0, 1e400, -0.0, 123456789012345678901234567890 ] "#,
        r#","escaped":"\u0000\ud83e\udd80\/\"","plain":"🦀/'""#,
        r#","nested":{"yanked":true,"yanked":false,"name":"bar"},"links":null"#,
        r#","pubtime":"not a time","v":99"#,
    ]) {
        let version = format!("0.{minor}.0");
        let line = line("foo", &version, false, more);
        let release = ReleaseRecord { line, ..release("foo", &version) };
        tracked.commit(publish_release(&tracked.record, release)).await;
        tracked.commit(set_yanked(&tracked.record, &version, true)).await;
        tracked.commit(set_yanked(&tracked.record, &version, false)).await;
    }
}

pub async fn values_at_their_limits_come_back_whole(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let first_ever = ReleaseRecord {
        size: 0,
        published_at: Timestamp(0),
        published_by: login(&"p".repeat(Login::MAX_CHARS)),
        ..release("foo", "0.0.0")
    };
    let owner_of = |id: u32| owner(id, &format!("{id:a>width$}", width = Login::MAX_CHARS));
    let step = CrateRecord::first(
        name("foo"),
        owner_of(0),
        About::default(),
        first_ever,
        Origin::default(),
    );
    let mut tracked = Tracked::create(&index, step).await;

    let others: Vec<Owner> = (1..Owners::MAX).map(|i| owner_of(u32::MAX - i as u32)).collect();
    tracked.commit(tracked.record.add_owners(&others, stamp()).unwrap().unwrap()).await;
    assert_eq!(tracked.record.owners().len(), Owners::MAX);

    let longest_version =
        format!("{max}.{max}.{max}-{tail}", max = u64::MAX, tail = "z".repeat(87));
    assert_eq!(longest_version.len(), crate::version::MAX_VERSION_CHARS);
    let bytes = |more: &str| line("foo", &longest_version, false, more).as_bytes().len();
    let filler = "x".repeat(IndexLine::MAX_BYTES - bytes(r#","x":"""#));
    let longest = ReleaseRecord {
        line: line("foo", &longest_version, false, &format!(r#","x":"{filler}""#)),
        // Far above 32 bits, and within what databases call a large integer.
        size: 1 << 40,
        published_at: Timestamp(253_402_300_799),
        ..release("foo", &longest_version)
    };
    assert_eq!(longest.line.as_bytes().len(), IndexLine::MAX_BYTES);
    tracked.commit(publish_release(&tracked.record, longest)).await;
    tracked.commit(set_yanked(&tracked.record, "0.0.0", true)).await;
}

pub async fn names_at_their_limits_are_kept(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let (longest, long) = ("a-B_".repeat(16), "a-B_".repeat(16)[..63].to_owned());
    let mut crates = Vec::new();
    // `con` and its like name no file on Windows; the others are path pieces and endings that a
    // layout may have a use of its own for.
    for name in [
        "a",
        "Z",
        "ab",
        "abc",
        "x-",
        "con",
        "NUL",
        "com1",
        "aux",
        "config-json",
        "index",
        "tmp",
        "lock",
        "json",
        "AbCdEf",
        "abc-d",
        "abcde",
        &long,
        &longest,
    ] {
        crates.push(Tracked::create(&index, first(name, "1.0.0")).await);
    }
    for mut each in crates {
        each.assert_stored().await;
        let step = publish(&each.record, "1.0.1");
        each.commit(step).await;
    }
    assert_absent(&*index, &canonical("abcd")).await;
}

/// By commits of one version each: enough of them to cross the pages and buffers of a backend, and
/// few enough for one that waits for a disk at each.
pub async fn many_versions_keep_their_order(bench: Bench<dyn Index>) {
    const VERSIONS: u64 = 300;
    let index = bench.open().await;
    let (mut record, change) = first("foo", "0.0.0");
    let mut revision = index.commit(None, &change, &record).await.unwrap();
    for i in 1..VERSIONS {
        // Neither ascending nor descending, so that an order by version would show.
        let (next, change) = publish(&record, &format!("{}.{i}.0", i * 7 % 10));
        revision = index.commit(Some(&revision), &change, &next).await.unwrap();
        record = next;
    }
    let mut tracked = Tracked { index, record, revision };
    tracked.assert_stored().await;
    tracked.commit(set_yanked(&tracked.record, "0.0.0", true)).await;
    tracked.commit(set_yanked(&tracked.record, "3.299.0", true)).await;
    assert_eq!(tracked.record.releases().len(), 300);
}
