//! Crate files by plain requests: whole, and in parts.

use crate::common::{CrateFile, Server, checksum, noise};

#[test]
fn a_download_is_what_the_index_says_and_comes_in_parts_to_who_asks() {
    let server = Server::start();
    let file = CrateFile::library("Hello-World", "1.0.0", &noise(1_000_000));
    assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
    let line: serde_json::Value =
        serde_json::from_slice(&server.client().get(&file.index_path()).body).unwrap();
    let listed = line["cksum"].as_str().unwrap();
    let path = format!("/main/dl/Hello-World/1.0.0/{listed}");

    let whole = server.client().get(&path);
    assert_eq!((whole.status, checksum(&whole.body).as_str()), (200, listed));
    assert!(whole.body == file.bytes);
    assert_eq!(whole.header("etag"), Some(&*format!("\"{listed}\"")));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("content-encoding"), None);

    let size = file.bytes.len();
    for (range, part) in [
        ("bytes=0-9".to_owned(), 0..10),
        ("bytes=300000-".to_owned(), 300_000..size),
        ("bytes=-700000".to_owned(), size - 700_000..size),
        (format!("bytes={}-", size - 1), size - 1..size),
    ] {
        let answer = server.client().get_with(&path, &[("range", &range), ("accept", "*/*")]);
        let named = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(&*named)));
        assert!(answer.body == file.bytes[part], "{range}");
    }
    let beyond = server.client().get_with(&path, &[("range", &*format!("bytes={size}-"))]);
    let named = format!("bytes */{size}");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(&*named)));
}
