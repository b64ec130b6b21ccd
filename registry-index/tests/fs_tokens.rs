//! Tokens in a file: who may read it, and what becomes of it.
#![cfg(all(feature = "fs", unix))]

use std::{
    error::Error as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use registry_core::{
    Login,
    auth::{AuthStoreError, NewToken, TokenDigest, TokenKey, TokenStore as _},
    record::Timestamp,
};
use registry_index::fs::FileTokens;
use tempfile::TempDir;

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("tokens.json")
}

async fn create(tokens: &FileTokens, token: &str) {
    let alice = Login::new("alice").unwrap();
    let new = NewToken::new(&alice, &TokenDigest::of(token), Timestamp(1_709_208_000));
    tokens.create(&new).await.unwrap();
}

async fn is_known(tokens: &FileTokens, token: &str) -> bool {
    tokens.find(&TokenDigest::of(token)).await.unwrap().is_some()
}

/// What is said, with its cause.
fn said(error: &AuthStoreError) -> String {
    format!("{error}: {}", error.source().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_reads_the_file() {
    let folder = TempDir::new().unwrap();
    let tokens = FileTokens::open(file(&folder)).unwrap();
    assert_eq!(mode(&file(&folder)), 0o600);
    create(&tokens, "token").await;
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["tokens.json", "tokens.json.lock"]);
    for name in names {
        assert_eq!(mode(&folder.path().join(&name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_a_killed_process_has_left_is_written_over() {
    let folder = TempDir::new().unwrap();
    let staged = folder.path().join("tokens.json.new");
    let tokens = FileTokens::open(file(&folder)).unwrap();
    create(&tokens, "first").await;
    fs::write(&staged, "{\"format\":").unwrap();
    assert!(is_known(&FileTokens::open(file(&folder)).unwrap(), "first").await);
    create(&tokens, "second").await;
    assert!(!staged.exists());
    let tokens = FileTokens::open(file(&folder)).unwrap();
    assert!(is_known(&tokens, "first").await && is_known(&tokens, "second").await);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_anew() {
    let folder = TempDir::new().unwrap();
    let (tokens, away) = (FileTokens::open(file(&folder)).unwrap(), folder.path().join("away"));
    create(&tokens, "token").await;
    fs::rename(file(&folder), &away).unwrap();
    let expected =
        format!("token store token file failed: cannot look at `{}`", file(&folder).display());
    let digest = TokenDigest::of("token");
    assert_eq!(said(&tokens.find(&digest).await.unwrap_err()), expected);
    let bob = NewToken::new(&Login::new("bob").unwrap(), &TokenDigest::of("b"), Timestamp(1));
    assert_eq!(said(&tokens.create(&bob).await.unwrap_err()), expected);
    assert!(!file(&folder).exists());
    fs::rename(&away, file(&folder)).unwrap();
    assert!(is_known(&tokens, "token").await);
}

#[tokio::test]
async fn a_file_that_somebody_edits_is_read_again() {
    let folder = TempDir::new().unwrap();
    let tokens = FileTokens::open(file(&folder)).unwrap();
    create(&tokens, "token").await;
    let json = fs::read_to_string(file(&folder)).unwrap();
    let edited = json.replace("\"revoked_at\": null", "\"revoked_at\": 1709208001");
    assert_ne!(edited, json);
    fs::write(file(&folder), edited).unwrap();
    let found = tokens.find(&TokenDigest::of("token")).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(Timestamp(1_709_208_001)));
}

#[test]
fn what_is_no_file_of_tokens_is_left_alone_and_not_repeated() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    for (content, reason) in [
        ("", "is no file of tokens, at line 1, column 0"),
        ("{\"secret\":1}", "is no file of tokens, at line 1, column 9"),
        (
            "{\"format\":2,\"table\":{\"keys\":[],\"users\":[],\"tokens\":{}}}",
            "has the format 2, and not 1",
        ),
    ] {
        fs::write(&path, content).unwrap();
        let error = FileTokens::open(&path).unwrap_err();
        let expected = format!("token store token file failed: `{}` {reason}", path.display());
        assert_eq!(said(&error), expected);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_key_from_outside_is_not_in_the_file() {
    let folder = TempDir::new().unwrap();
    let inside = FileTokens::open(file(&folder)).unwrap();
    create(&inside, "before").await;
    let outside = inside.clone().with_key(TokenKey::from_bytes([7; 32]));
    create(&outside, "token").await;
    assert!(!fs::read_to_string(file(&folder)).unwrap().contains(&"07".repeat(32)));
    assert!(is_known(&outside, "token").await && is_known(&outside, "before").await);
    assert!(!is_known(&inside, "token").await);
    let another = inside.with_key(TokenKey::from_bytes([8; 32]));
    assert!(!is_known(&another, "token").await && is_known(&another, "before").await);
}
