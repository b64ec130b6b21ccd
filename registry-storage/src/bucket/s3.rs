use object_store::{
    ClientConfigKey,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key},
};

use super::settings::{ConfigKey, Settings, Subject};
use crate::{
    open::OpenError,
    options::StorageOptions,
    url::{BucketUrl, Provider},
};

impl ConfigKey for Key {
    const PROVIDER: Provider = Provider::S3;
    const VARIABLES: &'static str = "AWS_";
    const OTHER_VARIABLE: Option<(&'static str, Self)> = None;
    const LIST: &'static str =
        "https://docs.rs/object_store/0.14/object_store/aws/enum.AmazonS3ConfigKey.html";

    fn of_client(key: ClientConfigKey) -> Self {
        Self::Client(key)
    }

    fn subject(self) -> Subject {
        match self {
            Self::Bucket => Subject::Bucket,
            Self::AccessKeyId
            | Self::SecretAccessKey
            | Self::Token
            | Self::WebIdentityTokenFile
            | Self::RoleArn
            | Self::ContainerCredentialsRelativeUri
            | Self::ContainerCredentialsFullUri
            | Self::ContainerAuthorizationTokenFile
            | Self::SkipSignature => Subject::Credentials,
            Self::Encryption(_) => Subject::Encryption,
            Self::Endpoint | Self::S3Endpoint => Subject::Endpoint,
            Self::Region | Self::DefaultRegion => Subject::Region,
            _ => Subject::Other,
        }
    }
}

pub(super) fn builder(url: &BucketUrl, settings: &Settings<Key>) -> AmazonS3Builder {
    let builder = AmazonS3Builder::new().with_retry(settings.retry.clone());
    let pairs = settings.pairs.iter();
    let builder = pairs.fold(builder, |builder, (key, value)| builder.with_config(*key, value));
    builder.with_bucket_name(url.bucket())
}

pub(super) fn build(
    url: &BucketUrl,
    options: &StorageOptions,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<AmazonS3, OpenError> {
    let settings = Settings::new(options, environment)?;
    let built = builder(url, &settings).build();
    built.map_err(|error| Settings::refused(&settings.pairs, &error))
}
