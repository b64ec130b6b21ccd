use registry_core::publish::{FrameError, Upload, UploadDecoder, ValidationRules};

/// A body means the same however it is cut, and one that is accepted is exactly what its parts
/// make: nothing before, between or behind them.
pub fn publish_payload(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    let split = data.first().map_or(1, |first| usize::from(*first % 7) + 1);
    let pieces = decode(data, split);
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole.metadata, pieces.metadata);
            assert_eq!(joined(whole), joined(pieces));
            assert_eq!(whole.checksum, pieces.checksum);
            assert_eq!(encode(whole), data);
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
        _ => panic!("whole: {whole:?}, in pieces of {split}: {pieces:?}"),
    }
}

fn decode(data: &[u8], pieces_of: usize) -> Result<Upload, FrameError> {
    let rules = ValidationRules::private();
    let mut decoder = UploadDecoder::new(&rules, Some(data.len() as u64))?;
    for piece in data.chunks(pieces_of) {
        decoder.decode(piece)?;
    }
    decoder.finish()
}

fn joined(upload: &Upload) -> Vec<u8> {
    upload.file.to_bytes().unwrap().to_vec()
}

fn encode(upload: &Upload) -> Vec<u8> {
    let file = joined(upload);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&length(&upload.metadata)[..], &upload.metadata, &length(&file), &file].concat()
}
