//! `--storage-option`: what is said of the bucket with the crate files.

use tempfile::TempDir;

use crate::common::{CrateFile, ObjectServer, Server, axum_server, checksum};

/// The flags that lead to a bucket of the server, with these settings.
fn flags(endpoint: &str, options: &[&str]) -> Vec<String> {
    let mut flags = vec!["--storage".to_owned(), "s3://bucket/files".to_owned()];
    let endpoint = format!("endpoint={endpoint}");
    let reach = [endpoint.as_str(), "allow_http=true", "access_key_id=id", "secret_access_key=key"];
    for option in reach.iter().chain(options) {
        flags.extend(["--storage-option".to_owned(), (*option).to_owned()]);
    }
    flags
}

fn start(flags: &[String]) -> Server {
    Server::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What the bucket is told of encryption with the file of a crate that is published.
fn told_of_encryption(options: &[&str]) -> Vec<String> {
    let bucket = ObjectServer::start();
    let server = start(&flags(bucket.endpoint(), options));
    let file = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
    let path = format!("/bucket/files/he/ll/hello/1.0.0-{}.crate", file.checksum());
    let puts = bucket.requests("PUT", "x-amz-server-side-encryption");
    puts.into_iter().find(|(put, _)| *put == path).expect("the file was put").1
}

#[test]
fn a_published_file_is_encrypted_as_an_option_says() {
    assert_eq!(told_of_encryption(&[]), [""; 0]);
    let mut told = told_of_encryption(&[
        "aws_server_side_encryption=aws:kms",
        "aws_sse_kms_key_id=arn:aws:kms:eu-central-1:1:key/2",
    ]);
    told.sort();
    assert_eq!(
        told,
        [
            "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:eu-central-1:1:key/2",
            "x-amz-server-side-encryption: aws:kms",
        ]
    );
    // Several in one text, as a variable has them.
    let told = told_of_encryption(&["timeout=10m;server_side_encryption=AES256"]);
    assert_eq!(told, ["x-amz-server-side-encryption: AES256"]);
}

#[test]
fn an_option_counts_for_more_than_a_variable_of_the_provider() {
    let bucket = ObjectServer::start();
    let server = start(&flags(bucket.endpoint(), &[]));
    let file = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
    let elsewhere =
        [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_SESSION_TOKEN", "not of this key")];
    let mut command = server.command(["index", "verify"]);
    command.args(flags(bucket.endpoint(), &[])).envs(elsewhere);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let tokens = bucket.requests("GET", "x-amz-security-token");
    assert!(!tokens.is_empty() && tokens.iter().all(|(_, tokens)| tokens.is_empty()));

    // The variable that has the options is one of ours.
    let by_flag = flags(bucket.endpoint(), &[]);
    let options = by_flag.iter().filter(|flag| flag.contains('=')).cloned().collect::<Vec<_>>();
    let mut command = server.command(["index", "verify", "--storage", "s3://bucket/files"]);
    command.env("REGISTRY_STORAGE_OPTIONS", options.join(";")).envs(elsewhere);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn an_option_that_cannot_be_is_told_without_its_value() {
    let folder = TempDir::new().unwrap();
    for (storage, option, expected) in [
        ("s3://b", "hunter2", "--storage-option: an option is written KEY=VALUE"),
        (
            "s3://b",
            "Hunter2=",
            "--storage-option: the key of an option has other characters than `a` to `z`, digits \
             and `_`",
        ),
        (
            "s3://b",
            "aws_regoin=hunter2",
            "cannot open `s3://b`: `aws_regoin` is no option of `s3:`: there are `max_retries`, \
             `retry_timeout` and those that https://docs.rs/object_store/0.14/object_store/aws/\
             enum.AmazonS3ConfigKey.html lists",
        ),
        (
            "file:crates",
            "region=hunter2",
            "cannot open `file:crates`: `file:` has no options, and so not `region`",
        ),
        (
            "s3://b",
            "timeout=hunter2",
            "cannot open `s3://b`: Generic Config error: failed to parse \"<timeout>\" as Duration; \
             credentials, region and endpoint are taken from options and the environment: `--help` \
             names them",
        ),
    ] {
        for variable in [false, true] {
            let mut command = axum_server();
            command.args(["serve", "--listen", "127.0.0.1:0", "--storage", storage, "--data"]);
            command.arg(folder.path()).current_dir(folder.path());
            match variable {
                true => command.env("REGISTRY_STORAGE_OPTIONS", option),
                false => command.args(["--storage-option", option]),
            };
            command.envs([("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")]);
            let output = command.output().unwrap();
            assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
            assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("error: {expected}\n"));
        }
    }
    let mut command = axum_server();
    let help = command.args(["serve", "--help"]).env("REGISTRY_STORAGE_OPTIONS", "region=hunter2");
    let help = String::from_utf8(help.output().unwrap().stdout).unwrap();
    assert!(help.contains("REGISTRY_STORAGE_OPTIONS") && !help.contains("hunter2"), "{help}");
}

#[test]
fn what_is_kept_in_memory_is_served_until_the_end_and_gone_then() {
    let mut server = Server::start_with(&["--storage", "memory:"]);
    let file = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
    let path = file.download_path();
    assert_eq!(checksum(&server.client().get(&path).body), file.checksum());
    let log = server.log();
    assert!(log.contains("crate files are in memory: when this ends"), "{log}");
    server.terminate();
    assert!(server.wait().success());
    server.restart();
    assert_eq!(server.client().get(&path).status, 404);
}
