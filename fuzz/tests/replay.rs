//! The properties over the committed corpus: every file as it is, cut at many places, with single
//! bytes changed, and joined to another.

use std::{fs, path::Path};

use registry_fuzz::{PROPERTIES, Property};

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "the corpus of {name} has only {} files", files.len());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn replay((name, property): Property) {
    let inputs = corpus(name);
    property(b"");
    for (position, input) in inputs.iter().enumerate() {
        property(input);
        // About a hundred places each, so that a large file takes no longer than a small one.
        let stride = input.len().div_ceil(100).max(1);
        for at in (0..input.len()).step_by(stride) {
            property(&input[..at]);
            for bits in [0x01, 0x20, 0x80, 0xff] {
                let mut bent = input.clone();
                bent[at] ^= bits;
                property(&bent);
            }
        }
        let next = &inputs[(position + 1) % inputs.len()];
        property(&[input.as_slice(), next].concat());
    }
}

macro_rules! replays {
    ($($test:ident),*) => {
        $(
            #[test]
            fn $test() {
                let name = stringify!($test);
                replay(*PROPERTIES.iter().find(|(property, _)| *property == name).unwrap());
            }
        )*

        #[test]
        fn every_property_is_replayed() {
            let replayed = [$(stringify!($test)),*];
            assert_eq!(PROPERTIES.map(|(name, _)| name), replayed);
        }
    };
}

replays!(
    archive,
    authorization,
    identity_token,
    index_line,
    publish_payload,
    range,
    record_codec,
    route,
    signed_token
);
