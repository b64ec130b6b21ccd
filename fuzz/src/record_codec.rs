use bytes::Bytes;
use registry_core::codec;

/// Damaged bytes are refused; bytes that are a record say what their slice serves, and what is
/// written from the record is read back as the same record.
pub fn record_codec(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let sliced = codec::index_file(bytes.clone());
    let Ok(record) = codec::decode(bytes) else { return };
    assert_eq!(sliced.expect("a whole record has a header"), record.index_file());
    let written = codec::encode(&record, 7);
    assert_eq!(codec::decode(written.clone()).expect("our own bytes"), record);
    assert_eq!(codec::index_file(written).expect("our own bytes"), record.index_file());
}
