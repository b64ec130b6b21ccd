use std::{fs, path::PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _};
use tempfile::TempDir;

use super::*;

const SIZE: usize = 300_000;
const PIECES: [usize; 3] = [131_072, 131_072, 37_856];

/// A file that repeats nowhere, in a folder.
fn file() -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let content: Vec<u8> = (0..SIZE as u32 / 4).flat_map(u32::to_le_bytes).collect();
    fs::write(&path, &content).unwrap();
    (folder, path, content)
}

fn pieces(path: &PathBuf, range: Range<u64>) -> Pieces {
    read(File::open(path).unwrap(), range)
}

/// The same, of which nothing is in memory.
fn distant(mut pieces: Pieces) -> Pieces {
    if let State::Idle(reader) = std::mem::replace(&mut pieces.0, State::Ended) {
        pieces.0 = State::Reading(spawn_blocking(move || reader.read()));
    }
    pieces
}

#[tokio::test]
async fn a_file_is_read_in_pieces() {
    let (_folder, path, content) = file();
    let whole = || pieces(&path, 0..SIZE as u64);
    for pieces in [whole(), distant(whole())] {
        let read: Vec<_> = pieces.try_collect().await.unwrap();
        assert_eq!(read.iter().map(Bytes::len).collect::<Vec<_>>(), PIECES);
        assert!(read.concat() == content);
    }
    assert_eq!(pieces(&path, 7..7).try_collect::<Vec<_>>().await.unwrap(), Vec::<Bytes>::new());
    let part: Vec<_> = pieces(&path, 3..200_000).try_collect().await.unwrap();
    assert!(part.concat() == content[3..200_000]);
}

#[tokio::test]
async fn a_file_that_ends_too_soon_ends_with_an_error_and_nothing_behind_it() {
    let (_folder, path, _) = file();
    let short = || pieces(&path, 299_999..SIZE as u64 + 1);
    for mut pieces in [short(), distant(short())] {
        let mut read = 0;
        let error = loop {
            match pieces.next().await.unwrap() {
                Ok(piece) => read += piece.len(),
                Err(error) => break error,
            }
        };
        assert!(read <= 1, "{read}");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(pieces.next().await.is_none());
    }
}

#[tokio::test]
async fn a_file_that_is_not_in_memory_is_read_from_the_disk() {
    let (folder, path, content) = file();
    let file = File::open(&path).unwrap();
    file.sync_all().unwrap();
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let opened = Folder::new(folder.path().into()).open("file", None).await.unwrap().unwrap();
    assert_eq!((opened.size, opened.range), (SIZE as u64, 0..SIZE as u64));
    assert_eq!(opened.modified, fs::metadata(&path).unwrap().modified().unwrap());
    let read: Vec<_> = opened.pieces.try_collect().await.unwrap();
    assert!(read.concat() == content);
}

#[tokio::test]
async fn a_reader_holds_a_file_that_is_gone() {
    let (folder, path, content) = file();
    let folder = Folder::new(folder.path().into());
    let opened = folder.open("file", Some(ByteRange::Last(200_000))).await.unwrap().unwrap();
    assert_eq!((opened.size, opened.range), (SIZE as u64, 100_000..SIZE as u64));
    fs::remove_file(&path).unwrap();
    let read: Vec<_> = opened.pieces.try_collect().await.unwrap();
    assert!(read.concat() == content[100_000..]);
    assert!(folder.open("file", None).await.unwrap().is_none());
    assert!(folder.open("absent/file", None).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_no_file_is_an_error() {
    let (folder, _, _) = file();
    fs::create_dir(folder.path().join("a")).unwrap();
    let opened = Folder::new(folder.path().into()).open("a", None).await;
    let read = match opened {
        Ok(opened) => opened.unwrap().pieces.try_collect::<Vec<_>>().await.map(drop),
        Err(error) => Err(error),
    };
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::IsADirectory);
}
