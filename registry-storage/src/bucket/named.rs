use std::{fmt, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    path::Path,
    prefix::PrefixStore,
    signer::{Method, SignedUrlOptions, Signer, Url},
};

use crate::url::BucketUrl;

/// A part of a bucket, that is printed as its URL: what the client of a bucket prints of itself
/// may hold its credentials.
#[derive(Clone)]
pub(super) struct Named<S> {
    url: BucketUrl,
    store: PrefixStore<Arc<S>>,
    whole: Arc<S>,
}

impl<S> Named<S> {
    pub(super) fn new(url: BucketUrl, bucket: S) -> Self {
        let whole = Arc::new(bucket);
        Self { store: PrefixStore::new(whole.clone(), url.prefix().clone()), url, whole }
    }

    /// The path in the whole bucket.
    fn whole_path(&self, path: &Path) -> Path {
        self.url.prefix().parts().chain(path.parts()).collect()
    }
}

impl<S> fmt::Display for Named<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl<S> fmt::Debug for Named<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.url)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ObjectStore> ObjectStore for Named<S> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store.rename_opts(from, to, options).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ObjectStore + Signer> Signer for Named<S> {
    async fn signed_url(&self, method: Method, path: &Path, expires_in: Duration) -> Result<Url> {
        let url = self.whole.signed_url(method, &self.whole_path(path), expires_in).await;
        url.map_err(without_token)
    }

    async fn signed_url_opts(
        &self,
        method: Method,
        path: &Path,
        expires_in: Duration,
        options: &SignedUrlOptions,
    ) -> Result<Url> {
        let path = self.whole_path(path);
        let url = self.whole.signed_url_opts(method, &path, expires_in, options).await;
        url.map_err(without_token)
    }

    async fn signed_urls(
        &self,
        method: Method,
        paths: &[Path],
        expires_in: Duration,
    ) -> Result<Vec<Url>> {
        let paths: Vec<_> = paths.iter().map(|path| self.whole_path(path)).collect();
        let urls = self.whole.signed_urls(method, &paths, expires_in).await;
        urls.map_err(without_token)
    }
}

/// To sign for a user, the client of Google's asks whose token it has, and shows the URL with the
/// token in it if it gets no answer.
fn without_token(error: object_store::Error) -> object_store::Error {
    if error.to_string().contains("access_token=") {
        let source = "the account of the access token cannot be asked for".into();
        return object_store::Error::Generic { store: "bucket", source };
    }
    error
}
