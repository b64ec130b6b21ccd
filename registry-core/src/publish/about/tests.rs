use super::*;
use crate::conformance::fixture::crate_file;

fn read(file: Vec<u8>) -> About {
    let file = CrateBody::from(bytes::Bytes::from(file));
    read_about(&file, "foo-1.0.0", &ValidationRules::private())
}

fn manifest(text: &str) -> About {
    about_in(text, &ValidationRules::private()).unwrap_or_default()
}

#[test]
fn a_file_is_read_as_far_as_the_manifest() {
    let whole = crate_file(
        "foo",
        "1.0.0",
        "description = \"d\"\nkeywords = [\"k\", \"l\"]\nhomepage = \"https://h\"\n\
         documentation = \"http://d\"\nrepository = \"https://r\"\n",
    );
    let about = About {
        description: Some("d".into()),
        keywords: vec!["k".into(), "l".into()],
        homepage: Some("https://h".into()),
        documentation: Some("http://d".into()),
        repository: Some("https://r".into()),
    };
    assert_eq!(read(whole.clone()), about);
    // What follows the manifest is nobody's business here.
    assert_eq!(read([&whole[..], b"more"].concat()), about);

    for file in [vec![], b"not gzip".to_vec(), whole[..40].to_vec(), crate_file("bar", "1.0.0", "")]
    {
        assert_eq!(read(file), About::default());
    }
}

#[test]
fn of_a_manifest_that_breaks_a_rule_the_rest_is_read() {
    let long = "x".repeat(1001);
    let about = manifest(&format!(
        "[package]\nname = 1\ndescription = \"{long}\"\nkeywords = [\"a\", 2, \"\\u001b\", \
         \"b\", \"c\", \"d\", \"e\", \"f\"]\nhomepage = \"javascript:x\"\ndocumentation = \"\"\n\
         repository = \"https://r\"\n"
    ));
    let expected = About {
        keywords: ["a", "b", "c", "d", "e"].map(Into::into).into(),
        repository: Some("https://r".into()),
        ..About::default()
    };
    assert_eq!(about, expected);
    let old = manifest("[project]\nname = \"foo\"\ndescription = \"old\"\n");
    assert_eq!(old.description.as_deref(), Some("old"));
    for text in ["", "[package", "package = 1", "[package.description]\nx = 1"] {
        assert_eq!(manifest(text), About::default(), "{text}");
    }
    let deep = format!("[package]\nx = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(manifest(&deep), About::default());
}
