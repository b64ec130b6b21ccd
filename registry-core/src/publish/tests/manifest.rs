//! The manifest beside the metadata: what becomes a release, and its line in the index.

use proptest::prelude::*;

use super::*;
use crate::{entry::IndexEntry, publish::manifest::Manifest, record::Timestamp};

/// The entry for metadata and a manifest that say these things beside name and version.
fn entry(changes: Value, manifest: &str) -> Result<IndexEntry, String> {
    let manifest = format!("{PACKAGE}{manifest}");
    release_under(&with(changes), &manifest, &ValidationRules::private())
        .map(|release| release.entry().clone())
}

fn refusal(changes: Value, manifest: &str) -> String {
    entry(changes, manifest).unwrap_err()
}

#[test]
fn the_entry_says_what_the_manifest_says() {
    let manifest = format!(
        r#"
        links = "n"
        rust-version = "1.70"
        [features]
        default = ["std"]
        std = []
        tls = ["dep:c"]
        [dependencies]
        b = {{ version = "1", registry-index = "{OWN}", features = ["y", "x"], default_features = false }}
        c = {{ version = "2", optional = true, package = "real" }}
        [dev_dependencies]
        b = {{ version = "1", registry-index = "http://h/index" }}
        [target.'cfg( unix )'.build-dependencies]
        d = "0.1"
        "#
    );
    let metadata = json!({
        "deps": [
            {"name": "d", "version_req": "^0.1", "kind": "build", "target": "cfg(unix)", "registry": CRATES_IO},
            {"name": "b", "version_req": "^1", "kind": "dev"},
            {"name": "b", "version_req": "^1", "features": ["x", "y"], "default_features": false},
            {"name": "real", "version_req": "^2", "optional": true, "explicit_name_in_toml": "c", "registry": CRATES_IO},
        ],
        "features": {"default": ["std"], "std": [], "tls": ["dep:c"]},
        "links": "n",
        "rust_version": "1.70",
        "description": "not what the manifest says",
    });
    let entry = entry(metadata, &manifest).unwrap();
    assert_eq!(
        serde_json::to_value(&entry).unwrap(),
        json!({
            "name": "a",
            "vers": "1.0.0",
            "deps": [
                {"name": "b", "req": "^1", "features": ["x", "y"], "optional": false, "default_features": false, "kind": "normal"},
                {"name": "b", "req": "^1", "features": [], "optional": false, "default_features": true, "kind": "dev"},
                {"name": "c", "req": "^2", "features": [], "optional": true, "default_features": true, "kind": "normal", "registry": CRATES_IO, "package": "real"},
                {"name": "d", "req": "^0.1", "features": [], "optional": false, "default_features": true, "target": "cfg(unix)", "kind": "build", "registry": CRATES_IO},
            ],
            "cksum": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "features": {"default": ["std"], "std": []},
            "features2": {"tls": ["dep:c"]},
            "yanked": false,
            "links": "n",
            "v": 2,
            "rust_version": "1.70",
        })
    );
}

#[test]
fn a_manifest_that_says_something_else_is_refused() {
    let dependency = json!({"name": "b", "version_req": "^1", "registry": CRATES_IO});
    for (metadata, manifest, text) in [
        (json!({}), "[dependencies]\nb = \"1\"", "dependencies"),
        (json!({"deps": [dependency]}), "", "dependencies"),
        (json!({"deps": [dependency]}), "[dependencies]\nb = \"2\"", "dependencies"),
        (json!({"deps": [dependency]}), "[build-dependencies]\nb = \"1\"", "dependencies"),
        (
            json!({"deps": [dependency]}),
            "[dependencies]\nb = { version = \"1\", default-features = false }",
            "dependencies",
        ),
        (
            json!({"deps": [{"name": "b", "version_req": "^1"}]}),
            "[dependencies]\nb = \"1\"",
            "dependencies",
        ),
        (json!({"features": {"x": []}}), "", "features"),
        (json!({}), "[features]\nx = []", "features"),
        (json!({"links": "z"}), "", "links"),
        (json!({"rust_version": "1.70"}), "rust-version = \"1.71\"", "rust-version"),
    ] {
        assert_eq!(
            refusal(metadata, manifest),
            format!("metadata does not match Cargo.toml: {text}")
        );
    }
    assert_eq!(
        refusal(
            json!({"deps": [{"name": "b", "version_req": "^1"}]}),
            "[dependencies]\nb = { version = \"1\", registry-index = \"sparse+http://localhost/\" }",
        ),
        "metadata does not match Cargo.toml: dependencies \
         (`sparse+http://localhost/` is not an index of this registry)"
    );
    // Nobody else is told how somebody gets in there.
    let dependency = |url| {
        let manifest =
            format!("[dependencies]\nb = {{ version = \"1\", registry-index = \"{url}\" }}");
        refusal(json!({"deps": [{"name": "b", "version_req": "^1"}]}), &manifest)
    };
    for (url, shown) in [
        ("sparse+http://other/index/?key=1#x", "sparse+http://other/index/"),
        ("https://other/t/index", "https://other/t/…"),
        ("https://other/t/", "https://other/t/"),
        ("sparse+http://other/a%2Ft/x/index/", "sparse+http://other/a%2Ft/x/index/"),
    ] {
        let unknown = format!("(`{shown}` is not an index of this registry)");
        let expected = format!("metadata does not match Cargo.toml: dependencies {unknown}");
        assert_eq!(dependency(url), expected);
    }
    const TOKEN: &str = "a token, which all who download the crate would see: name the registry by \
                         the URL without `/t/TOKEN`";
    let token = crate::auth::Token::generate().unwrap();
    let token = token.expose();
    let with_token = format!("https://other/{token}");
    let with_escaped = format!("https://other/x/{}/", token.replace('_', "%5f"));
    for (url, shown, held) in [
        ("sparse+http://ann:pass@other/index/?key=1", "sparse+http://other/index/", "a password"),
        ("http://ann:pa@ss@other", "http://other", "a password"),
        ("https://crg_secret@other/", "https://other/", "a user name"),
        ("sparse+http://other/t/secret/index/", "sparse+http://other/t/…/index/", TOKEN),
        ("sparse+http://other/x/%74/secret/main", "sparse+http://other/x/%74/…/main", TOKEN),
        (&with_token, "https://other/…", TOKEN),
        (&with_escaped, "https://other/x/…/", TOKEN),
    ] {
        let expected = format!("dependency `b`: `{shown}` is not a registry: it holds {held}");
        assert_eq!(dependency(url), expected);
    }
    for url in ["http://ann:pa/ss@other/", "http://ann:pa?ss@other/", "http://ann:pa#ss@other/"] {
        let expected = "dependency `b`: `http://…` is not a registry: expected a URL";
        assert_eq!(dependency(url), expected);
    }
    // Cargo before 1.71 does not send it.
    let unsent = entry(json!({}), "rust-version = \"1.71\"").unwrap();
    assert_eq!(unsent.rust_version.as_deref(), Some("1.71"));
}

#[test]
fn name_and_version_are_those_of_the_manifest_to_the_letter() {
    let verdict = |name: &str, version: &str| {
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"");
        release_under(&least(), &manifest, &ValidationRules::private()).map(drop)
    };
    assert_eq!(verdict("a", "1.0.0"), Ok(()));
    assert_eq!(
        verdict("A", "1.0.0"),
        refused("metadata name `a` does not match manifest name `A`")
    );
    assert_eq!(
        verdict("a", "1.0.0+b"),
        refused("metadata version `1.0.0` does not match manifest version `1.0.0+b`")
    );
}

#[test]
fn a_manifest_that_needs_another_file_is_refused() {
    for (manifest, text) in [
        ("edition.workspace = true", "`package.edition` is inherited from a workspace"),
        ("[lints]\nworkspace = true", "`lints` is inherited from a workspace"),
        ("[patch.crates-io]", "[patch] has no place in a package"),
        ("[replace]", "[replace] has no place in a package"),
        ("x = ", "string values must be quoted, expected literal string at line 4"),
        (
            "[dependencies]\nb = 1",
            "invalid type: integer `1`, expected a version requirement or a table at line 5",
        ),
        ("name = \"b\"", "duplicate key at line 4"),
    ] {
        assert_eq!(
            refusal(json!({}), manifest),
            format!("Cargo.toml manifest is invalid: {text}"),
            "{manifest}"
        );
    }
    for (dependency, text) in [
        ("{ workspace = true }", "it is inherited from a workspace"),
        ("{ version = \"1\", path = \"../b\" }", "it has a path"),
        ("{ version = \"1\", git = \"https://h\" }", "it has a git repository"),
        (
            "{ version = \"1\", registry = \"own\" }",
            "it names a registry, expected `registry-index`",
        ),
        ("{ features = [] }", "it has no version"),
    ] {
        assert_eq!(
            refusal(json!({}), &format!("[dependencies]\nb = {dependency}")),
            format!("dependency `b`: {text}")
        );
    }
    let deep = format!("x = {}", "[".repeat(100_000));
    assert_eq!(refusal(json!({}), &deep), "Cargo.toml manifest is invalid: nested too deeply");
    let metadata_of_others = "[package.metadata]\nworkspace = true\n[badges]\n[profile.release]";
    assert!(entry(json!({}), metadata_of_others).is_ok());
}

#[test]
fn the_line_carries_the_time_of_publication() {
    let release = release_under(&least(), PACKAGE, &ValidationRules::private()).unwrap();
    let line = release.to_line(Timestamp(951_827_696)).unwrap();
    assert_eq!(
        line.as_bytes(),
        concat!(
            r#"{"name":"a","vers":"1.0.0","deps":[],"#,
            r#""cksum":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","#,
            r#""features":{},"yanked":false,"pubtime":"2000-02-29T12:34:56Z"}"#
        )
    );
    let error = release.to_line(Timestamp(u64::MAX)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a publication time of 18446744073709551615 seconds since 1970 cannot be written"
    );
}

#[test]
fn a_line_beyond_the_limit_of_the_index_is_refused() {
    let features = |length: usize| {
        let names: Vec<_> = (0..300).map(|n| format!("{}{n:03}", "f".repeat(length - 3))).collect();
        let of_metadata = names.iter().map(|name| (name.clone(), json!([])));
        let of_manifest = names.iter().map(|name| format!("{name} = []\n"));
        let metadata = with(json!({"features": of_metadata.collect::<serde_json::Map<_, _>>()}));
        (metadata, format!("{PACKAGE}[features]\n{}", of_manifest.collect::<String>()))
    };
    let rules = ValidationRules {
        max_text_chars: 1 << 20,
        max_manifest_bytes: 2 << 20,
        ..ValidationRules::private()
    };
    let verdict = |length| {
        let (metadata, manifest) = features(length);
        release_under(&metadata, &manifest, &rules)
    };
    // Each feature takes its name and six bytes: `"…":[],`, but for the last comma.
    let least = release_under(&least(), PACKAGE, &rules).unwrap();
    let rest = least.to_line(Timestamp(0)).unwrap().as_bytes().len() - 1;
    let fits = (crate::IndexLine::MAX_BYTES - rest) / 300 - 6;
    let line = verdict(fits).unwrap().to_line(Timestamp(u64::from(u32::MAX))).unwrap();
    assert_eq!(line.as_bytes().len(), rest + 300 * (fits + 6));
    let bytes = rest + 300 * (fits + 7);
    assert_eq!(
        verdict(fits + 1).map(drop),
        refused(format!("the index line would be {bytes} bytes, limit 1048576"))
    );
}

proptest! {
    #[test]
    fn any_manifest_is_read_or_refused(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("[dependencies]"), Just("[features]"),
                Just("[target.'cfg(unix)'.dependencies]"), Just("b = '1'"),
                Just("b = { version = '1', optional = true }"), Just("b = {}"),
                Just("b = ['dep:b']"), Just("default = ['b?/x']"), Just("rust-version = '1.2'"),
                Just("links = ''"), Just("description = '\u{202e}'"), Just("x = [[{a.b = 1}]]"),
                Just("keywords = [1]"), Just("\""), Just("[[bin]]"), Just("\u{feff}"),
            ],
            0..8,
        ),
    ) {
        if let Ok(manifest) = Manifest::parse(
            format!("{PACKAGE}{}", lines.join("\n")).as_bytes(),
            &ValidationRules::private(),
        ) {
            prop_assert_eq!(manifest.name, "a");
        }
    }
}
