//! The client's JSON, rule by rule, at each limit and one beyond.

use super::*;

fn parse(changes: Value) -> Result<(), String> {
    parse_under(&with(changes), &ValidationRules::private())
}

#[test]
fn all_but_name_and_version_may_be_absent_or_null() {
    let keys = [
        "deps",
        "features",
        "authors",
        "description",
        "documentation",
        "homepage",
        "readme",
        "readme_file",
        "keywords",
        "categories",
        "license",
        "license_file",
        "repository",
        "badges",
        "links",
        "rust_version",
        "new_key",
    ];
    let mut nulls = json!({"name": "a", "vers": "1.0.0"});
    assert_eq!(parse_under(&nulls, &ValidationRules::private()), Ok(()));
    for key in keys {
        nulls[key] = Value::Null;
    }
    assert_eq!(parse_under(&nulls, &ValidationRules::private()), Ok(()));
    let dependency = json!({
        "name": "b", "version_req": "1", "features": null, "optional": null,
        "default_features": null, "target": null, "kind": null, "registry": null,
        "explicit_name_in_toml": null, "artifact": null, "bindep_target": null, "lib": null,
    });
    assert_eq!(parse(json!({"deps": [dependency]})), Ok(()));
}

#[test]
fn metadata_that_are_not_of_the_protocol_are_refused() {
    for (json, text) in [
        (r#"{"vers":"1.0.0"}"#, "missing field `name` at line 1 column 16"),
        (r#"{"name":"a"}"#, "missing field `vers` at line 1 column 12"),
        (
            r#"{"name":"a","vers":null}"#,
            "invalid type: null, expected a string at line 1 column 23",
        ),
        (
            r#"{"name":"a","vers":"1.0.0","deps":{}}"#,
            "invalid type: map, expected a sequence at line 1 column 34",
        ),
        (r#"{"name":"a","vers":"1.0.0","name":"b"}"#, "duplicate key `name` at line 1 column 33"),
        ("[]", "not a JSON object"),
    ] {
        let verdict = Metadata::parse(json.as_bytes(), &ValidationRules::private());
        assert_eq!(verdict.unwrap_err().to_string(), format!("invalid upload request: {text}"));
    }
    let deep = "[".repeat(100_000);
    let verdict = Metadata::parse(deep.as_bytes(), &ValidationRules::private());
    assert_eq!(verdict.unwrap_err().to_string(), "invalid upload request: nested too deeply");
}

#[test]
fn names_and_versions_are_refused_with_their_texts() {
    for (changes, text) in [
        (
            json!({"name": "a/b"}),
            "invalid character `/` in crate name: `a/b`, characters must be ASCII letters, digits, `-` or `_`",
        ),
        (json!({"name": "COM1"}), "cannot upload a crate with a reserved name"),
        (json!({"name": "Std"}), "cannot upload a crate with a reserved name"),
        (json!({"vers": "v1.0.0"}), "\"v1.0.0\" is an invalid semver version"),
        (
            json!({"vers": format!("1.0.0-{}", "a".repeat(145))}),
            "the version number is too long (max 150 characters)",
        ),
    ] {
        assert_eq!(parse(changes), refused(text));
    }
    let mut rules = ValidationRules::private();
    rules.reserved_names.insert("My_Co".parse().unwrap());
    assert_eq!(
        parse_under(&with(json!({"name": "my-co"})), &rules),
        refused("cannot upload a crate with a reserved name")
    );
}

#[test]
fn characters_that_harm_a_backend_or_a_terminal_are_refused() {
    for character in ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{202e}', '\u{2066}'] {
        let code = format!("U+{:04X}", u32::from(character));
        for field in ["description", "license", "homepage", "links"] {
            let value = format!("http://{character}");
            assert_eq!(
                parse(json!({ field: value })),
                refused(format!("invalid character {code} in field `{field}`"))
            );
        }
        let value = format!("x{character}");
        assert_eq!(
            parse(json!({"authors": [value], "keywords": []})),
            refused(format!("invalid character {code} in field `authors`"))
        );
    }
    assert_eq!(parse(json!({"description": "two\n\tlines", "readme": "\u{1b}"})), Ok(()));
    assert_eq!(
        parse(json!({"license": "a\nb"})),
        refused("invalid character U+000A in field `license`")
    );
}

#[test]
fn texts_and_lists_have_their_limits() {
    let text = |length| "x".repeat(length);
    let url = |length: usize| format!("http://h/{}", "x".repeat(length - 9));
    let features = |count: usize| {
        (0..count).map(|n| (format!("f{n}"), json!([]))).collect::<serde_json::Map<_, _>>()
    };
    let dependencies = |count: usize| {
        (0..count).map(|n| json!({"name": format!("d{n}"), "version_req": "1"})).collect::<Vec<_>>()
    };
    for (at_limit, beyond, expected) in [
        (
            json!({"description": "é".repeat(1000)}),
            json!({"description": text(1001)}),
            "field `description` is 1001 characters, limit 1000",
        ),
        (
            json!({"homepage": url(2048)}),
            json!({"homepage": url(2049)}),
            "field `homepage` is 2049 characters, limit 2048",
        ),
        (
            json!({"license": text(1024)}),
            json!({"license": text(1025)}),
            "field `license` is 1025 characters, limit 1024",
        ),
        (
            json!({"keywords": vec![text(20); 5]}),
            json!({"keywords": [text(21)]}),
            "field `keywords` is 21 characters, limit 20",
        ),
        (
            json!({"keywords": vec!["a"; 5]}),
            json!({"keywords": vec!["a"; 6]}),
            "a maximum number of 5 keywords is allowed, but the crate has 6",
        ),
        (
            json!({"categories": vec!["a"; 5]}),
            json!({"categories": vec!["a"; 6]}),
            "a maximum number of 5 categories is allowed, but the crate has 6",
        ),
        (
            json!({"features": features(300)}),
            json!({"features": features(301)}),
            "a maximum number of 300 features is allowed, but the crate has 301",
        ),
        (
            json!({"features": {"b": [], "a": vec!["b"; 300]}}),
            json!({"features": {"b": [], "a": vec!["b"; 301]}}),
            "feature `a`: a maximum number of 300 values is allowed, found 301",
        ),
        (
            json!({"deps": dependencies(500)}),
            json!({"deps": dependencies(501)}),
            "a maximum number of 500 dependencies is allowed, but the crate has 501",
        ),
        (
            json!({"deps": [{"name": "b", "version_req": vec![">0"; 32].join(",")}]}),
            json!({"deps": [{"name": "b", "version_req": vec![">0"; 33].join(",")}]}),
            "dependency `b`: `>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0,>0` is not a version requirement",
        ),
    ] {
        assert_eq!(parse(at_limit), Ok(()), "{expected}");
        assert_eq!(parse(beyond), refused(expected));
    }
    let rules = ValidationRules { max_readme_bytes: 3, ..ValidationRules::private() };
    assert_eq!(parse_under(&with(json!({"readme": "abc"})), &rules), Ok(()));
    assert_eq!(
        parse_under(&with(json!({"readme": "abcd"})), &rules),
        refused("field `readme` is 4 bytes, limit 3")
    );
}

#[test]
fn urls_are_of_the_web() {
    for url in ["javascript:alert(1)", " http://h", "ftp://h", "h"] {
        assert_eq!(
            parse(json!({"homepage": url})),
            refused(format!(
                "URL for field `homepage` must begin with http:// or https:// (url: {url})"
            ))
        );
    }
    assert_eq!(
        parse(json!({"repository": "https://"})),
        refused("invalid value in field `repository`: `https://`, expected a URL")
    );
    assert_eq!(parse(json!({"documentation": "https://h/x?y#z", "homepage": ""})), Ok(()));
}

#[test]
fn what_cannot_be_a_dependency_is_refused() {
    for (changes, text) in [
        (
            json!({"name": "<script>"}),
            "dependency `<script>`: invalid character `<` in crate name: `<script>`, characters must be ASCII letters, digits, `-` or `_`",
        ),
        (
            json!({"name": "_b"}),
            "dependency `_b`: invalid character `_` at the start of crate name: `_b`, the first character must be an ASCII letter",
        ),
        (json!({"version_req": ""}), "dependency `b`: `` is not a version requirement"),
        (json!({"version_req": "one"}), "dependency `b`: `one` is not a version requirement"),
        (json!({"kind": "other"}), "dependency `b`: `other` is not a kind of dependency"),
        (json!({"target": "cfg(unix"}), "dependency `b`: `cfg(unix` is not a target"),
        (json!({"features": ["<b>"]}), "dependency `b`: `<b>` is not a feature name"),
        (
            json!({"kind": "dev", "optional": true}),
            "dependency `b`: dev-dependencies are not allowed to be optional",
        ),
        (json!({"artifact": ["exe"]}), "dependency `b`: `exe` is not an artifact"),
        (
            json!({"registry": "file:///etc"}),
            "dependency `b`: `file:///etc` is not a registry: expected http://, https:// or ssh://",
        ),
        (
            json!({"registry": "javascript:x"}),
            "dependency `b`: `javascript:x` is not a registry: expected http://, https:// or ssh://",
        ),
        (
            json!({"registry": "https://u@h/"}),
            "dependency `b`: `https://h/` is not a registry: it holds a user name",
        ),
        (
            json!({"registry": "ssh://git:p@h/"}),
            "dependency `b`: `ssh://h/` is not a registry: it holds a password",
        ),
    ] {
        let mut dependency = json!({"name": "b", "version_req": "1"});
        for (key, value) in changes.as_object().unwrap() {
            dependency[key] = value.clone();
        }
        assert_eq!(parse(json!({"deps": [dependency]})), refused(text));
    }
    let fine = json!({
        "name": "b", "version_req": "*", "registry": "ssh://git@h/x.git",
        "explicit_name_in_toml": "_alias", "target": "x86_64-unknown-linux-gnu",
    });
    assert_eq!(parse(json!({"deps": [fine]})), Ok(()));
}

#[test]
fn features_that_cargo_would_refuse_are_refused() {
    let verdict = |features: Value| {
        parse(json!({
            "deps": [
                {"name": "opt", "version_req": "1", "optional": true},
                {"name": "other", "version_req": "1", "optional": true},
                {"name": "always", "version_req": "1"},
            ],
            "features": features,
        }))
    };
    for (features, text) in [
        (json!({"": []}), "feature ``: this is not a feature name"),
        (json!({"a/b": []}), "feature `a/b`: this is not a feature name"),
        (json!({"dep:opt": []}), "feature `dep:opt`: this is not a feature name"),
        (json!({"f": ["none"]}), "feature `f`: `none` is neither a feature nor a dependency"),
        (json!({"f": ["dep:none"]}), "feature `f`: `dep:none` names no dependency"),
        (json!({"f": ["none/x"]}), "feature `f`: `none/x` names no dependency"),
        (
            json!({"f": ["dep:always"]}),
            "feature `f`: `dep:always` names a dependency that is not optional",
        ),
        (json!({"f": ["always"]}), "feature `f`: `always` names a dependency that is not optional"),
        (
            json!({"f": ["always?/x"]}),
            "feature `f`: `always?/x` names a dependency that is not optional",
        ),
        (json!({"f": ["opt/x/y"]}), "feature `f`: `opt/x/y` does not end in a feature name"),
        (json!({"f": ["dep:opt/x"]}), "feature `f`: `dep:opt/x` names no dependency"),
        (
            json!({"f": ["opt"], "g": ["dep:opt"]}),
            "feature `f`: `opt` names an optional dependency that has no feature of its own, use `dep:`",
        ),
        (json!({"opt": []}), "feature `opt`: nothing turns the optional dependency `opt` on"),
    ] {
        assert_eq!(verdict(features), refused(text));
    }
    for features in [
        json!({"f": ["g", "opt", "opt/x", "opt?/x", "always/x"], "g": [], "2d": []}),
        json!({"opt": ["dep:opt"], "f": ["opt"]}),
        json!({"f": ["dep:opt", "dep:other"], "über+x.y-z_": []}),
    ] {
        assert_eq!(verdict(features), Ok(()));
    }
}

#[test]
fn a_rust_version_is_one_to_three_numbers() {
    for version in ["1", "1.70", "1.70.1", ""] {
        assert_eq!(parse(json!({"rust_version": version})), Ok(()), "{version}");
    }
    for version in ["=1.70", "^1.70", "1.70.0-beta", "1.", "01.2", "1.2.3.4", "stable"] {
        assert_eq!(
            parse(json!({"rust_version": version})),
            refused(format!(
                "invalid value in field `rust-version`: `{version}`, expected a version like `1.70`"
            ))
        );
    }
}

#[test]
fn a_target_nested_to_its_length_is_parsed_or_refused() {
    let target =
        |levels: usize| format!("cfg({}unix{})", "not(".repeat(levels), ")".repeat(levels));
    let verdict = |target: String| {
        parse(json!({"deps": [{"name": "b", "version_req": "1", "target": target}]}))
    };
    assert_eq!(target(203).len(), 1024);
    assert_eq!(verdict(target(203)), Ok(()));
    let beyond = target(204);
    assert_eq!(
        verdict(beyond.clone()),
        refused(format!("dependency `b`: `{}` is not a target", crate::Echo(&beyond)))
    );
}
