use bytes::Bytes;
use registry_core::IndexLine;

/// A line that is accepted is one line, keeps its bytes, and changes in its `yanked` alone. In a file
/// it is the same as by itself.
pub fn index_line(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let accepted = lines.filter_map(|line| IndexLine::parse(Bytes::copy_from_slice(line)).ok());
    let in_file = IndexLine::in_file(&Bytes::copy_from_slice(data));
    assert!(accepted.eq(in_file.filter_map(|(_, line)| line.ok())));

    let Ok(line) = IndexLine::parse(Bytes::copy_from_slice(data)) else { return };
    assert_eq!(line.as_bytes(), data);
    assert!(!data.contains(&b'\n'));

    let yanked = line.with_yanked(true);
    let restored = yanked.with_yanked(false);
    for changed in [&yanked, &restored] {
        let reread = IndexLine::parse(changed.as_bytes().clone()).expect("it was a line before");
        assert_eq!(&reread, changed);
        assert_eq!(
            (reread.name(), reread.version(), reread.checksum()),
            (line.name(), line.version(), line.checksum())
        );
    }
    assert!(yanked.yanked() && !restored.yanked());
    assert_eq!(restored.with_yanked(true), yanked);

    // What typed values say is said again by the line they write.
    if let Ok(entry) = line.to_entry() {
        let written = entry.to_line();
        let reread = IndexLine::parse(written.as_bytes().clone()).expect("our own line");
        assert_eq!(reread, written);
        assert_eq!(reread.to_entry().expect("our own line"), entry);
    }
}
