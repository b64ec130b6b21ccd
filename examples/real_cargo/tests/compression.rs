//! What cargo makes of a compressed index.

use real_cargo::Cargo;
use registry_http::{
    Compression,
    testing::{TestCrate, TestRegistry},
};

#[test]
fn cargo_reads_a_compressed_index() {
    let registry = TestRegistry::builder()
        .service(|service| service.with_compression(Compression::new(1 << 20)));
    let registry = registry.start();
    for number in 0..20 {
        registry.publish("foo", &format!("1.0.{number}"), "");
    }
    let cargo = Cargo::bare();
    cargo.configure(&registry.config_toml());
    let program = cargo
        .program("uses-foo", "")
        .dependencies("foo = { version = \"1\", registry = \"test\" }");
    // Status, coding and validator of what cargo was answered when it asked for the index file.
    let fetch = || {
        cargo.run_in(&program, ["update"]).success();
        let exchanges = registry.take_exchanges().into_iter();
        let mut files =
            exchanges.filter(|exchange| exchange.request.uri().path().ends_with("/foo"));
        let (asked, answered) = files.next().map(|it| (it.request, it.response)).unwrap();
        assert!(files.next().is_none());
        let header =
            |name| answered.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let known = asked.headers().get("if-none-match");
        let known = known.map(|value| value.to_str().unwrap().to_owned());
        (answered.status().as_u16(), header("content-encoding"), header("etag"), known)
    };
    let (status, coding, etag, known) = fetch();
    assert_eq!((status, coding.as_deref(), known), (200, Some("gzip"), None));
    assert!(program.read("Cargo.lock").contains("version = \"1.0.19\""));

    assert_eq!(fetch(), (304, None, etag.clone(), etag.clone()));
    registry.add(TestCrate::new("foo", "1.1.0"));
    let (status, coding, new_etag, known) = fetch();
    assert_eq!((status, coding.as_deref(), &known), (200, Some("gzip"), &etag));
    assert_ne!(new_etag, etag);
    assert!(program.read("Cargo.lock").contains("version = \"1.1.0\""));
}
