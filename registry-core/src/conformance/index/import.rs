use std::sync::Arc;

use super::Tracked;
use crate::{
    conformance::{
        Bench,
        record_fixture::{
            about, add_owner, alice, first, line, login, name, owner, publish, release, set_yanked,
            stamp,
        },
    },
    index::Index,
    owner::Owner,
    record::{About, CrateRecord, ReleaseRecord, ReleaseState, Timestamp},
};

fn record(owners: &[Owner], about: About, releases: Vec<ReleaseRecord>) -> CrateRecord {
    let releases = releases.into_iter().map(Arc::new).collect();
    CrateRecord::from_parts(name("Foo"), owners.iter().cloned().collect(), about, releases).unwrap()
}

fn release_in(state: ReleaseState, version: &str) -> ReleaseRecord {
    let line = line("Foo", version, state == ReleaseState::Yanked, r#","links":"foo""#);
    ReleaseRecord { line, state, ..release("Foo", version) }
}

/// Once as the first of its crate, then as what became of it since, all at once.
pub async fn an_import_comes_back_whole(bench: Bench<dyn Index>) {
    use ReleaseState::{Archived, Deleted, Disposed, Published, Unlisted, Yanked};

    let index = bench.open().await;
    let other = Tracked::create(&index, first("other", "1.0.0")).await;
    let (bob, carol) = (owner(2, "bob"), owner(3, "carol"));
    let by_carol = ReleaseRecord {
        size: 7,
        published_at: Timestamp(1_600_000_000),
        published_by: carol.login.clone(),
        ..release_in(Published, "0.9.0+build.1")
    };
    let mut releases = vec![
        // Not in the order of versions, nor in that of publishing.
        release_in(Published, "2.0.0"),
        release_in(Yanked, "1.0.0"),
        by_carol,
        release_in(Unlisted, "1.0.1"),
        release_in(Archived, "1.0.2"),
        release_in(Disposed, "1.0.3"),
        release_in(Deleted, "1.0.4"),
        release_in(Published, "1.0.5-rc.1"),
    ];
    let source = record(&[carol.clone(), alice()], about("of old"), releases.clone());
    let mut tracked = Tracked::create(&index, source.imported(stamp())).await;

    // Lines are yanked and come back, states change, releases are added in the middle of the order
    // of versions, the owners and what the crate says of itself are others.
    releases[0] = release_in(Yanked, "2.0.0");
    releases[1] = release_in(Published, "1.0.0");
    releases[3] = release_in(Published, "1.0.1");
    releases[7] = release_in(Archived, "1.0.5-rc.1");
    releases.push(release_in(Published, "1.5.0"));
    releases.push(release_in(Yanked, "0.1.0"));
    releases.push(release_in(Unlisted, "3.0.0"));
    let keywords = About { keywords: vec!["foo".into()], ..About::default() };
    let source = record(&[bob.clone(), carol.clone()], keywords.clone(), releases.clone());
    let step = tracked.record.follow(&source, stamp()).unwrap().unwrap();
    tracked.commit(step).await;

    // No release differs, only the owners and the text do.
    let source = record(&[owner(9, "dave")], about("of late"), releases);
    let step = tracked.record.follow(&source, stamp()).unwrap().unwrap();
    tracked.commit(step).await;

    // What was brought over is changed like anything else.
    tracked.commit(publish(&tracked.record, "3.0.1")).await;
    tracked.commit(set_yanked(&tracked.record, "0.9.0+build.1", true)).await;
    tracked.commit(set_yanked(&tracked.record, "2.0.0", false)).await;
    tracked.commit(set_yanked(&tracked.record, "3.0.1", true)).await;
    tracked.commit(add_owner(&tracked.record, bob)).await;
    tracked.commit(set_yanked(&tracked.record, "3.0.1", false)).await;
    assert_eq!(tracked.record.releases().len(), 12);
    assert!(tracked.record.owners().contains(&login("dave")));
    other.assert_stored().await;
}

/// The bulk in one step, so that it takes seconds where each commit waits for a disk far away.
pub async fn five_thousand_versions_come_back_whole(bench: Bench<dyn Index>) {
    const IMPORTED: u64 = 4997;
    let index = bench.open().await;
    let releases = (0..IMPORTED).map(|i| {
        // Neither ascending nor descending; each hundredth yanked.
        let state = if i % 100 == 99 { ReleaseState::Yanked } else { ReleaseState::Published };
        let published_at = Timestamp(1_600_000_000 + i);
        ReleaseRecord { published_at, ..release_in(state, &format!("{}.{i}.0", i * 7 % 10)) }
    });
    let source = record(&[alice()], About::default(), releases.collect());
    let mut tracked = Tracked::create(&index, source.imported(stamp())).await;
    // At both ends and in the middle, of what was brought over and of what came after.
    tracked.commit(publish(&tracked.record, "0.0.0-first")).await;
    tracked.commit(publish(&tracked.record, "10.0.0")).await;
    tracked.commit(set_yanked(&tracked.record, "0.0.0", true)).await;
    tracked.commit(set_yanked(&tracked.record, "3.2499.0", false)).await;
    tracked.commit(publish(&tracked.record, "5.4999.1")).await;
    tracked.commit(set_yanked(&tracked.record, "5.4999.1", true)).await;
    tracked.commit(set_yanked(&tracked.record, "2.4996.0", true)).await;
    assert_eq!(tracked.record.releases().len(), 5000);
}
