//! What the server prints when it is ready: how to use it.

use std::{fmt, net::SocketAddr, path::Path};

use registry_core::RegistryConfig;

use crate::routes::REGISTRY;

/// The address, a `.cargo/config.toml` for clients, and the command that makes a token.
pub(crate) struct Welcome<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) config: &'a RegistryConfig,
    /// Path of this program.
    pub(crate) program: &'a Path,
    pub(crate) data: &'a Path,
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, config, program, data } = self;
        write!(
            f,
            r#"listening on http://{address}

.cargo/config.toml of a project that uses it, or of a user:

[registries.{REGISTRY}]
index = "{index}"
credential-provider = "cargo:token"

A token, and how cargo gets to know it:

{program} token create --user NAME --data {data} | cargo login --registry {REGISTRY}

Then: cargo publish --registry {REGISTRY}, cargo add CRATE --registry {REGISTRY}. {reads}; for more
see {help}
"#,
            reads = if config.auth_required() {
                "Reads need the token, too"
            } else {
                "Everybody reads"
            },
            help = config.login_url(),
            index = config.index_url(),
            program = Quoted(program),
            data = Quoted(data),
        )
    }
}

/// A path as a shell takes it.
struct Quoted<'a>(&'a Path);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.display().to_string();
        if path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)) {
            f.write_str(&path)
        } else {
            write!(f, "'{}'", path.replace('\'', r"'\''"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_pasted() {
        let welcome = Welcome {
            address: "127.0.0.1:8080".parse().unwrap(),
            config: &RegistryConfig::new("https://crates.example.com/main").unwrap(),
            program: Path::new("/bin/axum_server"),
            data: Path::new("/it's here"),
        };
        assert_eq!(
            welcome.to_string(),
            r#"listening on http://127.0.0.1:8080

.cargo/config.toml of a project that uses it, or of a user:

[registries.main]
index = "sparse+https://crates.example.com/main/index/"
credential-provider = "cargo:token"

A token, and how cargo gets to know it:

/bin/axum_server token create --user NAME --data '/it'\''s here' | cargo login --registry main

Then: cargo publish --registry main, cargo add CRATE --registry main. Everybody reads; for more
see https://crates.example.com/main/me
"#
        );
    }
}
