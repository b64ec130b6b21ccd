use object_store::{
    ClientConfigKey,
    gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey as Key},
};

use super::settings::{ConfigKey, Settings, Subject};
use crate::{
    open::OpenError,
    options::StorageOptions,
    url::{BucketUrl, Provider},
};

impl ConfigKey for Key {
    const PROVIDER: Provider = Provider::Google;
    const VARIABLES: &'static str = "GOOGLE_";
    const OTHER_VARIABLE: Option<(&'static str, Self)> =
        Some(("SERVICE_ACCOUNT", Self::ServiceAccount));
    const LIST: &'static str =
        "https://docs.rs/object_store/0.14/object_store/gcp/enum.GoogleConfigKey.html";

    fn of_client(key: ClientConfigKey) -> Self {
        Self::Client(key)
    }

    fn subject(self) -> Subject {
        match self {
            Self::Bucket => Subject::Bucket,
            Self::ServiceAccount
            | Self::ServiceAccountKey
            | Self::ApplicationCredentials
            | Self::BearerToken
            | Self::SkipSignature => Subject::Credentials,
            Self::BaseUrl => Subject::Endpoint,
            _ => Subject::Other,
        }
    }
}

pub(super) fn builder(url: &BucketUrl, settings: &Settings<Key>) -> GoogleCloudStorageBuilder {
    let builder = GoogleCloudStorageBuilder::new().with_retry(settings.retry.clone());
    let pairs = settings.pairs.iter();
    let builder = pairs.fold(builder, |builder, (key, value)| builder.with_config(*key, value));
    builder.with_bucket_name(url.bucket())
}

pub(super) fn build(
    url: &BucketUrl,
    options: &StorageOptions,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<GoogleCloudStorage, OpenError> {
    let settings = Settings::new(options, environment)?;
    let built = builder(url, &settings).build();
    built.map_err(|error| Settings::refused(&settings.pairs, &error))
}
