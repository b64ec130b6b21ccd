//! Properties that hold for every input whatever, one plain function each.
//!
//! A fuzz target calls its property with what libFuzzer makes up; the test in `tests/` calls it, on
//! stable Rust and without libFuzzer, with every file of the committed corpus, cut and bent in many
//! ways. A property that does not hold panics. To look for such an input:
//!
//! ```sh
//! cargo fuzz run -s none --features libfuzzer index_line -- -max_total_time=60
//! ```

mod archive;
mod authorization;
mod identity_token;
mod index_line;
mod publish_payload;
mod range;
mod record_codec;
mod route;
mod signed_token;

pub use self::{
    archive::archive, authorization::authorization, identity_token::identity_token,
    index_line::index_line, publish_payload::publish_payload, range::range,
    record_codec::record_codec, route::route, signed_token::signed_token,
};

/// A property and the name of its target and corpus.
pub type Property = (&'static str, fn(&[u8]));

/// All properties.
pub const PROPERTIES: [Property; 9] = [
    ("archive", archive),
    ("authorization", authorization),
    ("identity_token", identity_token),
    ("index_line", index_line),
    ("publish_payload", publish_payload),
    ("range", range),
    ("record_codec", record_codec),
    ("route", route),
    ("signed_token", signed_token),
];
