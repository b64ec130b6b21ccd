//! What a publish body costs in memory while it arrives.

use std::alloc::System;

use cap::Cap;
use registry_core::{
    ValidationRules,
    publish::{FrameError, UploadDecoder},
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What may be held beyond the bytes received.
const SLACK: usize = 64 * 1024;

// One test alone: the highest mark of the allocator is that of the whole process.
#[test]
fn a_body_costs_what_has_arrived_and_64_kib() {
    let rules = ValidationRules::private();
    let metadata = vec![b' '; rules.max_metadata_bytes as usize];
    let file = vec![b'x'; rules.max_crate_bytes as usize];
    let length = |bytes: &[u8]| (bytes.len() as u32).to_le_bytes();
    let body = [&length(&metadata)[..], &metadata, &length(&file)[..], &file].concat();
    drop((metadata, file));
    let before = ALLOCATOR.allocated();
    let claims = [
        ([0xff, 0xff, 0xff, 0xff], FrameError::MetadataTooLarge),
        (0x0010_0001_u32.to_le_bytes(), FrameError::MetadataTooLarge),
    ];
    for (prefix, error) in claims {
        let mut decoder = UploadDecoder::new(&rules, None).unwrap();
        assert_eq!(decoder.decode(&[&prefix[..], b"123456"].concat()), Err(error));
    }

    // After every piece, not only at the highest mark: a length is claimed long before it has come.
    for size in [3, 1 << 20] {
        let mut decoder = UploadDecoder::new(&rules, None).unwrap();
        let mut received = 0;
        for chunk in body.chunks(size) {
            decoder.decode(chunk).unwrap();
            received += chunk.len();
            let held = ALLOCATOR.allocated() - before;
            assert!(held <= received + SLACK, "{held} bytes for {received} in pieces of {size}");
        }
        let upload = decoder.finish().unwrap();
        assert_eq!(upload.file.len(), u64::from(rules.max_crate_bytes));
        drop(upload);
        let peak = ALLOCATOR.max_allocated() - before;
        assert!(peak <= body.len() + SLACK, "{peak} bytes for {} in pieces of {size}", body.len());
    }
}
