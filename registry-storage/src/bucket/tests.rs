use object_store::{
    ClientConfigKey::{self, ReadTimeout, Timeout},
    aws::{AmazonS3Builder, AmazonS3ConfigKey as S3Key},
    azure::{AzureConfigKey as AzureKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as GoogleKey},
};

use super::{settings::Settings, *};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn owned(pairs: Pairs<'_>) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|&(key, value)| (key.into(), value.into()))
}

fn options(pairs: Pairs<'_>) -> StorageOptions {
    owned(pairs).collect()
}

fn url(provider: Provider) -> BucketUrl {
    BucketUrl::new(provider, "bucket", "prefix").unwrap()
}

fn of_s3(given: Pairs<'_>, environment: Pairs<'_>) -> AmazonS3Builder {
    s3::builder(&url(Provider::S3), &Settings::new(&options(given), owned(environment)).unwrap())
}

fn of_google(given: Pairs<'_>, environment: Pairs<'_>) -> GoogleCloudStorageBuilder {
    let settings = Settings::new(&options(given), owned(environment)).unwrap();
    google::builder(&url(Provider::Google), &settings)
}

fn of_azure(given: Pairs<'_>, environment: Pairs<'_>) -> MicrosoftAzureBuilder {
    let settings = Settings::new(&options(given), owned(environment)).unwrap();
    azure::builder(&url(Provider::Azure), &settings)
}

/// What is refused, for whatever reason, of a bucket of S3.
fn refused(given: Pairs<'_>, environment: Pairs<'_>) -> OpenError {
    s3::build(&url(Provider::S3), &options(given), owned(environment)).unwrap_err()
}

/// Measured in minutes, so that nothing shorter than a look at the settings would show it.
#[test]
fn a_slow_download_is_not_cut_off_unless_somebody_says_so() {
    let of_each = |given, environment: [Pairs<'_>; 3], key| {
        [
            of_s3(given, environment[0]).get_config_value(&S3Key::Client(key)),
            of_google(given, environment[1]).get_config_value(&GoogleKey::Client(key)),
            of_azure(given, environment[2]).get_config_value(&AzureKey::Client(key)),
        ]
        .map(Option::unwrap)
    };
    let says: [Pairs<'_>; 3] =
        [&[("AWS_TIMEOUT", "2h")], &[("GOOGLE_TIMEOUT", "2h")], &[("AZURE_TIMEOUT", "2h")]];
    let nothing: [Pairs<'_>; 3] = [&[]; 3];
    assert_eq!(of_each(&[], nothing, Timeout), ["1 hour"; 3]);
    assert_eq!(of_each(&[], nothing, ReadTimeout), ["20 seconds"; 3]);
    assert_eq!(of_each(&[], says, Timeout), ["2h"; 3]);
    assert_eq!(of_each(&[("timeout", "3h")], says, Timeout), ["3h"; 3]);
    assert_eq!(of_each(&[("timeout", "3h")], says, ReadTimeout), ["20 seconds"; 3]);
}

#[test]
fn a_request_is_repeated_for_as_long_as_is_said() {
    let retry = |given| {
        let retry = Settings::<S3Key>::new(&options(given), []).unwrap().retry;
        (retry.max_retries, retry.retry_timeout.as_millis())
    };
    assert_eq!(retry(&[]), (10, 20_000));
    assert_eq!(retry(&[("max_retries", "0"), ("retry_timeout", "1s 500ms")]), (0, 1_500));
}

#[test]
fn options_count_for_more_than_the_environment() {
    let environment: Pairs<'_> = &[
        ("AWS_ACCESS_KEY_ID", "env-id"),
        ("AWS_SECRET_ACCESS_KEY", "env-secret"),
        ("AWS_SESSION_TOKEN", "env-token"),
        ("AWS_REGION", "env-region"),
        ("AWS_ENDPOINT_URL_S3", "https://env"),
        ("AWS_BUCKET", "env-bucket"),
        ("AWS_SSE_KMS_KEY_ID", "env-key"),
        ("AWS_NO_SUCH_THING", "x"),
        ("REGION", "x"),
    ];
    let of = |given| {
        let builder = of_s3(given, environment);
        let keys = [
            S3Key::AccessKeyId,
            S3Key::Token,
            S3Key::Region,
            S3Key::Endpoint,
            S3Key::S3Endpoint,
            S3Key::Bucket,
            "aws_sse_kms_key_id".parse().unwrap(),
        ];
        keys.map(|key| builder.get_config_value(&key))
    };
    let found =
        |values: [&str; 7]| values.map(|value| (!value.is_empty()).then(|| value.to_owned()));
    assert_eq!(
        of(&[]),
        found(["env-id", "env-token", "env-region", "", "https://env", "bucket", "env-key"])
    );
    // A credential is taken whole from one place: the token belongs to the other key.
    assert_eq!(
        of(&[("access_key_id", "id"), ("aws_secret_access_key", "secret")]),
        found(["id", "", "env-region", "", "https://env", "bucket", "env-key"])
    );
    assert_eq!(
        of(&[
            ("aws_default_region", "region"),
            ("endpoint", "https://option"),
            ("aws_server_side_encryption", "AES256"),
        ]),
        found(["env-id", "env-token", "region", "https://option", "", "bucket", ""])
    );
    let of_two = of_s3(&[("region", "one"), ("aws_region", "two")], &[]);
    assert_eq!(of_two.get_config_value(&S3Key::Region).unwrap(), "two");
}

#[test]
fn each_provider_is_told_by_its_own_variables() {
    let environment: Pairs<'_> = &[
        ("SERVICE_ACCOUNT", "plain.json"),
        ("GOOGLE_BASE_URL", "https://env"),
        ("IDENTITY_ENDPOINT", "http://identity"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_STORAGE_SAS_TOKEN", "env-sas"),
    ];
    let google = |given, key| of_google(given, environment).get_config_value(&key);
    assert_eq!(google(&[], GoogleKey::ServiceAccount).unwrap(), "plain.json");
    assert_eq!(google(&[], GoogleKey::BaseUrl).unwrap(), "https://env");
    assert_eq!(google(&[("bearer_token", "token")], GoogleKey::ServiceAccount), None);
    let azure = |given, key| of_azure(given, environment).get_config_value(&key);
    assert_eq!(azure(&[], AzureKey::MsiEndpoint).unwrap(), "http://identity");
    assert_eq!(azure(&[], AzureKey::SasKey).unwrap(), "env-sas");
    assert_eq!(azure(&[("access_key", "a2V5")], AzureKey::SasKey), None);
    assert_eq!(azure(&[("access_key", "a2V5")], AzureKey::AccountName).unwrap(), "account");
}

#[test]
fn an_option_that_does_nothing_is_refused() {
    for (given, expected) in [
        (
            ("aws_regoin", "x"),
            "`aws_regoin` is no option of `s3:`: there are `max_retries`, `retry_timeout` and \
             those that https://docs.rs/object_store/0.14/object_store/aws/enum.AmazonS3ConfigKey\
             .html lists",
        ),
        (
            ("Wrong=Secret", "x"),
            "`…` is no option of `s3:`: there are `max_retries`, `retry_timeout` and those that \
             https://docs.rs/object_store/0.14/object_store/aws/enum.AmazonS3ConfigKey.html lists",
        ),
        (("bucket_name", "b"), "the option `bucket_name` is the bucket, which is in the URL"),
        (("max_retries", "x"), "the value of the option `max_retries` is not a number"),
        (
            ("retry_timeout", "20"),
            "the value of the option `retry_timeout` is not a duration, as `20s` is",
        ),
    ] {
        assert_eq!(refused(&[given], &[]).to_string(), expected);
    }
    let given = options(&[("account_name", "x")]);
    let google = google::build(&url(Provider::Google), &given, []).unwrap_err().to_string();
    assert!(google.starts_with("`account_name` is no option of `gs:`: "), "{google}");
    let given = options(&[("region", "x")]);
    let azure = azure::build(&url(Provider::Azure), &given, []).unwrap_err().to_string();
    assert!(azure.starts_with("`region` is no option of `az:`: "), "{azure}");
}

fn assert_hides(shown: &dyn std::fmt::Debug) {
    let shown = format!("{shown:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn no_error_shows_a_value() {
    let key = [("aws_access_key_id", "id"), ("aws_secret_access_key", "swordfish")];
    for (wrong, said) in [
        (("timeout", "hunter2"), "failed to parse \"<timeout>\" as Duration"),
        (("unsigned_payload", "hunter2"), "failed to parse \"<aws_unsigned_payload>\" as boolean"),
        (("server_side_encryption", "hunter2"), "<aws_server_side_encryption>"),
        (("checksum_algorithm", "hunter2"), "<aws_checksum_algorithm>"),
        (("user_agent", "hunter2\n"), "<user_agent>"),
        (("proxy_url", "http://u:hunter2@[/"), "error"),
        (("endpoint", "https://u:hunter2@h"), ""),
        (("aws_endpoint_url_s3", "https://h?k=hunter2"), ""),
        (("endpoint", "http://hunter2"), ""),
    ] {
        // Whether it is said by an option or a variable.
        let variable = (format!("AWS_{}", wrong.0.to_uppercase()), wrong.1.to_owned());
        let place = url(Provider::S3);
        let by_option = [key[0], key[1], wrong];
        let errors = [
            s3::build(&place, &options(&by_option), []).err(),
            s3::build(&place, &options(&key), [variable]).err(),
        ];
        for error in errors.into_iter().flatten() {
            assert_hides(&error);
            assert_hides(&crate::tests::causes(&error));
            if let OpenError::Settings { source } = error {
                assert!(source.to_string().contains(said), "{source}");
            }
        }
    }
    let half = refused(&[key[1]], &[]);
    assert_eq!(
        crate::tests::causes(&half),
        "the settings of the bucket do not do: Generic S3 error: Missing AccessKeyId"
    );
    let endpoint = refused(&[("endpoint", "https://u:hunter2@h")], &[]);
    assert_eq!(
        endpoint.to_string(),
        "the endpoint `aws_endpoint` has a user, a password or a query in it"
    );
}

#[test]
fn no_store_shows_a_secret() {
    let opened = |provider, given| {
        let place = url(provider);
        let options = options(given);
        match provider {
            Provider::S3 => Bucket::named(&place, s3::build(&place, &options, []).unwrap()),
            Provider::Google => Bucket::named(&place, google::build(&place, &options, []).unwrap()),
            Provider::Azure => Bucket::named(&place, azure::build(&place, &options, []).unwrap()),
        }
    };
    let s3: Pairs<'_> = &[
        ("access_key_id", "id"),
        ("secret_access_key", "hunter2"),
        ("token", "hunter2"),
        ("server_side_encryption", "sse-c"),
        ("sse_customer_key_base64", "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="),
        ("proxy_url", "http://u:hunter2@proxy"),
    ];
    let azure: Pairs<'_> = &[("account_name", "account"), ("sas_token", "sig=hunter2")];
    for (provider, given, shown) in [
        (Provider::S3, s3, "s3://bucket/prefix"),
        (Provider::Google, &[("bearer_token", "hunter2")], "gs://bucket/prefix"),
        (Provider::Azure, azure, "az://bucket/prefix"),
    ] {
        let bucket = opened(provider, given);
        let crates = crate::ObjectCrateStore::of_bucket("bucket", &bucket);
        assert_eq!(format!("{:?}", bucket.store()), format!("Bucket({shown})"));
        assert_eq!(bucket.store().to_string(), shown);
        assert_eq!(format!("{:?}", bucket.signer()), format!("Bucket({shown})"));
        assert_eq!(format!("{crates:?}"), format!("ObjectCrateStore({shown})"));
        assert_hides(&bucket);
        assert_hides(&options(given));
    }
}

#[tokio::test]
async fn a_signed_url_leads_below_the_prefix() {
    let place = url(Provider::S3);
    let given = options(&[
        ("access_key_id", "id"),
        ("secret_access_key", "hunter2"),
        ("endpoint", "https://cdn.example"),
    ]);
    let bucket = Bucket::named(&place, s3::build(&place, &given, []).unwrap());
    let crates = crate::ObjectCrateStore::of_bucket("S3", &bucket);
    let (path, minute) = ("1/a/x.crate".into(), std::time::Duration::from_secs(60));
    for signer in [bucket.signer(), crates.signer().unwrap()] {
        let method = object_store::signer::Method::GET;
        let signed = signer.signed_url(method, &path, minute).await.unwrap();
        assert_eq!(
            signed.as_str().split_once('?').unwrap().0,
            "https://cdn.example/bucket/prefix/1/a/x.crate"
        );
    }
}

#[test]
fn what_is_kept_elsewhere_has_no_signer() {
    assert!(crate::ObjectCrateStore::memory().signer().is_none());
}

/// The names of the settings in the documentation of this crate.
#[test]
fn documented_keys_exist() {
    for key in ["aws_region", "aws_server_side_encryption", "aws_sse_kms_key_id", "timeout"] {
        assert!(key.parse::<S3Key>().is_ok(), "{key}");
    }
    assert!("proxy_url".parse::<ClientConfigKey>().is_ok());
}
