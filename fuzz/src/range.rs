use registry_core::store::ByteRange;
use registry_http::range::parse;

/// A range leads to no byte outside of a file, and is read again as it is written.
pub fn range(data: &[u8]) {
    let Ok(value) = std::str::from_utf8(data) else { return };
    let Some(range) = parse(value) else { return };
    for size in [0, 1, 2, 100, u64::MAX] {
        let part = range.within(size);
        assert!(part.start <= part.end && part.end <= size, "{range:?} of {size}: {part:?}");
    }
    let written = match range {
        ByteRange::FromTo(first, last) => {
            assert!(first <= last, "{range:?}");
            format!("bytes={first}-{last}")
        }
        ByteRange::From(first) => format!("bytes={first}-"),
        ByteRange::Last(count) => format!("bytes=-{count}"),
    };
    assert_eq!(parse(&written), Some(range), "{written}");
    // Of several, none is taken for the only one.
    assert_eq!(parse(&format!("{value},{value}")), None);
}
