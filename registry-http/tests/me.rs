//! `GET /me`: how to configure cargo.

mod common;

use common::Fixture;
use http::StatusCode;

const FIREFOX: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn the_toml_is_what_cargo_needs_and_no_more() {
    let public = Fixture::public().await.get("/me?format=toml").await;
    assert_eq!(public.status, StatusCode::OK);
    assert_eq!(public.header("content-type"), "application/toml");
    assert_eq!(
        public.text(),
        "[registries.main]\nindex = \"sparse+http://registry.test/main/index/\"\n"
    );
    // Without a token, and even to a browser.
    let private = Fixture::private().await.get("/me?format=toml").header("accept", FIREFOX).await;
    assert_eq!(
        private.text(),
        "[registries.main]\nindex = \"sparse+http://registry.test/main/index/\"\n\
         credential-provider = \"cargo:token\"\n"
    );
}

#[tokio::test]
async fn a_program_is_told_the_index_url() {
    let answer = Fixture::private().await.get("/me?format=json").header("accept", FIREFOX).await;
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "name": "main",
            "index": "sparse+http://registry.test/main/index/",
            "auth-required": true,
        })
    );
}

#[tokio::test]
async fn a_registry_is_named_for_where_it_is() {
    let mut registry = Fixture::public().await;
    for (prefix, name) in
        [("/acme/prod", "acme-prod"), ("/tools/", "tools"), ("", "main"), ("/a.b", "main")]
    {
        registry.service = registry.service.with_prefix(prefix);
        let path = format!("/{}/me?format=toml", prefix.trim_matches('/')).replace("//", "/");
        let toml = registry.get(&path).await;
        assert!(toml.text().starts_with(&format!("[registries.{name}]\n")), "{}", toml.text());
    }
}

#[tokio::test]
async fn the_name_of_the_registry_can_be_chosen_among_those_cargo_takes() {
    let mut registry = Fixture::public().await;
    for name in ["", "a b", "a.b", "ä", "a]\n[b"] {
        let error = registry.service.clone().with_name(name).unwrap_err();
        let shown = name.escape_debug();
        assert_eq!(
            error.to_string(),
            format!("`{shown}` is not a registry name: use ASCII letters, digits, `-` and `_`")
        );
    }
    registry.service = registry.service.with_name("my-Crates_1").unwrap();
    let toml = registry.get("/me?format=toml").await;
    assert!(toml.text().starts_with("[registries.my-Crates_1]\n"), "{}", toml.text());
    let text = registry.get("/me").await;
    for part in ["cargo login --registry my-Crates_1\n", "CARGO_REGISTRIES_MY_CRATES_1_TOKEN"] {
        assert!(text.text().contains(part), "{}", text.text());
    }
}

#[tokio::test]
async fn a_terminal_gets_text_with_the_paths_of_each_system() {
    let registry = Fixture::private().await;
    for accept in ["", "*/*", "text/plain"] {
        let answer = registry.get("/me").header("accept", accept).await;
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{accept}");
        let toml = registry.get("/me?format=toml").await;
        for part in ["~/.cargo/config.toml", r"%USERPROFILE%\.cargo\config.toml", toml.text()] {
            assert!(answer.text().contains(part), "{part} in {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_browser_gets_html_that_can_run_and_load_nothing() {
    let answer = Fixture::public().await.get("/me").header("accept", FIREFOX).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        answer.header("content-security-policy"),
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("vary"), "accept");
    for part in [
        "<pre>[registries.main]\nindex = &quot;sparse+http://registry.test/main/index/&quot;\n</pre>",
        "<code>~/.cargo/config.toml</code>",
        r"<code>%USERPROFILE%\.cargo\config.toml</code>",
        "<pre>cargo login --registry main</pre>",
    ] {
        assert!(answer.text().contains(part), "{part} in {}", answer.text());
    }
}

#[tokio::test]
async fn what_the_configuration_says_is_escaped() {
    use registry_core::{Registry, RegistryConfig, memory::*};
    let config = RegistryConfig::new("http://h/<script>&'").unwrap();
    let registry = Registry::builder(config, MemoryIndex::new(), MemoryCrateStore::new()).build();
    let mut fixture = Fixture::public().await;
    fixture.service = registry_http::RegistryService::new(registry);
    let answer = fixture.get("/me").header("accept", "text/html").await;
    assert!(
        answer.text().contains("http://h/&lt;script&gt;&amp;&#39;/index/"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn the_page_needs_no_token_and_looks_at_none() {
    let registry = Fixture::private().await;
    assert_eq!(registry.get("/me").await.status, StatusCode::OK);
    let answer = registry.get("/me").token("Basic x y").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::OK, ""));
}
