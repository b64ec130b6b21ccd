use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;

use super::*;

const ROOT: &str = "a-1.0.0";
const MALFORMED: &str = "uploaded tarball is malformed or too large when decompressed";
const DATA_AFTER_END: &str = "crate file has data after the end of the archive";

/// A member: a header in the GNU form, the data, and zeros up to the next block.
#[derive(Clone)]
struct Entry {
    header: [u8; 512],
    data: Vec<u8>,
}

impl Entry {
    fn new(path: &str, kind: u8, data: &[u8]) -> Self {
        let mut header = [0; 512];
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar  \0");
        Self { header, data: data.into() }
            .with(100, b"0000644\0")
            .with(124, format!("{:011o}\0", data.len()).as_bytes())
    }

    fn file(path: &str, data: &[u8]) -> Self {
        Self::new(&format!("{ROOT}/{path}"), b'0', data)
    }

    /// Writes into the header, and makes the checksum good again.
    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self.header[148..156].fill(b' ');
        let sum: u32 = self.header.iter().map(|byte| u32::from(*byte)).sum();
        self.header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self
    }

    fn posix(self) -> Self {
        self.with(257, b"ustar\x0000")
    }

    fn bytes(&self) -> Vec<u8> {
        let padding = self.data.len().next_multiple_of(512) - self.data.len();
        [&self.header[..], &self.data, &vec![0; padding]].concat()
    }
}

fn manifest() -> Entry {
    Entry::file("Cargo.toml", b"[package]")
}

fn long_name(path: &str) -> Entry {
    Entry::new("././@LongLink", b'L', format!("{path}\0").as_bytes())
}

fn pax(records: &[(&str, &str)]) -> Entry {
    let mut data = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        data += &format!("{length} {key}={value}\n");
    }
    Entry::new("PaxHeaders/x", b'x', data.as_bytes())
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = entries.iter().map(Entry::bytes).collect::<Vec<_>>().concat();
    tar.extend([0; 1024]);
    tar
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}

/// A crate file with this manifest and nothing else.
pub(in crate::publish) fn crate_file(root: &str, manifest: &str) -> CrateBody {
    let manifest = Entry::new(&format!("{root}/Cargo.toml"), b'0', manifest.as_bytes());
    Bytes::from(gzip(&tar(&[manifest]))).into()
}

fn check_bytes(file: Vec<u8>, rules: &ValidationRules) -> Result<Archive, String> {
    check(&Bytes::from(file).into(), ROOT, rules).map_err(|error| error.to_string())
}

/// The verdict on an archive with these members beside a manifest.
fn verdict(entries: &[Entry]) -> Result<(), String> {
    let all = [&[manifest()], entries].concat();
    check_bytes(gzip(&tar(&all)), &ValidationRules::private()).map(drop)
}

fn refused(text: impl Into<String>) -> Result<(), String> {
    Err(text.into())
}

#[test]
fn what_packers_write_is_accepted() {
    let deep = format!("{ROOT}/{}/x", "d".repeat(200));
    for entries in [
        vec![],
        vec![Entry::file("src/lib.rs", &[b'x'; 513]), Entry::file("empty", b"")],
        vec![Entry::file("run.sh", b"").with(100, b"0000755\0")],
        vec![Entry::file("v7", b"").with(156, &[0])],
        vec![long_name(&deep), Entry::new("cut", b'0', b"x")],
        vec![
            pax(&[("path", &deep), ("mtime", "1.5"), ("size", "1")]),
            Entry::new("cut", b'0', b"x").posix(),
        ],
        vec![pax(&[("uname", "me")]), Entry::file("a", b"").posix()],
        vec![Entry::new("x", b'0', b"").posix().with(345, b"a-1.0.0/prefix")],
        vec![
            Entry::new("a-1.0.0", b'5', b""),
            Entry::new("a-1.0.0/src/", b'5', b""),
            Entry::file("src/a", b""),
        ],
        vec![Entry::file("src/a", b""), Entry::new("a-1.0.0/src", b'5', b"")],
        vec![Entry::file("ünï code.txt", b""), Entry::file(".cargo_vcs_info.json", b"{}")],
        vec![Entry::file("tests/cargo.toml", b""), Entry::file("tests/Cargo.toml.orig", b"")],
    ] {
        assert_eq!(verdict(&entries), Ok(()), "{}", String::from_utf8_lossy(&tar(&entries)));
    }
}

#[test]
fn the_manifest_is_handed_out() {
    let archive = check_bytes(gzip(&tar(&[manifest()])), &ValidationRules::private()).unwrap();
    assert_eq!(archive.manifest, b"[package]");
    let legacy = Entry::file("cargo.toml", b"old");
    let archive = check_bytes(gzip(&tar(&[legacy])), &ValidationRules::private()).unwrap();
    assert_eq!(archive.manifest, b"old");
}

#[test]
fn a_file_without_exactly_one_manifest_is_refused() {
    for (names, text) in [
        (vec![], "Cargo.toml manifest is missing"),
        (vec!["src/Cargo.toml"], "Cargo.toml manifest is missing"),
        (vec!["CARGO.TOML"], "Cargo.toml manifest is incorrectly cased: CARGO.TOML"),
        (
            vec!["Cargo.toml", "cargo.toml"],
            "more than one Cargo.toml manifest: Cargo.toml and cargo.toml",
        ),
    ] {
        let entries: Vec<_> = names.iter().map(|name| Entry::file(name, b"")).collect();
        let verdict = check_bytes(gzip(&tar(&entries)), &ValidationRules::private());
        assert_eq!(verdict.unwrap_err(), text);
    }
}

#[test]
fn nothing_may_hide_behind_the_archive() {
    let good = gzip(&tar(&[manifest()]));
    let verdict = |file| check_bytes(file, &ValidationRules::private()).map(drop);
    assert_eq!(verdict(good.clone()), Ok(()));
    assert_eq!(verdict([&good[..], b"x"].concat()), refused(DATA_AFTER_END));
    assert_eq!(verdict([&good[..], &good].concat()), refused(DATA_AFTER_END));
    let end_blocks = |behind: &[u8]| gzip(&[&tar(&[manifest()]), behind].concat());
    assert_eq!(verdict(end_blocks(&[0; 5000])), Ok(()));
    assert_eq!(verdict(end_blocks(b"\0\0x")), refused(DATA_AFTER_END));
    assert_eq!(verdict(end_blocks(&[[0; 512], [1; 512]].concat())), refused(DATA_AFTER_END));
    let one_block = [&manifest().bytes()[..], &[0; 512], &manifest().bytes()].concat();
    assert_eq!(verdict(gzip(&one_block)), refused(DATA_AFTER_END));
    let mut padded = tar(&[manifest()]);
    padded[1023] = 1;
    assert_eq!(verdict(gzip(&padded)), refused(MALFORMED));
}

#[test]
fn a_gzip_member_is_whole_and_right() {
    let good = gzip(&tar(&[manifest()]));
    let verdict = |file| check_bytes(file, &ValidationRules::private()).map(drop);
    let changed = |at: usize, bit: u8| {
        let mut file = good.clone();
        file[at] ^= bit;
        file
    };
    let end = good.len();
    for (what, file) in [
        ("empty", vec![]),
        ("CRC-32", changed(end - 8, 1)),
        ("length", changed(end - 4, 1)),
        ("magic", changed(0, 1)),
        ("reserved flag", changed(3, 0x20)),
        ("method", changed(2, 1)),
        ("cut", good[..end - 1].to_vec()),
        ("no tar", gzip(b"hello")),
        ("no end", gzip(&manifest().bytes())),
        ("half an end", gzip(&[&manifest().bytes()[..], &[0; 512]].concat())),
        ("cut in data", gzip(&manifest().bytes()[..515])),
    ] {
        assert_eq!(verdict(file), refused(MALFORMED), "{what}");
    }
}

#[test]
fn a_header_has_one_reading_or_none() {
    const HEADER: &str = "malformed tar header";
    let file = || Entry::file("x", b"abc");
    let bad_sum = {
        let mut entry = file();
        entry.header[0] ^= 1;
        entry
    };
    for (what, entry) in [
        ("checksum", bad_sum),
        ("base 256", file().with(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x03")),
        ("sign", file().with(124, b"-0000000003\0")),
        ("leading space", file().with(124, b"         3 \0")),
        ("no size", file().with(124, &[0; 12])),
        ("digits behind the end", file().with(124, b"3\x00000000000\0")),
        ("base 256 mode", file().with(100, b"\x80\0\0\0\0\0\x01\xa4")),
        ("no magic", file().with(257, &[0; 8])),
        ("prefix in the GNU form", file().with(345, b"a-1.0.0/y")),
        ("bytes at the end of the POSIX form", file().posix().with(508, b"tar\0")),
        ("directory with data", Entry::new("a-1.0.0/d", b'5', b"abc")),
    ] {
        assert_eq!(verdict(&[entry]), refused(HEADER), "{what}");
    }
}

#[test]
fn an_extension_header_describes_the_next_member_and_no_more() {
    const EXTENSION: &str = "unsupported tar extension header";
    let path = format!("{ROOT}/x");
    let file = || Entry::file("x", b"abc");
    for (what, entries) in [
        ("global", vec![Entry::new("x", b'g', b"11 path=xx\n"), file()]),
        ("long link", vec![Entry::new("x", b'K', b"x\0"), file()]),
        ("two names", vec![long_name(&path), long_name(&path), file()]),
        ("name and pax", vec![long_name(&path), pax(&[("path", &path)]), file()]),
        ("pax and name", vec![pax(&[("path", &path)]), long_name(&path), file()]),
        ("pax and global", vec![pax(&[("uid", "1")]), Entry::new("x", b'g', b""), file()]),
        ("none behind", vec![long_name(&path)]),
        ("NUL in name", vec![long_name(&format!("{path}\0y")), file()]),
        ("NUL in path", vec![pax(&[("path", "a-1.0.0/x\0y")]), file()]),
        ("unknown key", vec![pax(&[("SCHILY.xattr", "1")]), file()]),
        ("sparse", vec![pax(&[("GNU.sparse.size", "1")]), file()]),
        ("link path", vec![pax(&[("linkpath", "/etc")]), file()]),
        ("key twice", vec![pax(&[("path", &path), ("path", "y")]), file()]),
        ("signed size", vec![pax(&[("size", "+3")]), file()]),
        ("length too long", vec![Entry::new("x", b'x', b"99 path=x\n"), file()]),
        ("length too short", vec![Entry::new("x", b'x', b"9 path=xx\n"), file()]),
        ("no length", vec![Entry::new("x", b'x', b"path=x\n"), file()]),
        ("length of nothing", vec![Entry::new("x", b'x', b"1 path=x\n"), file()]),
        ("no equals", vec![Entry::new("x", b'x', b"7 path\n"), file()]),
    ] {
        assert_eq!(verdict(&entries), refused(EXTENSION), "{what}");
    }
    assert_eq!(
        verdict(&[pax(&[("size", "4")]), file()]),
        refused("mismatched pax and tar header sizes")
    );
}

#[test]
fn only_files_and_directories_are_members() {
    for kind in [b'1', b'2', b'3', b'4', b'6', b'7', b'S', b'D', b'V', b'\x1b'] {
        assert_eq!(
            verdict(&[Entry::file("x", b"").with(156, &[kind])]),
            refused(format!(
                "unexpected tar entry type {} found: a-1.0.0/x",
                char::from(kind).escape_debug()
            ))
        );
    }
}

#[test]
fn modes_are_within_0755() {
    for mode in ["0004755", "0002755", "0001755", "0000666", "0000775", "0100644"] {
        assert_eq!(
            verdict(&[Entry::file("x", b"").with(100, mode.as_bytes())]),
            refused("unexpected file mode in tarball: a-1.0.0/x"),
            "{mode}"
        );
    }
}

#[test]
fn a_path_stays_below_the_root_on_every_system() {
    let long_component = format!("a-1.0.0/{}", "c".repeat(256));
    let long_path = format!("a-1.0.0/{}", "c/".repeat(508) + "c");
    for path in [
        "",
        "/",
        "/etc/x",
        "a-1.0.0",
        "a-1.0.0/",
        "a-1.0.0x/y",
        "A-1.0.0/x",
        "./a-1.0.0/x",
        "b-1.0.0/x",
        "a-1.0.0/../x",
        "a-1.0.0/a/../../x",
        "a-1.0.0/./x",
        "a-1.0.0//x",
        "a-1.0.0/x/",
        "a-1.0.0/..\\x",
        "a-1.0.0/C:/x",
        "a-1.0.0/a:stream",
        "a-1.0.0/x.",
        "a-1.0.0/x ",
        "a-1.0.0/x./y",
        "a-1.0.0/.cargo-ok",
        "a-1.0.0/.CARGO-OK",
        "a-1.0.0/.cargo-ok/x",
        &long_component,
        &long_path,
    ] {
        let shown = format!("invalid path found: {}", Echo(path));
        let entries = [long_name(path), Entry::new("short", b'0', b"")];
        assert_eq!(verdict(&entries), refused(shown), "{path}");
    }
    assert_eq!(verdict(&[Entry::file("a\nb", b"")]), refused("invalid path found: a-1.0.0/a\\nb"));
    let latin1 = Entry::file("x", b"").with(8, b"\xe9");
    assert_eq!(verdict(&[latin1]), refused("invalid path found: a-1.0.0/\u{fffd}"));
    let longest = format!("a-1.0.0/{}", "c/".repeat(507) + "cc");
    assert_eq!(longest.len(), 1024);
    assert_eq!(verdict(&[long_name(&longest), Entry::new("short", b'0', b"")]), Ok(()));
    let component = Entry::new("short", b'0', b"");
    let at_limit = format!("a-1.0.0/{}", "c".repeat(255));
    assert_eq!(verdict(&[long_name(&at_limit), component]), Ok(()));
}

#[test]
fn what_a_file_system_takes_for_one_file_is_refused() {
    for (first, second, shown) in [
        ("x", "x", "x"),
        ("src/A", "src/a", "src/a"),
        ("\u{e9}", "e\u{301}", "é"),
        ("\u{212a}", "k", "k"),
        ("x", "x/y", "x/y"),
        ("x/y", "X", "x/y"),
    ] {
        let expected = refused(format!("duplicate path in tarball: a-1.0.0/{shown}"));
        for pair in [[first, second], [second, first]] {
            let entries = pair.map(|path| Entry::file(path, b""));
            assert_eq!(verdict(&[&entries[..], &[Entry::file("w", b"")]].concat()), expected);
        }
    }
    let directory = Entry::new("a-1.0.0/d/", b'5', b"");
    let twice = refused("duplicate path in tarball: a-1.0.0/d");
    assert_eq!(verdict(&[directory.clone(), directory]), twice);
    assert_eq!(verdict(&[Entry::file("x", b""), Entry::file("x-y", b"")]), Ok(()));
}

#[test]
fn windows_names_are_reported_or_refused() {
    let file = gzip(&tar(&[manifest(), Entry::file("src/aux.rs", b""), Entry::file("COM1", b"")]));
    let archive = check_bytes(file.clone(), &ValidationRules::private()).unwrap();
    assert_eq!(archive.windows_reserved, ["src/aux.rs", "COM1"]);
    let strict =
        ValidationRules { refuse_windows_reserved_paths: true, ..ValidationRules::private() };
    assert_eq!(check_bytes(file, &strict).unwrap_err(), "invalid path found: a-1.0.0/src/aux.rs");
}

#[test]
fn each_limit_holds_at_the_first_excess() {
    let rules = ValidationRules {
        max_crate_bytes: 1000,
        max_unpacked_bytes: 4096,
        max_entries: 2,
        max_extension_bytes: 20,
        max_manifest_bytes: 9,
        ..ValidationRules::private()
    };
    let verdict = |entries: &[Entry]| check_bytes(gzip(&tar(entries)), &rules).map(drop);
    let of_length = |length| [manifest(), Entry::file("x", &vec![0; length])];
    // Two headers, the manifest's block and the end take 2,560 bytes.
    assert_eq!(verdict(&of_length(1536)), Ok(()));
    assert_eq!(verdict(&of_length(1537)), refused(MALFORMED));
    let three = [manifest(), Entry::file("x", b""), Entry::file("y", b"")];
    assert_eq!(verdict(&three[..2]), Ok(()));
    assert_eq!(verdict(&three), refused("uploaded tarball contains more than 2 entries"));
    let named = |bytes: usize| {
        let path = format!("{ROOT}/{}", "x".repeat(bytes - ROOT.len() - 2));
        [manifest(), long_name(&path), Entry::new("short", b'0', b"")]
    };
    assert_eq!(verdict(&named(20)), Ok(()));
    assert_eq!(verdict(&named(21)), refused(MALFORMED));
    assert_eq!(verdict(&[Entry::file("Cargo.toml", b"[package] ")]), refused(MALFORMED));
}

#[test]
fn a_bomb_ends_at_the_ratio() {
    let rules = ValidationRules::private();
    let bomb = |bytes: usize| gzip(&tar(&[manifest(), Entry::file("x", &vec![0; bytes])]));
    let free = bomb((32 << 20) - 2560);
    assert!(free.len() * 100 < 32 << 20);
    assert_eq!(check_bytes(free, &rules).map(drop), Ok(()));
    assert_eq!(check_bytes(bomb((32 << 20) - 2559), &rules).map(drop), refused(MALFORMED));
}

#[test]
fn a_size_of_many_gigabytes_allocates_nothing() {
    let entry = Entry::file("x", b"").with(124, b"777777777777");
    assert_eq!(verdict(&[entry]), refused(MALFORMED));
    let manifest = Entry::file("Cargo.toml", b"").with(124, b"777777777777");
    assert_eq!(
        check_bytes(gzip(&tar(&[manifest])), &ValidationRules::private()).map(drop),
        refused(MALFORMED)
    );
}

/// What a reader finds: paths and contents.
type Listing = Vec<(Vec<u8>, Vec<u8>)>;

fn list_here(tar: &[u8]) -> Listing {
    let mut reader = TarReader::new(tar, 1 << 16);
    let mut list = Listing::new();
    while let Some(member) = reader.next_member().unwrap() {
        list.push((member.path, reader.read_data().unwrap()));
    }
    list
}

fn list_with_tar_crate(tar: &[u8]) -> Listing {
    let mut archive = ::tar::Archive::new(tar);
    let list = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        (entry.path_bytes().into_owned(), data)
    });
    list.collect()
}

proptest! {
    /// Whatever is changed in an archive, it is refused, or another reader finds the same in it.
    #[test]
    fn an_accepted_archive_is_read_alike_by_the_tar_crate(
        changes in proptest::collection::vec(
            (0_usize..10, prop_oneof![0_usize..512, 100_usize..160, 257_usize..265], any::<u8>()),
            0..4,
        ),
        seal in any::<bool>(),
    ) {
        let mut entries = [
            manifest(),
            long_name(&format!("{ROOT}/{}", "n".repeat(120))),
            Entry::new("cut", b'0', &[b'x'; 600]),
            pax(&[("path", "a-1.0.0/pax"), ("size", "3"), ("mtime", "1")]),
            Entry::new("other", b'0', b"abc").posix(),
            Entry::new("prefixed", b'0', b"").posix().with(345, b"a-1.0.0/p"),
            Entry::new("a-1.0.0/d/", b'5', b""),
        ];
        for (at, offset, byte) in changes {
            if let Some(entry) = entries.get_mut(at) {
                entry.header[offset] = byte;
                if seal {
                    *entry = entry.clone().with(0, &[]);
                }
            } else if let Some(data) = entries[at - 7].data.get_mut(offset) {
                *data = byte;
            }
        }
        let tar = tar(&entries);
        if check_bytes(gzip(&tar), &ValidationRules::private()).is_ok() {
            prop_assert_eq!(list_here(&tar), list_with_tar_crate(&tar));
        }
    }

    #[test]
    fn damaged_files_do_no_harm(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
        let mut file = gzip(&tar(&[manifest(), Entry::file("x", b"abc")]));
        let at = at % file.len();
        file[at] = byte;
        file.truncate(cut.max(1).min(file.len()));
        let _ = check_bytes(file, &ValidationRules::private());
    }
}
