//! Publish bodies as cargo 1.95 sent them to a registry at `http://127.0.0.1:35769`.

use proptest::prelude::*;
use registry_core::{
    RegistryConfig, Release, ValidationRules,
    policy::Warning,
    publish::{Metadata, UploadDecoder},
    record::{About, Timestamp},
};

/// Takes a body all the way, or to its first refusal.
fn validate(body: &[u8]) -> Result<Release, String> {
    let rules = ValidationRules::private();
    let config = RegistryConfig::new("http://127.0.0.1:35769")
        .unwrap()
        .with_index_alias("sparse+http://127.0.0.1:35769/own/");
    let mut decoder = UploadDecoder::new(&rules, Some(body.len() as u64)).map_err(text)?;
    decoder.decode(body).map_err(text)?;
    let upload = decoder.finish().map_err(text)?;
    let metadata = Metadata::parse(&upload.metadata, &rules).map_err(text)?;
    Release::validate(&metadata, upload.file, upload.checksum, &rules, &config).map_err(text)
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn publish(body: &[u8]) -> Release {
    validate(body).unwrap()
}

fn line(release: &Release) -> String {
    let line = release.to_line(Timestamp(1_700_000_000)).unwrap();
    String::from_utf8(line.as_bytes().to_vec()).unwrap()
}

#[test]
fn the_least_package_has_the_least_line() {
    let release = publish(include_bytes!("fixtures/least.publish"));
    assert_eq!(
        line(&release),
        concat!(
            r#"{"name":"cap-small","vers":"0.1.0","deps":[],"#,
            r#""cksum":"e0b799078b162419e329183142a5fa240df3a8d80a3ab3f9dea5a76b460e9988""#,
            r#","features":{}"#,
            r#","yanked":false,"pubtime":"2023-11-14T22:13:20Z"}"#,
        )
    );
    assert_eq!((release.about(), release.warnings()), (&About::default(), [].as_slice()));
}

// Its manifest spells the first target `cfg( all(unix , not(target_os="linux")) )`, has a path
// dependency without a version, and takes values and lints from its workspace.
#[test]
fn a_workspace_member_has_the_line_of_its_packaged_manifest() {
    let release = publish(include_bytes!("fixtures/workspace-member.publish"));
    assert_eq!(
        line(&release),
        concat!(
            r#"{"name":"cap-main","vers":"0.3.0","deps":["#,
            r#"{"name":"alias_two","req":">=0.3, <0.5","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"normal","package":"owntwo"},"#,
            r#"{"name":"builddep","req":"^0.1.0","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"build"},"#,
            r#"{"name":"cfg-if","req":"^1","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"normal","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index"},"#,
            r#"{"name":"memchr","req":"*","features":[],"optional":false,"#,
            r#""default_features":false,"kind":"dev","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index"},"#,
            r#"{"name":"opt","req":"=1.0.0","features":[],"optional":true,"#,
            r#""default_features":true,"kind":"normal","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index","package":"cfg-if"},"#,
            r#"{"name":"owndep","req":"^1.2","features":["default","extra","std"],"#,
            r#""optional":false,"default_features":false,"kind":"normal"},"#,
            r#"{"name":"owndep","req":"^1.2","features":[],"optional":false,"#,
            r#""default_features":true,"target":"cfg(all(unix, not(target_os = \"linux\")))","#,
            r#""kind":"normal"},"#,
            r#"{"name":"owntwo","req":"^0.3","features":[],"optional":false,"#,
            r#""default_features":true,"target":"x86_64-pc-windows-msvc","kind":"build"},"#,
            r#"{"name":"owntwo","req":"~0.3.0","features":[],"optional":false,"#,
            r#""default_features":true,"target":"cfg(windows)","kind":"dev"},"#,
            r#"{"name":"renamed","req":"1.*","features":[],"optional":true,"#,
            r#""default_features":true,"kind":"normal","#,
            r#""registry":"sparse+http://127.0.0.1:35769/other/","package":"otherdep"},"#,
            r#"{"name":"withver","req":"^0.1","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"normal"},"#,
            r#"{"name":"withver","req":"^0.1","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"dev"},"#,
            r#"{"name":"wsdep","req":"^2","features":["extra","std"],"optional":false,"#,
            r#""default_features":false,"kind":"normal"}"#,
            r#"],"cksum":"732199b33fb7c3d2dd435defeaef8aad9684047ebcec442173aaf7be1699599f""#,
            r#","features":{"devfeat":["withver/x"]}"#,
            r#","features2":{"default":["std"],"new":["dep:opt","renamed?/extra"],"#,
            r#""std":["owndep/std","opt?/core"],"zed":["new"]}"#,
            r#","yanked":false,"links":"capnative","v":2,"rust_version":"1.75","#,
            r#""pubtime":"2023-11-14T22:13:20Z"}"#,
        )
    );
    let about = About {
        description: Some("from the workspace".into()),
        keywords: vec!["one".into(), "two".into()],
        repository: Some("https://example.com/repo".into()),
        ..About::default()
    };
    assert_eq!((release.about(), release.warnings()), (&about, [].as_slice()));
}

// Packaged with `-Zbindeps` and `public-dependency`; has a path of more than 100 bytes, an
// executable file, and one that Windows cannot have.
#[test]
fn unstable_dependencies_make_a_line_of_version_3() {
    let release = publish(include_bytes!("fixtures/artifact-dependencies.publish"));
    assert_eq!(
        line(&release),
        concat!(
            r#"{"name":"cap_bin","vers":"1.0.0-rc.1+build.5","deps":["#,
            r#"{"name":"builddep","req":"^0","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"normal","artifact":["bin:thing"]},"#,
            r#"{"name":"cfg-if","req":"^1.0.0","features":[],"optional":true,"#,
            r#""default_features":true,"kind":"normal","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index","public":true},"#,
            r#"{"name":"cfg_if_same","req":"^1","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"normal","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index","package":"cfg-if"},"#,
            r#"{"name":"itoa","req":"^1","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"dev","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index"},"#,
            r#"{"name":"log","req":"^0.4","features":[],"optional":false,"#,
            r#""default_features":true,"target":"cfg(target_arch = \"x86\")","kind":"dev","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index"},"#,
            r#"{"name":"memchr","req":">2.5, <2.9","features":[],"optional":true,"#,
            r#""default_features":true,"kind":"normal","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index"},"#,
            r#"{"name":"owndep","req":"^1","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"normal","artifact":["bin","cdylib"],"#,
            r#""bindep_target":"x86_64-unknown-linux-gnu","lib":true},"#,
            r#"{"name":"ryu","req":"^1","features":[],"optional":false,"default_features":true,"#,
            r#""kind":"build","registry":"https://github.com/rust-lang/crates.io-index"},"#,
            r#"{"name":"same","req":"^1","features":[],"optional":false,"#,
            r#""default_features":true,"kind":"normal","#,
            r#""registry":"https://github.com/rust-lang/crates.io-index","package":"cfg-if"}"#,
            r#"],"cksum":"906ca169f69fb5fbb0b4c8fcdac49199e8610da824613fe22d9f6c57a6e01345""#,
            r#","features":{"2d":[]}"#,
            r#","features2":{"with":["cfg-if","memchr?/std"]}"#,
            r#","yanked":false,"v":3,"rust_version":"1.70.0","pubtime":"2023-11-14T22:13:20Z"}"#,
        )
    );
    let warning = Warning("file `src/aux.rs` cannot be unpacked on Windows".into());
    assert_eq!((release.about(), release.warnings()), (&About::default(), [warning].as_slice()));
}

proptest! {
    /// Whatever is changed on the way: no panic, and what is accepted still has a line.
    #[test]
    fn a_damaged_body_is_refused_or_has_a_line(
        which in 0_usize..3,
        changes in proptest::collection::vec((0_usize..3000, any::<u8>()), 1..4),
        json_only in any::<bool>(),
    ) {
        let mut body = [
            &include_bytes!("fixtures/least.publish")[..],
            include_bytes!("fixtures/workspace-member.publish"),
            include_bytes!("fixtures/artifact-dependencies.publish"),
        ][which].to_vec();
        let json = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        for (at, byte) in changes {
            let at = if json_only { 4 + at % json } else { at % body.len() };
            body[at] = byte;
        }
        match validate(&body) {
            Ok(release) => prop_assert!(release.to_line(Timestamp(0)).is_ok()),
            Err(text) => prop_assert!(!text.chars().any(char::is_control), "{}", text),
        }
    }
}
