//! The rules of crates.io, one by one, each beside what just passes it.

use super::*;
use crate::record::About;

/// The verdict on a manifest whose `[package]` goes on like this.
fn verdict(manifest: &str) -> Result<About, String> {
    let manifest = format!("{PACKAGE}{manifest}");
    release_under(&least(), &manifest, &ValidationRules::crates_io())
        .map(|release| release.about().clone())
}

/// The same, with a description and a licence.
fn described(manifest: &str) -> Result<(), String> {
    verdict(&format!("description = \"d\"\nlicense = \"MIT\"\n{manifest}")).map(drop)
}

fn missing(fields: &str) -> String {
    format!(
        "missing or empty metadata fields: {fields}. Please see \
         https://doc.rust-lang.org/cargo/reference/manifest.html for more information on \
         configuring these fields"
    )
}

#[test]
fn a_description_and_a_licence_are_demanded() {
    for (manifest, fields) in [
        ("", "description, license"),
        ("description = \"\"\nlicense = \"MIT\"", "description"),
        ("description = \"d\"", "license"),
        ("description = \"d\"\nlicense = \"\"", "license"),
        ("description = \"d\"\nlicense-file = \"\"", "license"),
    ] {
        assert_eq!(verdict(manifest), Err(missing(fields)), "{manifest}");
    }
    let about = About { description: Some("d".into()), ..About::default() };
    for license in
        ["license = \"MIT\"", "license-file = \"L\"", "license = \"\"\nlicense-file = \"L\""]
    {
        assert_eq!(verdict(&format!("description = \"d\"\n{license}")), Ok(about.clone()));
    }
}

#[test]
fn a_description_is_counted_in_bytes() {
    let of =
        |text: String| verdict(&format!("description = \"{text}\"\nlicense = \"MIT\"")).map(drop);
    assert_eq!(of("é".repeat(500)), Ok(()));
    assert_eq!(of("é".repeat(500) + "x"), refused("field `description` is 1001 bytes, limit 1000"));
}

#[test]
fn a_licence_is_an_spdx_expression() {
    let of =
        |license: &str| verdict(&format!("description = \"d\"\nlicense = \"{license}\"")).map(drop);
    for license in [
        "MIT OR Apache-2.0",
        "MIT/Apache-2.0",
        "MIT / Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-2.0+",
        "GPL-3.0",
        "LicenseRef-Ours",
    ] {
        assert_eq!(of(license), Ok(()), "{license}");
    }
    for license in ["Mine", "mit", "Apache 2", "Apache2", "MIT,Apache-2.0", "MIT OR", "MIT OR Mine"]
    {
        assert_eq!(
            of(license),
            refused(format!(
                "invalid value in field `license`: `{license}`, expected an SPDX licence expression"
            ))
        );
    }
}

#[test]
fn keywords_and_categories_have_their_grammar() {
    for list in [
        r#"keywords = ["c++", "3d", "no_std", "x-y", "twenty-characters-xx"]"#,
        r#"categories = ["no-std::no-alloc", "science", "a2"]"#,
    ] {
        assert_eq!(described(list), Ok(()), "{list}");
    }
    for keyword in ["", "-x", "+x", "a b", "ä", "a.b"] {
        assert_eq!(
            described(&format!("keywords = [\"ok\", \"{keyword}\"]")),
            refused(format!(
                "invalid value in field `keywords`: `{keyword}`, \
                 expected an ASCII letter or digit, then letters, digits, `_`, `-` or `+`"
            ))
        );
    }
    for category in ["", "Science", "a:b", "a::", "::a", "a b", "ä"] {
        assert_eq!(
            described(&format!("categories = [\"{category}\"]")),
            refused(format!(
                "invalid value in field `categories`: `{category}`, \
                 expected lower-case ASCII letters, digits and `-`, levels joined by `::`"
            ))
        );
    }
    for (list, text) in [
        (
            r#"keywords = ["a", "b", "c", "d", "e", "f"]"#,
            "a maximum number of 5 keywords is allowed, but the crate has 6",
        ),
        (
            r#"categories = ["a", "b", "c", "d", "e", "f"]"#,
            "a maximum number of 5 categories is allowed, but the crate has 6",
        ),
        (r#"keywords = ["twenty-one-characters"]"#, "field `keywords` is 21 characters, limit 20"),
    ] {
        assert_eq!(described(list), refused(text));
    }
}

#[test]
fn urls_and_rust_versions_are_held_to_what_every_registry_asks() {
    assert_eq!(described("homepage = \"https://h\"\nrust-version = \"1.85\""), Ok(()));
    assert_eq!(
        described("repository = \"git://h\""),
        refused("URL for field `repository` must begin with http:// or https:// (url: git://h)")
    );
    assert_eq!(
        described("rust-version = \"1.85-nightly\""),
        refused(
            "invalid value in field `rust-version`: `1.85-nightly`, expected a version like `1.70`"
        )
    );
}

#[test]
fn dependencies_are_on_some_version_in_this_registry() {
    let verdict = |req: &str, sent: Value, registry: &str| {
        let dependency = json!({"name": "b", "version_req": req, "registry": sent});
        let manifest = format!(
            "{PACKAGE}description = \"d\"\nlicense = \"MIT\"\n\
             [dependencies]\nb = {{ version = \"{req}\"{registry} }}"
        );
        let metadata = with(json!({"deps": [dependency]}));
        release_under(&metadata, &manifest, &ValidationRules::crates_io()).map(drop)
    };
    let own = format!(", registry-index = \"{OWN}\"");
    for req in ["^1", "1.*", ">=0"] {
        assert_eq!(verdict(req, Value::Null, &own), Ok(()), "{req}");
        assert_eq!(verdict(req, json!(""), &own), Ok(()), "{req}");
    }
    let foreign = refused("dependency `b`: cross-registry dependencies are not permitted");
    assert_eq!(verdict("^1", json!("https://o/"), ", registry-index = \"https://o/\""), foreign);
    assert_eq!(verdict("^1", json!(CRATES_IO), ""), foreign);
    assert_eq!(
        verdict("*", Value::Null, &own),
        refused("dependency `b`: wildcard (`*`) dependency constraints are not allowed")
    );
}
