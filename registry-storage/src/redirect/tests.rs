use bytes::Bytes;
use registry_core::{Checksum, CrateName, CrateStore, store::CrateKey, version::parse_version};

use super::*;
use crate::ObjectCrateStore;

fn key(version: &str) -> CrateKey {
    CrateKey {
        name: CrateName::new("Foo-Bar").unwrap(),
        version: parse_version(version).unwrap(),
        checksum: Checksum::of("abc"),
    }
}

const FILE: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.crate";

#[cfg(feature = "memory")]
#[tokio::test]
async fn a_file_in_its_place_is_read_at_a_public_url() {
    for base in ["https://cdn.example/a%20b", "https://cdn.example/a%20b//"] {
        let redirect = Redirect::public(base).unwrap();
        let store = ObjectCrateStore::memory().with_redirect(redirect);
        let key = key("1.0.0-rc.1+build");
        // Of a file that is not there, the registry says so itself.
        assert_eq!(store.location(&key).await.unwrap(), None);
        store.put(&key, Bytes::from("abc").into()).await.unwrap();
        let expected = format!("https://cdn.example/a%20b/fo/o-/Foo-Bar/1.0.0-rc.1_build-{FILE}");
        assert_eq!(store.location(&key).await.unwrap(), Some(expected));
    }
}

#[test]
fn only_plain_web_addresses_are_public() {
    const PLAIN: &str = "it must be a plain URL without query, fragment, braces or quotes";
    for (url, reason) in [
        ("", "it must begin with http:// or https://"),
        ("presign", "it must begin with http:// or https://"),
        ("s3://bucket", "it must begin with http:// or https://"),
        ("https:///x", "it names no host"),
        ("https://u:p@cdn", "it must not contain a user name or password"),
        ("https://cdn/?sig=1", PLAIN),
        ("https://cdn/{crate}", PLAIN),
        ("https://cdn/a b", PLAIN),
    ] {
        let error = Redirect::public(url).unwrap_err();
        assert_eq!(error, RedirectError::Url { reason });
        // Nothing of the URL, which may have a secret in it.
        let expected = format!("the URL cannot be where clients read crate files: {reason}");
        assert_eq!(error.to_string(), expected);
    }
}

#[cfg(feature = "aws")]
mod presigned {
    use std::sync::Arc;

    use object_store::{ObjectStore, aws::AmazonS3Builder, memory::InMemory};

    use super::*;

    fn signer() -> Arc<object_store::aws::AmazonS3> {
        let builder = AmazonS3Builder::new().with_bucket_name("bucket").with_region("us-east-1");
        let builder = builder.with_access_key_id("KEYID").with_secret_access_key("secret");
        Arc::new(builder.build().unwrap())
    }

    #[tokio::test]
    async fn a_url_is_signed_for_one_file_and_so_long() {
        let expiry = Duration::from_secs(300);
        let redirect = Redirect::presigned(signer(), expiry).unwrap();
        assert_eq!(format!("{redirect:?}"), "Redirect(presigned for 300s)");
        let files: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = ObjectCrateStore::new(files).with_redirect(redirect);
        let key = key("1.0.0+build");
        store.put(&key, Bytes::from("abc").into()).await.unwrap();
        let url = store.location(&key).await.unwrap().unwrap();
        let (place, query) = url.split_once('?').unwrap();
        let expected =
            format!("https://s3.us-east-1.amazonaws.com/bucket/fo/o-/Foo-Bar/1.0.0_build-{FILE}");
        assert_eq!(place, expected);
        let parameters: Vec<_> =
            query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        let parameter = |name| parameters.iter().find(|(known, _)| *known == name).unwrap().1;
        assert_eq!(parameter("X-Amz-Expires"), "300");
        assert_eq!(parameter("X-Amz-Algorithm"), "AWS4-HMAC-SHA256");
        assert!(parameter("X-Amz-Credential").starts_with("KEYID%2F"), "{url}");
        assert_eq!(parameter("X-Amz-Signature").len(), 64);
        assert!(!url.contains("secret"));
    }

    #[test]
    fn a_url_is_signed_for_a_second_to_a_week() {
        const WEEK: u64 = 7 * 24 * 60 * 60;
        for seconds in [1, WEEK] {
            Redirect::presigned(signer(), Duration::from_secs(seconds)).unwrap();
        }
        for (expiry, text) in [
            (Duration::ZERO, "URLs are signed for 1 to 604800 seconds, not for 0ns"),
            (
                Duration::from_secs(WEEK + 1),
                "URLs are signed for 1 to 604800 seconds, not for 604801s",
            ),
        ] {
            let error = Redirect::presigned(signer(), expiry).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }
}
