//! What a hostile crate file costs in memory.

use std::{
    alloc::System,
    io::{self, Read},
};

use cap::Cap;
use flate2::{Compression, write::GzEncoder};
use registry_core::{
    Checksum, RegistryConfig, Release, ValidationRules, publish::Metadata, store::CrateBody,
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

type Tar = tar::Builder<GzEncoder<Vec<u8>>>;

fn crate_file(fill: impl FnOnce(&mut Tar)) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    fill(&mut tar);
    tar.into_inner().unwrap().finish().unwrap()
}

fn append(tar: &mut Tar, path: &str, size: u64, content: impl Read) {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, content).unwrap();
}

// One test alone: the highest mark of the allocator is that of the whole process.
#[test]
fn memory_does_not_follow_what_comes_out_of_a_file() {
    let rules = ValidationRules::private();
    let config = RegistryConfig::new("http://h").unwrap();
    let metadata = Metadata::parse(br#"{"name":"a","vers":"1.0.0"}"#, &rules).unwrap();
    let zeros = crate_file(|tar| append(tar, "a-1.0.0/x", 64 << 20, io::repeat(0).take(64 << 20)));
    let manifest = crate_file(|tar| {
        append(tar, "a-1.0.0/Cargo.toml", 40 << 20, io::repeat(b'#').take(40 << 20));
    });
    let long_name = crate_file(|tar| {
        append(tar, &format!("a-1.0.0/{}", "n/".repeat(40_000)), 0, io::empty());
    });
    let members = crate_file(|tar| {
        (0..=50_000).for_each(|n| append(tar, &format!("a-1.0.0/{n}"), 0, io::empty()));
    });
    // All are kept to the end, so that what is allocated beside them is what validation holds.
    let files = [zeros, manifest, long_name, members]
        .map(|file| CrateBody::from(bytes::Bytes::from(file.into_boxed_slice())));
    let before = ALLOCATOR.allocated();
    let malformed = "uploaded tarball is malformed or too large when decompressed";
    let too_many = "uploaded tarball contains more than 50000 entries";
    for (file, (limit, text)) in files.iter().zip([
        (2 << 20, malformed),
        (2 << 20, malformed),
        (2 << 20, malformed),
        (8 << 20, too_many),
    ]) {
        let file = file.clone();
        let verdict = Release::validate(&metadata, file, Checksum::of(""), &rules, &config);
        assert_eq!(verdict.unwrap_err().to_string(), text);
        let peak = ALLOCATOR.max_allocated() - before;
        assert!(peak <= limit, "{peak} bytes, limit {limit}");
    }
}
