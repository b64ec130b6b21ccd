//! No secret is anywhere but with whom it belongs to: each kind of credential is used rightly and
//! wrongly, and then looked for in all that was logged, answered, stored and printed.

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use registry_core::auth::{Token, oidc::Algorithm};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::{
    accounts::administer_with_input,
    asymmetric::{PUBLIC, SECRET},
    common::{
        AUDIENCE, Cargo, Client, CrateFile, IdentityServer, ObjectServer, Outcome, Place, Recorder,
        Secrets, Server, axum_server, checksum, seen_arguments,
    },
};

const PASSWORD: &str = "correct: horse";
const FILE_TOKEN: &str = "a-token-of-thirty-two-characters";
const BUCKET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const DATABASE_PASSWORD: &str = "no trespassing";
/// What is in each place, and so is found there by whoever looks well.
const PLANTED: &str = "everywhere";

/// All that has been logged, answered, stored and printed, in named pieces.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, place: &str, content: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), content.into()));
    }

    /// All files in a folder.
    fn add_folder(&mut self, place: &str, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.add_folder(place, &path),
                false => self.add(place, fs::read(&path).unwrap()),
            }
        }
    }

    /// Where which secrets are.
    fn leaks(&self, secrets: &Secrets) -> Vec<String> {
        let found = self.0.iter().flat_map(|(place, content)| {
            let found = secrets.found_in(content).into_iter();
            found.map(move |secret| format!("`{secret}` is in the {place}"))
        });
        found.collect()
    }

    /// The names of the places.
    fn places(&self) -> Vec<&str> {
        let mut places: Vec<_> = self.0.iter().map(|(place, _)| place.as_str()).collect();
        places.sort();
        places.dedup();
        places
    }
}

/// A server that takes every kind of credential, and those who have some.
struct Site {
    server: Server,
    recorder: Recorder,
    provider: IdentityServer,
    bucket: ObjectServer,
    key_file: String,
    seen: Seen,
    /// Who may be told a secret: those whose connection begins so.
    told: Vec<(String, String)>,
    _folder: TempDir,
}

impl Site {
    fn start(place: Place) -> Self {
        let folder = TempDir::new().unwrap();
        let (recorder, bucket) = (Recorder::start(), ObjectServer::start());
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let digest = checksum(FILE_TOKEN.as_bytes());
        let robot = format!("[services.robot]\ntokens = [{{ sha256 = \"{digest}\" }}]\n");
        let accounts = write("accounts.toml", &robot);
        let key = "0123456789abcdef".repeat(4);
        let key_file = write("token.key", &key);
        let provider = IdentityServer::start(Algorithm::Es256);
        let ci = format!(
            "prefix = \"corp:\"\nlogin-claim = \"name\"\n[[trusted-publishing]]\n\
             issuer = \"{}\"\naudience = \"{AUDIENCE}\"\n",
            provider.url()
        );
        let public_url = format!("http://{}", recorder.address());
        let place = place
            .with_files_in(&Place::bucket_at(bucket.endpoint(), "bucket"))
            .with("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .with("AWS_SECRET_ACCESS_KEY", BUCKET_KEY)
            .with("AWS_REGION", "eu-central-1");
        let flags = [
            ["--accounts", &accounts],
            ["--token-key-file", &key_file],
            ["--oidc", &provider.file("login", &ci)],
            ["--public-url", &public_url],
            ["--rate-limits", "failed-credentials=1000/1d"],
        ];
        let flags = [&["--private", "--path-tokens"], flags.as_flattened()].concat();
        let server = Server::start_at_with(&place, &flags);
        recorder.lead_to(server.address());
        for secret in [&*key, PASSWORD, FILE_TOKEN, BUCKET_KEY, DATABASE_PASSWORD, SECRET] {
            server.keep_secret(secret);
        }
        let (seen, told) = (Seen::default(), Vec::new());
        Self { server, recorder, provider, bucket, key_file, seen, told, _folder: folder }
    }

    fn client(&self) -> Client {
        Client::new(self.recorder.address()).noting(self.server.secrets())
    }

    fn basic(&self, user: &str, password: &str) -> Client {
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.client().with_token(&format!("Basic {pair}"))
    }

    /// A cargo that does not know a token yet.
    fn cargo(&self) -> Cargo {
        let cargo = Cargo::anonymous(&self.server).with("RUSTC_BOOTSTRAP", "1");
        let index = format!("sparse+http://{}/main/index/", self.recorder.address());
        cargo.with("CARGO_REGISTRIES_MAIN_INDEX", &index)
    }

    /// Runs a command that succeeds, and keeps what it prints.
    fn run(&mut self, command: &str, input: &str) -> String {
        let words: Vec<_> = command.split(' ').collect();
        let outcome = administer_with_input(&self.server, &words, input);
        let printed = outcome.success();
        self.seen.add("output of commands", outcome.stderr() + &printed);
        printed
    }

    /// Says that whoever asks so is told this.
    fn tell(&mut self, request: &str, secret: &str) {
        self.told.push((format!("{request} HTTP/1.1\r\n"), secret.to_owned()));
    }

    /// Asks for all there is, below a prefix. How the index's configuration was answered.
    fn ask_for_all(&self, client: &Client, prefix: &str, name: &str) -> u16 {
        let file = CrateFile::library(name, "1.0.0", b"");
        let of_crate = format!("/main/api/v1/crates/{name}");
        let ask = |method: &str, path: &str, body: &[u8]| {
            client.send(method, &format!("{prefix}{path}"), &[], body).status
        };
        let config = ask("GET", "/main/index/config.json", b"");
        let published = ask("PUT", "/main/api/v1/crates/new", &file.frame());
        assert_eq!(published == 401, config == 401, "{name}");
        let broken = b"{\"nonsense\":";
        for (method, path, body) in [
            ("GET", &*file.index_path(), &b""[..]),
            ("GET", &file.download_path(), b""),
            ("GET", &format!("{of_crate}/1.0.0/download"), b""),
            ("GET", &format!("{of_crate}/owners"), b""),
            ("GET", "/main/api/v1/crates?q=e&per_page=many", b""),
            ("GET", "/main/api/v1/crates?q=e", b""),
            ("GET", "/main/api/v1/me", b""),
            ("GET", "/main/api/v1/me/tokens", b""),
            ("GET", "/main/api/v1/me/keys", b""),
            ("GET", "/main/me", b""),
            ("GET", "/main/nothing", b""),
            ("GET", "/nothing", b""),
            ("DELETE", &format!("{of_crate}/1.0.0/yank"), b""),
            ("PUT", &format!("{of_crate}/2.0.0/unyank"), b""),
            ("PUT", &format!("{of_crate}/owners"), b"{\"users\":[\"nobody\"]}"),
            ("PUT", &format!("{of_crate}/owners"), broken),
            ("PUT", "/main/api/v1/crates/new", broken),
            ("PUT", "/main/api/v1/me/tokens", broken),
            ("PUT", "/main/api/v1/me/keys", broken),
            ("PUT", "/main/api/v1/trusted_publishing/tokens", broken),
            ("POST", "/main/api/v1/trusted_publishing/github_configs", broken),
            ("DELETE", "/main/api/v1/trusted_publishing/tokens", b""),
        ] {
            ask(method, path, body);
        }
        config
    }

    /// Every form of the tokens that users are given.
    fn use_tokens(&mut self) {
        let token = self.run(&format!("token create --user alice --name {PLANTED}"), "");
        let flags = format!("token create --user alice --token-key-file {}", self.key_file);
        let keyed = self.run(&flags, "");
        // What these two printed.
        self.seen.0.truncate(self.seen.0.len() - 2);
        let [token, keyed] = [&token, &keyed].map(|it| it.trim_end());
        let unknown = Token::generate().unwrap().expose().to_owned();
        let misspelt = format!("{}aaaaaa", &token[..token.len() - 6]);
        let tokens = [(token, 200), (keyed, 200), (&unknown, 401), (&misspelt, 401)];
        let mut number = 0;
        for (text, status) in tokens {
            let client = self.client();
            self.server.keep_secret(text);
            let mut ask = |client: &Client, prefix: &str| {
                number += 1;
                let name = format!("token-{number}");
                assert_eq!(self.ask_for_all(client, prefix, &name), status, "{name}");
            };
            for form in ["", "Bearer ", "Token ", "tOKEN  "] {
                ask(&client.clone().with_token(&format!("{form}{text}")), "");
            }
            ask(&self.basic("alice", text), "");
            ask(&self.basic("token", text), "");
            ask(&client, &format!("/t/{text}"));
            self.tell(&format!("GET /t/{text}/main/index/config.json"), text);
            self.misplace(text);
        }
        let token = token.to_owned();
        let (cargo, path) = (self.cargo(), format!("/t/{token}/main/index/"));
        let index = format!("sparse+http://{}{path}", self.recorder.address());
        cargo.with("CARGO_REGISTRIES_MAIN_TOKEN", &token).publish_library(PLANTED, "1.0.0");
        let cargo = Cargo::bare().with("CARGO_REGISTRIES_MAIN_INDEX", &index);
        let app = cargo.program("app", "");
        let app =
            app.dependencies(&format!("{PLANTED} = {{ version = \"1\", registry = \"main\" }}"));
        cargo.run_in(&app, ["fetch"]).success();
    }

    /// A secret where none belongs.
    fn misplace(&self, text: &str) {
        let client = self.client();
        for header in [
            format!("Digest {text}"),
            format!("Basic {text}"),
            format!("Bearer {text} {text}"),
            format!("Bearer{text}"),
            format!("Basic {}", BASE64_STANDARD.encode(text)),
            format!("Bearer {text}\u{e4}"),
        ] {
            let client = client.clone().with_token(&header);
            assert_eq!(client.get("/main/index/config.json").status, 401, "{header}");
            assert_eq!(client.publish(b"").status, 401, "{header}");
        }
        let twice = client.clone().with_token(text);
        let headers = [("authorization", text), ("cookie", text), ("x-api-key", text)];
        twice.get_with("/main/index/config.json", &headers);
        client.get_with("/main/index/config.json", &headers[1..]);
        twice.get(&format!("/t/{text}/main/index/he/ll/hello"));
        for path in ["index/config.json", "api/v1/crates", "api/v1/me", "me", "nothing"] {
            client.get(&format!("/main/{path}?token={text}&per_page={text}"));
        }
        // Where another value belongs.
        for alice in [self.basic("alice", PASSWORD), self.client()] {
            for body in [
                json!({"api_token": {"name": "x", "crate_scopes": [format!("{text}*x")]}}),
                json!({"api_token": {"name": "x", "endpoint_scopes": [text]}}),
                json!({"api_token": {"name": "x", "expires_in": text}}),
                json!({"api_token": {"name": "x", "expired_at": text}}),
                json!({"api_token": text}),
            ] {
                let body = body.to_string();
                alice.put("/main/api/v1/me/tokens", body.as_bytes());
            }
            let key = json!({"key": {"public_key": text}}).to_string();
            alice.put("/main/api/v1/me/keys", key.as_bytes());
            let config = json!({"github_config": text}).to_string();
            let configs = "/main/api/v1/trusted_publishing/github_configs";
            alice.send("POST", configs, &[], config.as_bytes());
        }
    }

    fn use_passwords_and_tokens_made_with_them(&mut self) {
        for (password, status) in [(PASSWORD, 200), ("battery: staple", 401)] {
            let name = format!("password-{status}");
            assert_eq!(self.ask_for_all(&self.basic("alice", password), "", &name), status);
        }
        assert_eq!(self.ask_for_all(&self.basic("robot", FILE_TOKEN), "", "file-basic"), 200);
        for (token, status) in [(FILE_TOKEN, 200), ("another-token-of-thirty-six-characters", 401)]
        {
            let client = self.client().with_token(token);
            assert_eq!(self.ask_for_all(&client, "", &format!("file-{status}")), status);
        }
        let tokens = "/main/api/v1/me/tokens";
        let asked = json!({"api_token": {"name": PLANTED}}).to_string();
        let made = self.basic("alice", PASSWORD).put(tokens, asked.as_bytes());
        let made = made.json()["api_token"]["token"].as_str().unwrap().to_owned();
        self.tell(&format!("PUT {tokens}"), &made);
        let client = self.client().with_token(&made);
        assert_eq!(self.ask_for_all(&client, "", "by-http"), 200);
        assert_eq!(client.send("DELETE", "/main/api/v1/tokens/current", &[], b"").status, 204);
        assert_eq!(self.ask_for_all(&client, "", "by-http-revoked"), 401);
    }

    fn use_identity_tokens(&mut self) {
        let user = self.provider.token(&json!({"name": "carol"}));
        let expired = self.provider.token(&json!({"name": "carol", "exp": 1}));
        for (token, status) in [(&user, 200), (&expired, 401)] {
            for (form, client) in [
                ("bare", self.client().with_token(token)),
                ("bearer", self.client().with_token(&format!("Bearer {token}"))),
                ("basic", self.basic("carol", token)),
            ] {
                let name = format!("oidc-{form}-{status}");
                assert_eq!(self.ask_for_all(&client, "", &name), status, "{name}");
            }
        }
        let add = format!("trusted-publisher add --crate {PLANTED} --buildkite acme/app");
        self.run(&format!("{add} --issuer {}", self.provider.url()), "");
        let run = |more: Value| {
            let mut run = json!({"organization_slug": "acme", "pipeline_slug": "app",
                "build_number": 7});
            run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.provider.token(&run)
        };
        let exchange = |token: &str| {
            let body = json!({ "jwt": token }).to_string();
            self.client().put("/main/api/v1/trusted_publishing/tokens", body.as_bytes())
        };
        let known = run(json!({}));
        let answer = exchange(&known);
        assert_eq!(answer.status, 200);
        for token in [known, run(json!({"exp": 1})), run(json!({"pipeline_slug": "other"}))] {
            assert_eq!(exchange(&token).status, 400);
        }
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        self.tell("PUT /main/api/v1/trusted_publishing/tokens", &token);
        let client = self.client().with_token(&token);
        let file = CrateFile::library(PLANTED, "1.1.0", b"");
        assert_eq!(client.publish(&file.frame()).status, 200);
        assert_eq!(client.publish(&CrateFile::library("other", "1.0.0", b"").frame()).status, 403);
        let end = client.send("DELETE", "/main/api/v1/trusted_publishing/tokens", &[], b"");
        assert_eq!(end.status, 204);
        assert_eq!(client.publish(&file.frame()).status, 401);
    }

    fn use_signed_tokens(&mut self) {
        self.run("key add --user alice", PUBLIC);
        self.run("key list", "");
        let cargo = || {
            let cargo = self.cargo();
            cargo.configure("[unstable]\nasymmetric-token = true");
            cargo.with("CARGO_REGISTRIES_MAIN_CREDENTIAL_PROVIDER", "cargo:paseto")
        };
        let known = cargo().with("CARGO_REGISTRIES_MAIN_SECRET_KEY", SECRET);
        known.publish_library("signed", "1.0.0");
        let unknown = cargo();
        unknown.run(["login", "--registry", "main"]).success();
        let stored = fs::read_to_string(unknown.home().join("credentials.toml")).unwrap();
        let (_, key) = stored.split_once("k3.secret.").unwrap();
        self.server.keep_secret(key.split('"').next().unwrap());
        unknown.publish(&unknown.library("unsigned", "1.0.0")).failure();
        // Cargo tells them to nobody but the server.
        let asked = self.recorder.connections().into_iter().map(|it| it.asked());
        let asked: Vec<_> = asked.map(|it| String::from_utf8_lossy(&it).into_owned()).collect();
        let words = asked.iter().flat_map(|asked| asked.split_ascii_whitespace());
        let signed: Vec<_> = words.filter(|word| word.starts_with("v3.public.")).collect();
        assert!(signed.len() > 2, "{signed:?}");
        for token in signed {
            self.server.keep_secret(token);
            let client = self.client().with_token(token);
            self.ask_for_all(&client, "", "signed-again");
        }
    }

    /// Collects all there is, and searches it.
    fn search(mut self, database: impl Fn() -> Vec<(String, Vec<u8>)>) {
        // While it is in use, too: SQLite has files beside it then.
        self.seen.0.extend(database());
        let listings = ["audit --json", "token list --json", "user list", "trusted-publisher list"];
        for listing in listings {
            let printed = self.run(listing, "");
            self.seen.add(listing, printed);
        }
        let arguments = fs::read(format!("/proc/{}/cmdline", self.server.pid())).unwrap();
        self.seen.add("arguments of the server", arguments);
        self.server.terminate();
        assert!(self.server.wait().success());
        self.seen.add("log", self.server.log());
        self.seen.add("stdout", self.server.stdout());
        fs::write(self.server.data().join("planted"), PLANTED).unwrap();
        self.seen.add_folder("data folder", &self.server.data());
        self.seen.add("arguments of processes", seen_arguments().join(&b'\n'));
        self.seen.0.extend(database());
        for (path, object) in self.bucket.objects() {
            self.seen.add("bucket", [path.as_bytes(), &object].concat());
        }
        for head in self.bucket.heads() {
            self.seen.add("requests to the bucket", head);
        }
        let mut told = 0;
        for connection in self.recorder.connections() {
            let (asked, answer) = (connection.asked(), connection.answered());
            let about: Vec<_> = self
                .told
                .iter()
                .filter(|(request, _)| asked.starts_with(request.as_bytes()))
                .collect();
            let to_be_told = Secrets::default();
            about.iter().for_each(|(_, secret)| to_be_told.add(secret));
            let allowed = to_be_told.found_in(&answer);
            told += allowed.len();
            let mut leaks = self.server.secrets().found_in(&answer);
            leaks.retain(|secret| !allowed.contains(secret));
            let asked = String::from_utf8_lossy(&asked);
            assert_eq!(leaks, [] as [&str; 0], "{}", asked.lines().next().unwrap_or_default());
            self.seen.add("answers", if allowed.is_empty() { answer } else { Vec::new() });
        }
        // Two tokens in a path, one of them twice, one made by HTTP, and one for a run of CI.
        assert_eq!(told, 5);
        assert!(self.server.log().lines().filter(|line| line.contains("TRACE")).count() > 100);
        assert_eq!(self.seen.leaks(self.server.secrets()), [] as [&str; 0]);

        let places = self.seen.places();
        let database = ["index.sqlite-wal", "database"];
        assert!(database.iter().any(|file| places.contains(file)), "{places:?}");
        let planted = Secrets::default();
        planted.add(PLANTED);
        for place in places {
            let of_place = self.seen.0.iter().filter(|(name, _)| name == place);
            let found = of_place.flat_map(|(_, content)| planted.found_in(content)).next();
            // There, what is not secret is not either.
            let without = ["stdout", "user list", "arguments of the server", "index.sqlite-shm"];
            assert_eq!(found.is_some(), !without.contains(&place), "{place}");
        }
    }
}

fn use_every_credential(place: Place) -> Site {
    let mut site = Site::start(place);
    site.run("user add alice --password-stdin", PASSWORD);
    site.use_tokens();
    site.use_passwords_and_tokens_made_with_them();
    site.use_identity_tokens();
    site.use_signed_tokens();
    site
}

#[test]
fn no_secret_is_anywhere_with_sqlite() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("index.sqlite");
    let site = use_every_credential(Place::sqlite_at(&path));
    site.search(|| {
        let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    });
}

#[test]
fn no_secret_is_anywhere_with_postgres() {
    let Some(place) = Place::postgres() else { return };
    let place = place.with_password(DATABASE_PASSWORD);
    let url = place.url().to_owned();
    let site = use_every_credential(place);
    // What libraries log by another crate is there, too.
    assert!(site.server.log().contains("TRACE") && site.server.log().contains("tokio_postgres"));
    site.search(|| {
        registry_core::conformance::run(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let tables = "SELECT table_name FROM information_schema.tables \
                          WHERE table_schema = current_schema()";
            let mut found = Vec::new();
            for table in client.query(tables, &[]).await.unwrap() {
                let table: &str = table.get(0);
                // A row as a text has all its columns, those of bytes in hexadecimal digits.
                let rows = format!("SELECT row::text FROM {table} AS row");
                for row in client.query(&rows, &[]).await.unwrap() {
                    found.push(("database".into(), row.get::<_, String>(0).into_bytes()));
                }
            }
            assert!(found.len() > 100);
            found
        })
    });
}

#[test]
fn the_password_of_a_database_that_is_not_there_is_not_told() {
    let password = DATABASE_PASSWORD.replace(' ', "%20");
    let url = format!("postgres://registry:{password}@127.0.0.1:1/registry");
    let secrets = Secrets::default();
    secrets.add(DATABASE_PASSWORD);
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["token", "list"]] {
        let mut program = axum_server();
        program.args(command).envs([("REGISTRY_INDEX", &*url), ("REGISTRY_LOG", "trace")]);
        let told = Outcome::of(&mut program).failure();
        assert!(told.contains("127.0.0.1:1"), "{told}");
        assert_eq!(secrets.found_in(told.as_bytes()), [] as [&str; 0], "{told}");
    }
}
