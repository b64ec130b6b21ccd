use super::{Tracked, assert_absent};
use crate::{
    conformance::{
        Bench,
        record_fixture::{
            add_owner, canonical, first, login, owner, publish, publish_release, release,
            remove_owner, set_yanked,
        },
    },
    index::{ETag, Index, Lookup},
    record::{ReleaseRecord, ReleaseState},
};

pub async fn unknown_names_are_absent(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let some = ETag::of(b"");
    assert_absent(&*index, &canonical("foo")).await;
    let foo_bar = Tracked::create(&index, first("foo-bar", "1.0.0")).await;
    for name in ["foo", "foo_bar_baz", "fo", "f", "foo_ba", "fooxbar", "oo_bar"] {
        assert_absent(&*index, &canonical(name)).await;
        let known = index.index_file(&canonical(name), Some(&some)).await.unwrap();
        assert_eq!(known, Lookup::Absent, "{name}");
        let etag = foo_bar.record.index_file().etag;
        let known = index.index_file(&canonical(name), Some(&etag)).await.unwrap();
        assert_eq!(known, Lookup::Absent, "{name}");
    }
}

pub async fn a_known_etag_is_answered_unchanged(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("Foo", "1.0.0")).await;
    let first = tracked.record.index_file();
    let ask = async |known: &ETag| index.index_file(&tracked.name(), Some(known)).await.unwrap();
    assert_eq!(ask(&first.etag).await, Lookup::Unchanged);
    assert_eq!(ask(&ETag::of(b"other")).await, Lookup::Found(first.clone()));
    assert_eq!(ask(&ETag::of(b"")).await, Lookup::Found(first.clone()));

    tracked.commit(publish(&tracked.record, "1.1.0")).await;
    let second = tracked.record.index_file();
    let ask = async |known: &ETag| index.index_file(&tracked.name(), Some(known)).await.unwrap();
    assert_eq!(ask(&second.etag).await, Lookup::Unchanged);
    assert_eq!(ask(&first.etag).await, Lookup::Found(second));
}

pub async fn an_etag_changes_only_if_the_bytes_do(bench: Bench<dyn Index>) {
    let index = bench.open().await;
    let mut tracked = Tracked::create(&index, first("foo", "1.0.0")).await;
    let read = async || match index.index_file(&canonical("foo"), None).await.unwrap() {
        Lookup::Found(file) => file,
        other => panic!("{other:?}"),
    };
    let published = read().await;

    tracked.commit(add_owner(&tracked.record, owner(2, "bob"))).await;
    assert_eq!(read().await, published);
    tracked.commit(remove_owner(&tracked.record, &login("bob"))).await;
    assert_eq!(read().await, published);
    let unlisted = ReleaseRecord { state: ReleaseState::Unlisted, ..release("foo", "1.0.1") };
    tracked.commit(publish_release(&tracked.record, unlisted)).await;
    assert_eq!(read().await, published);

    tracked.commit(set_yanked(&tracked.record, "1.0.0", true)).await;
    let yanked = read().await;
    assert_ne!(yanked.etag, published.etag);
    assert_ne!(yanked.body, published.body);
    tracked.commit(set_yanked(&tracked.record, "1.0.0", false)).await;
    assert_eq!(read().await, published);

    tracked.commit(publish(&tracked.record, "1.1.0")).await;
    let longer = read().await;
    assert!(longer.etag != published.etag && longer.etag != yanked.etag);
    assert_eq!(longer.body[..published.body.len()], published.body);
}
