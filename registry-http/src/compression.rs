//! Answers that are compressed, once for all who ask for them.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, VARY},
    request::Parts,
};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::DefaultLifecycle};
use registry_core::{
    CrateName, ETag,
    registry::{self, Inline, Runtime},
};

use crate::{
    body::Body,
    coding::{Accepted, Coding},
    digits,
    route::Route,
};

/// Shortest body that is compressed unless the asker insists: what is shorter travels in one packet
/// anyhow.
const MIN_BYTES: usize = 1024;

/// Compresses answers, each once, and keeps what came of it.
///
/// Clones share everything and are cheap: one of them is for any number of services.
#[derive(Clone)]
pub struct Compression {
    shared: Arc<Shared>,
    runtime: Arc<dyn Runtime>,
    /// Which of the services that share this.
    service: u64,
}

struct Shared {
    cache: Cache,
    places: RandomState,
    max_bytes: u64,
    services: AtomicU64,
}

type Cache = quick_cache::sync::Cache<Key, Compressed, Weigh>;

/// Which bytes, and in which coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The validator, or that of the content if there is none.
    validator: u128,
    /// The hash of the service and the crate's name: an index need not have another validator for
    /// another crate, nor two indexes for one.
    place: u64,
    coding: Coding,
}

#[derive(Clone, Debug)]
struct Compressed {
    body: Bytes,
    /// If what was compressed has one.
    etag: Option<HeaderValue>,
}

#[derive(Clone, Debug)]
struct Weigh;

impl Weighter<Key, Compressed> for Weigh {
    fn weight(&self, _: &Key, compressed: &Compressed) -> u64 {
        /// What an entry takes besides its content.
        const ENTRY_BYTES: usize = 256;
        (ENTRY_BYTES + compressed.body.len()) as u64
    }
}

impl Compression {
    /// Of what is compressed, `max_bytes` are kept; what is longer than that is not compressed.
    pub fn new(max_bytes: u64) -> Self {
        /// Bytes of a part of the cache with a lock of its own. No more is kept of one body.
        const SHARD_BYTES: u64 = 4 << 20;
        const USUAL_BYTES: u64 = 4096;
        let items = usize::try_from(max_bytes / USUAL_BYTES).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .weight_capacity(max_bytes)
            .estimated_items_capacity(items)
            .shards((max_bytes / SHARD_BYTES).clamp(1, 16) as usize)
            .build()
            .expect("capacity and estimate are given");
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        let cache = Cache::with_options(options, Weigh, hasher, lifecycle);
        let (places, services) = (RandomState::new(), AtomicU64::new(0));
        let shared = Arc::new(Shared { cache, places, max_bytes, services });
        Self { shared, runtime: Arc::new(Inline), service: 0 }
    }

    /// Where the work is done. Default: on the thread that asks.
    ///
    /// Somebody who reads waits for it: it is not to take turns with the checking of uploads.
    #[must_use]
    pub fn with_runtime(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Arc::new(runtime);
        self
    }

    /// For one more service.
    pub(crate) fn beside(mut self) -> Self {
        self.service = self.shared.services.fetch_add(1, Ordering::Relaxed);
        self
    }

    /// The answer to a request for one of [`is_compressed`], in the coding that the asker likes best.
    pub(crate) async fn apply(
        &self,
        route: &Route,
        parts: &Parts,
        mut response: Response<Body>,
    ) -> Response<Body> {
        let accepted = Accepted::of(&parts.headers);
        vary(response.headers_mut());
        if response.status() == StatusCode::NOT_MODIFIED {
            if let Some(etag) = held(&parts.headers, response.headers(), &accepted) {
                response.headers_mut().insert(ETAG, etag);
            }
            return response;
        }
        let Some(coding) = accepted.best() else { return response };
        let insists = accepted.refuses_identity();
        let Some(body) = response.body().bytes().filter(|body| {
            let length = body.len() as u64;
            (length >= MIN_BYTES as u64 || insists) && length <= self.shared.max_bytes
        }) else {
            return response;
        };
        let etag = response.headers().get(ETAG);
        let of_content = || number_of(ETag::of(body).as_str());
        let Some(validator) = etag.map_or_else(of_content, |etag| number_of(etag.to_str().ok()?))
        else {
            return response;
        };
        let name = etag.and(route.crate_name()).map(CrateName::as_str);
        let place = self.shared.places.hash_one((self.service, name));
        let compress = async {
            let (body, etag) = (body.clone(), etag.and_then(|etag| suffixed(etag, coding)));
            let body = registry::run(&*self.runtime, move || compress(coding, &body)).await;
            // Not come to its end: the server is going down.
            body.ok_or(()).map(|body| Compressed { body, etag })
        };
        let key = Key { validator, place, coding };
        let Ok(compressed) = self.shared.cache.get_or_insert_async(&key, compress).await else {
            return response;
        };
        if compressed.body.len() >= body.len() && !insists {
            return response;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.insert(CONTENT_LENGTH, digits::header_value(compressed.body.len() as u64));
        if let Some(etag) = compressed.etag {
            headers.insert(ETAG, etag);
        }
        *response.body_mut() = compressed.body.into();
        response
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.shared.cache.weight();
        f.debug_struct("Compression").field("kept_bytes", &kept).finish_non_exhaustive()
    }
}

/// Whether answers to this are compressed.
///
/// Never a crate file, which is compressed already and has to arrive as its checksum says. Never what
/// holds a credential: by the length of an answer in which it stands beside words of the request,
/// somebody who chooses the words and sees the lengths finds it out bit by bit (BREACH).
pub(crate) fn is_compressed(route: &Route, has_token_in_path: bool) -> bool {
    match route {
        // It has the token of the path in its URLs.
        Route::Config => !has_token_in_path,
        Route::IndexFile(_) | Route::Search | Route::Versions(_) | Route::Owners(_) => true,
        _ => false,
    }
}

/// Caches keep an answer for each coding.
fn vary(headers: &mut HeaderMap) {
    let vary = match headers.contains_key(VARY) {
        // The one other header that an answer depends on.
        true => "authorization, accept-encoding",
        false => "accept-encoding",
    };
    headers.insert(VARY, HeaderValue::from_static(vary));
}

/// A tag of ours as a number: 32 hexadecimal digits in quotes.
fn number_of(etag: &str) -> Option<u128> {
    u128::from_str_radix(etag.strip_prefix('"')?.strip_suffix('"')?, 16).ok()
}

/// The tag of what has this tag, in another coding: other bytes have another strong validator.
fn suffixed(etag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    /// What a tag of ours has, a `-`, and the longest name of a coding.
    const MAX_BYTES: usize = 48;
    let (mut text, mut end) = ([0; MAX_BYTES], 0);
    for part in [etag.as_bytes().strip_suffix(b"\"")?, b"-", coding.name().as_bytes(), b"\""] {
        text.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    HeaderValue::from_bytes(&text[..end]).ok()
}

/// The tag by which the asker knows what has not changed, if that is in a coding.
fn held(asked: &HeaderMap, answered: &HeaderMap, accepted: &Accepted) -> Option<HeaderValue> {
    let etag = answered.get(ETAG)?;
    let begin = etag.to_str().ok()?.strip_suffix('"')?;
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let tags =
        lists.flat_map(|list| list.match_indices(begin).map(|(at, _)| &list[at + begin.len()..]));
    let codings = tags.filter_map(|behind| {
        let (name, _) = behind.strip_prefix('-')?.split_once('"')?;
        Coding::ALL.into_iter().find(|coding| coding.name() == name)
    });
    let admitted = codings.filter(|coding| accepted.admits(*coding));
    suffixed(etag, admitted.min_by_key(|coding| *coding as usize)?)
}

/// At levels of everyday use: somebody is waiting.
fn compress(coding: Coding, body: &[u8]) -> Bytes {
    let compressed = match coding {
        Coding::Zstd => zstd::bulk::compress(body, 3),
        Coding::Brotli => brotli(body),
        Coding::Gzip => gzip(body),
    };
    // Without the room that was made for more: it may be as much as the body itself, and is not counted.
    compressed.expect("memory can be read and written").into_boxed_slice().into()
}

fn brotli(body: &[u8]) -> io::Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: 5,
        size_hint: body.len(),
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &*body, &mut compressed, &params)?;
    Ok(compressed)
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_was_said() {
        const MAX: u64 = 100 * 1024;
        let compression = Compression::new(MAX);
        let key = |number| Key { validator: number, place: 0, coding: Coding::Gzip };
        for number in 0..100 {
            let body = Bytes::from(vec![0; 10 * 1024]);
            compression.shared.cache.insert(key(number), Compressed { body, etag: None });
        }
        assert!((MAX / 2..=MAX).contains(&compression.shared.cache.weight()));
    }

    #[test]
    fn what_is_kept_takes_no_more_than_is_counted() {
        for coding in Coding::ALL {
            let compressed = compress(coding, &[0; 1 << 20]);
            let length = compressed.len();
            assert!((1..10_000).contains(&length), "{length}");
            assert_eq!(compressed.try_into_mut().unwrap().capacity(), length, "{coding:?}");
        }
    }
}
