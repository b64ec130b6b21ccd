use object_store::{
    ClientConfigKey,
    azure::{AzureConfigKey as Key, MicrosoftAzure, MicrosoftAzureBuilder},
};

use super::settings::{ConfigKey, Settings, Subject};
use crate::{
    open::OpenError,
    options::StorageOptions,
    url::{BucketUrl, Provider},
};

impl ConfigKey for Key {
    const PROVIDER: Provider = Provider::Azure;
    const VARIABLES: &'static str = "AZURE_";
    const OTHER_VARIABLE: Option<(&'static str, Self)> =
        Some(("IDENTITY_ENDPOINT", Self::MsiEndpoint));
    const LIST: &'static str =
        "https://docs.rs/object_store/0.14/object_store/azure/enum.AzureConfigKey.html";

    fn of_client(key: ClientConfigKey) -> Self {
        Self::Client(key)
    }

    fn subject(self) -> Subject {
        match self {
            Self::ContainerName => Subject::Bucket,
            Self::AccessKey
            | Self::ClientId
            | Self::ClientSecret
            | Self::AuthorityId
            | Self::SasKey
            | Self::Token
            | Self::MsiEndpoint
            | Self::ObjectId
            | Self::MsiResourceId
            | Self::FederatedTokenFile
            | Self::UseAzureCli
            | Self::SkipSignature
            | Self::FabricTokenServiceUrl
            | Self::FabricWorkloadHost
            | Self::FabricSessionToken
            | Self::FabricClusterIdentifier
            | Self::CredentialType => Subject::Credentials,
            Self::EncryptionKey => Subject::Encryption,
            Self::Endpoint => Subject::Endpoint,
            _ => Subject::Other,
        }
    }
}

pub(super) fn builder(url: &BucketUrl, settings: &Settings<Key>) -> MicrosoftAzureBuilder {
    let builder = MicrosoftAzureBuilder::new().with_retry(settings.retry.clone());
    let pairs = settings.pairs.iter();
    let builder = pairs.fold(builder, |builder, (key, value)| builder.with_config(*key, value));
    builder.with_container_name(url.bucket())
}

pub(super) fn build(
    url: &BucketUrl,
    options: &StorageOptions,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<MicrosoftAzure, OpenError> {
    let settings = Settings::new(options, environment)?;
    let built = builder(url, &settings).build();
    built.map_err(|error| Settings::refused(&settings.pairs, &error))
}
