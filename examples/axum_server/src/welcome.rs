//! What the server prints when it is ready: how to use it.

use std::{
    fmt,
    path::{self, Path, PathBuf},
};

use registry_core::RegistryConfig;

use crate::{
    cli::IndexArgs, error::Error, routes::REGISTRY, token_args::TokenKeyArgs, url::IndexUrl,
};

/// The address, a `.cargo/config.toml` for clients, and the command that makes a token.
pub(crate) struct Welcome<'a> {
    /// With its scheme.
    pub(crate) address: &'a str,
    pub(crate) config: &'a RegistryConfig,
    /// Path of this program.
    pub(crate) program: &'a Path,
    /// What tells the command that makes a token where to put it.
    pub(crate) place: &'a TokenPlace,
}

/// The flags with which another command finds the tokens of this server, wherever it is run.
pub(crate) struct TokenPlace {
    data: Option<PathBuf>,
    index: Option<IndexUrl>,
    key: Option<PathBuf>,
}

impl TokenPlace {
    pub(crate) fn of(args: &IndexArgs, key: &TokenKeyArgs) -> Result<Self, Error> {
        let absolute = |path: &Path| path::absolute(path).unwrap_or_else(|_| path.into());
        let data = Some(absolute(&args.data.folder));
        let key = key.file.as_deref().map(absolute);
        if args.index.is_none() {
            return Ok(Self { data, index: None, key });
        }
        let (data, index) = match args.url()? {
            IndexUrl::Sqlite(path) => (None, IndexUrl::Sqlite(absolute(&path))),
            IndexUrl::Folder(path) => (data, IndexUrl::Folder(absolute(&path))),
            index => (None, index),
        };
        Ok(Self { data, index: Some(index), key })
    }
}

impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(data) = &self.data {
            write!(f, " --data {}", Quoted(&data.display().to_string()))?;
        }
        match &self.index {
            None => {}
            // Not what is printed of it, which may lack a password.
            Some(IndexUrl::Postgres(_)) => f.write_str(" --index \"$REGISTRY_INDEX\"")?,
            Some(index) => write!(f, " --index {}", Quoted(&index.to_string()))?,
        }
        match &self.key {
            None => Ok(()),
            Some(key) => write!(f, " --token-key-file {}", Quoted(&key.display().to_string())),
        }
    }
}

impl Welcome<'_> {
    fn write_read_only(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, config, .. } = self;
        let index = config.index_url();
        write!(
            f,
            r#"listening on {address}

The registry is read-only.

.cargo/config.toml of a project that uses it, or of a user:

[registries.{REGISTRY}]
index = "{index}"
"#
        )?;
        match config.auth_required() {
            true => f.write_str("credential-provider = \"cargo:token\"\n"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, config, program, place } = self;
        if config.is_read_only() {
            return self.write_read_only(f);
        }
        write!(
            f,
            r#"listening on {address}

.cargo/config.toml of a project that uses it, or of a user:

[registries.{REGISTRY}]
index = "{index}"
credential-provider = "cargo:token"

A token, and how cargo gets to know it:

{program} token create --user NAME{place} | cargo login --registry {REGISTRY}

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
            program = Quoted(&program.display().to_string()),
        )
    }
}

/// A text as a shell takes it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-:".contains(&b)) {
            f.write_str(text)
        } else {
            write!(f, "'{}'", text.replace('\'', r"'\''"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(data: Option<&str>, index: Option<&str>) -> TokenPlace {
        let url = |text: &str| IndexUrl::parse(&text.parse().unwrap()).unwrap();
        TokenPlace { data: data.map(PathBuf::from), index: index.map(url), key: None }
    }

    #[test]
    fn a_token_is_put_where_the_server_finds_it() {
        for (place, flags) in [
            (place(Some("/data"), None), " --data /data"),
            (place(None, Some("sqlite:/a b")), " --index 'sqlite:/a b'"),
            (place(Some("/d"), Some("file:/i")), " --data /d --index file:/i"),
            (place(None, Some("s3://b/p")), " --index s3://b/p"),
            (
                TokenPlace { key: Some("/key".into()), ..place(Some("/data"), None) },
                " --data /data --token-key-file /key",
            ),
            (place(None, Some("postgres://u:secret@h/d")), " --index \"$REGISTRY_INDEX\""),
        ] {
            assert_eq!(place.to_string(), flags);
        }
    }

    #[test]
    fn it_can_be_pasted() {
        let welcome = Welcome {
            address: "http://127.0.0.1:8080",
            config: &RegistryConfig::new("https://crates.example.com/main").unwrap(),
            program: Path::new("/bin/axum_server"),
            place: &place(Some("/it's here"), None),
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

    #[test]
    fn a_read_only_registry_tells_of_no_token() {
        let welcome = |config: &RegistryConfig| {
            let (program, place) = (Path::new("/bin/axum_server"), &place(Some("/data"), None));
            let address = "http://127.0.0.1:8080";
            Welcome { address, config, program, place }.to_string()
        };
        let config =
            RegistryConfig::new("https://crates.example.com").unwrap().with_read_only(true);
        let text = "listening on http://127.0.0.1:8080

The registry is read-only.

.cargo/config.toml of a project that uses it, or of a user:

[registries.main]
index = \"sparse+https://crates.example.com/index/\"
";
        assert_eq!(welcome(&config), text);
        let private = welcome(&config.with_auth_required(true));
        assert_eq!(private, text.to_owned() + "credential-provider = \"cargo:token\"\n");
    }
}
