//! Registries of an owner, at two segments of the path, as cargo uses them.

use std::{collections::HashMap, error::Error, net::SocketAddr, thread};

use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use real_cargo::Cargo;
use registry_core::{
    Registry, RegistryConfig, RegistryName,
    auth::{TokenAuthenticator, TokenCaller, TokenRequest, Tokens},
    memory::{MemoryCrateStore, MemoryIndex, MemoryTokens},
};
use registry_http::{Registries, RegistryPlace, RegistryService};
use tokio::net::TcpListener;

/// Registries at `/OWNER/NAME/` of a server on this machine, and a token of alice's for all.
struct Namespaces {
    registries: Registries,
    address: SocketAddr,
    token: String,
}

impl Namespaces {
    async fn serve(places: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let tokens = MemoryTokens::new();
        let alice = TokenRequest::new(&"alice".parse()?);
        let token = Tokens::new(tokens.clone()).issue(TokenCaller::Operator, &alice).await?.token;
        let mut map = HashMap::new();
        for (owner, name) in places {
            let config = RegistryConfig::new(&format!("http://{address}/{owner}/{name}"))?;
            let (index, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
            let registry = Registry::builder(config, index.clone(), crates)
                .search(index)
                .authenticator(TokenAuthenticator::new(tokens.clone()))
                .build();
            let place = (RegistryName::new(owner)?, RegistryName::new(name)?);
            map.insert(RegistryPlace::from(place), RegistryService::new(registry));
        }
        let registries = Registries::by_owner_and_name(map);
        let service = TowerToHyperService::new(registries.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut http = http1::Builder::new();
                let http = http.timer(TokioTimer::new());
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service.clone()));
            }
        });
        Ok(Self { registries, address, token: token.expose().to_owned() })
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Empty::<&[u8]>::new()).unwrap();
        let (head, body) = self.registries.handle(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registries_of_an_owner_are_two_for_cargo() {
    let there = Namespaces::serve(&[("acme", "dev"), ("acme", "prod")]).await.unwrap();
    let address = there.address;
    let cargo = Cargo::bare()
        .with("CARGO_REGISTRIES_ACME_DEV_TOKEN", &there.token)
        .with("CARGO_REGISTRIES_ACME_PROD_TOKEN", &there.token);
    // What the set-up text of each says is pasted as it is.
    for name in ["dev", "prod"] {
        let (status, toml) = there.get(&format!("/acme/{name}/me?format=toml")).await;
        let index = format!("sparse+http://{address}/acme/{name}/index/");
        let expected = format!("[registries.acme-{name}]\nindex = \"{index}\"\n");
        assert_eq!((status, &toml), (200, &expected));
        cargo.configure(&toml);
        let (_, json) = there.get(&format!("/acme/{name}/me?format=json")).await;
        assert!(json.contains(&format!(r#""index":"{index}""#)), "{json}");
        let (_, text) = there.get(&format!("/acme/{name}/me")).await;
        for part in [&expected, &format!("cargo login --registry acme-{name}\n")] {
            assert!(text.contains(part), "{text}");
        }
    }
    cargo.configure("[registry]\nglobal-credential-providers = [\"cargo:token\"]\n");
    // URLs that are not quite those of a registry.
    let astray = Cargo::bare();
    astray.configure(&format!(
        "[registries.git]\nindex = \"sparse+http://{address}/acme/prod.git/index/\"\n\
         [registries.cut]\nindex = \"sparse+http://{address}/acme/prod/index\"\n"
    ));
    thread::spawn(move || {
        for (registry, version) in [("acme-dev", "2.0.0"), ("acme-prod", "1.0.0")] {
            let hello = cargo.library("hello", version);
            cargo.run_in(&hello, ["publish", "--no-verify", "--registry", registry]).success();
        }
        for (registry, version) in [("acme-dev", "2.0.0"), ("acme-prod", "1.0.0")] {
            let app = cargo.program(registry, "println!(\"{}\", hello::version())");
            cargo.run_in(&app, ["add", "hello", "--registry", registry]).success();
            assert_eq!(cargo.run_in(&app, ["run"]).success(), format!("{version}\n"));
            let found = cargo.run(["search", "hello", "--registry", registry]).success();
            assert!(found.starts_with(&format!("hello = \"{version}\"")), "{found}");
        }
        // What is only in the one is not in the other.
        let only = cargo.library("only", "1.0.0");
        cargo.run_in(&only, ["publish", "--no-verify", "--registry", "acme-dev"]).success();
        let app = cargo.program("app", "");
        let absent = cargo.run_in(&app, ["add", "only", "--registry", "acme-prod"]).failure();
        assert!(absent.contains("the crate `only` could not be found"), "{absent}");

        let git = astray.run(["search", "hello", "--registry", "git"]).failure();
        assert!(git.contains("config.json not found in registry"), "{git}");
        let cut = astray.run(["search", "hello", "--registry", "cut"]).failure();
        assert!(cut.contains("sparse registry url must end in a slash"), "{cut}");
    })
    .join()
    .unwrap();
    let (status, text) = there.get("/acme/prod/index").await;
    assert!(status == 404 && text.contains("a slash at its end"), "{status} {text}");
}
