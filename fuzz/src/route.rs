use http::Method;
use registry_core::store::CrateKey;
use registry_http::route::{Route, parse};

/// No path makes the parser panic, and no name or version that it lets through can leave a folder.
pub fn route(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::POST] {
        let Ok(route) = parse(&method, path) else { continue };
        if let Some(name) = route.crate_name() {
            assert!(name.sparse_path().split('/').all(plain), "{name}");
            assert!(name.lower_prefix().split('/').all(plain), "{name}");
        }
        if let Route::IndexFile(name) = &route {
            assert!(!name.as_str().bytes().any(|b| b.is_ascii_uppercase()));
        }
        if let Route::Download(name, version, checksum) = route {
            let key = CrateKey { name: name.clone(), version, checksum };
            assert!(!key.to_string().contains(['/', '\\', '\0']), "{key}");
        }
    }
}

fn plain(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
