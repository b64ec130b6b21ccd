use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use real_cargo::{Registry, Witness};
use tempfile::TempDir;

use super::{Client, Place, Secrets, seen_arguments, wait_for, watch_arguments};

/// A running `axum_server` with a data folder of its own, which logs all there is. Killed when
/// dropped; no secret of its users may be in what is left of it.
pub(crate) struct Server {
    folder: TempDir,
    place: Option<Place>,
    flags: Vec<String>,
    /// The program under which it runs, with its arguments.
    under: Vec<String>,
    process: Child,
    scheme: String,
    address: String,
    starts: usize,
    secrets: Secrets,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with further flags behind `serve`.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        Self::start_as(None, &[], flags)
    }

    /// Starts under another program, which becomes the server, and with further flags.
    pub(crate) fn start_under(under: &[&str], flags: &[&str]) -> Self {
        Self::start_as(None, under, flags)
    }

    /// Starts with its index somewhere else than in the data folder.
    pub(crate) fn start_at(place: &Place) -> Self {
        Self::start_at_with(place, &[])
    }

    /// Starts with its index somewhere else, and with further flags behind `serve`.
    pub(crate) fn start_at_with(place: &Place, flags: &[&str]) -> Self {
        Self::start_as(Some(place.clone()), &[], flags)
    }

    fn start_as(place: Option<Place>, under: &[&str], flags: &[&str]) -> Self {
        watch_arguments();
        let folder = TempDir::new().unwrap();
        let [under, flags] =
            [under, flags].map(|words| words.iter().map(|&it| it.into()).collect::<Vec<String>>());
        let process = spawn(folder.path(), place.as_ref(), &under, &flags, 0);
        let (scheme, address) = (String::new(), String::new());
        let (starts, secrets) = (0, Secrets::default());
        let mut server =
            Self { folder, place, flags, under, process, scheme, address, starts, secrets };
        server.await_address();
        server
    }

    fn await_address(&mut self) {
        self.address = wait_for("the server to listen", || {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            let stdout = self.stdout();
            let (line, _) = stdout.split_once('\n')?;
            Some(line.strip_prefix("listening on ").expect(line).to_owned())
        });
        let (scheme, address) = self.address.split_once("://").expect("a URL");
        (self.scheme, self.address) = (scheme.into(), address.into());
    }

    /// `ADDR:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Base URL of the registry.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}/main", self.scheme, self.address)
    }

    /// The index URL, as a client configures it.
    pub(crate) fn index_url(&self) -> String {
        format!("sparse+{}/index/", self.url())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A client for single requests, without a token.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address).noting(&self.secrets)
    }

    /// A client that brings a new token of `user`.
    pub(crate) fn client_of(&self, user: &str) -> Client {
        self.client().with_token(&self.token(user))
    }

    /// The command that makes a token for `user`.
    pub(crate) fn token_command(&self, user: &str) -> Command {
        self.command(["token", "create", "--user", user])
    }

    /// A command about the data of this server.
    pub(crate) fn command<'a>(&self, command: impl IntoIterator<Item = &'a str>) -> Command {
        on_data(self.folder.path(), self.place.as_ref(), command)
    }

    /// A new token of `user`.
    pub(crate) fn token(&self, user: &str) -> String {
        let output = self.token_command(user).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let line = String::from_utf8(output.stdout).unwrap();
        let token = line.strip_suffix('\n').expect("a line");
        self.keep_secret(token);
        token.to_owned()
    }

    /// What is to be nowhere but with whom it belongs to: what comes from [`Server::token`], what a
    /// [`Client`] sends or is given, and what a cargo has as its token.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Adds a text to the secrets.
    pub(crate) fn keep_secret(&self, text: &str) {
        self.secrets.add(text);
    }

    /// Which secrets are where they are not to be: in the log, in the arguments of some process, or in
    /// the SQLite database.
    fn leaks(&self) -> Vec<String> {
        let mut places =
            vec![("log", self.log().into_bytes()), ("arguments", seen_arguments().join(&b'\n'))];
        let database = self.place.as_ref().and_then(Place::sqlite_file);
        let database = database.unwrap_or_else(|| self.data().join("index.sqlite"));
        for suffix in ["", "-wal", "-shm"] {
            let path = format!("{}{suffix}", database.display());
            places.push(("database", fs::read(path).unwrap_or_default()));
        }
        let found = places.iter().flat_map(|(place, content)| {
            let found = self.secrets.found_in(content).into_iter();
            found.map(move |secret| format!("`{secret}` is in the {place}"))
        });
        found.collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// All that this start of the server printed to stdout.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(output_file(self.folder.path(), self.starts, "stdout")).unwrap()
    }

    /// All that every start of the server printed to stderr.
    pub(crate) fn log(&self) -> String {
        let file = |start| output_file(self.folder.path(), start, "stderr");
        (0..=self.starts).map(|start| fs::read_to_string(file(start)).unwrap()).collect()
    }

    /// The requests answered until now.
    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        self.log().lines().filter_map(LoggedRequest::parse).collect()
    }

    /// Sends SIGTERM and returns at once.
    pub(crate) fn terminate(&self) {
        signal("TERM", self.pid());
    }

    /// Sends SIGINT, as Ctrl-C does, and returns at once.
    pub(crate) fn interrupt(&self) {
        signal("INT", self.pid());
    }

    /// Sends SIGHUP and returns at once.
    pub(crate) fn hang_up(&self) {
        signal("HUP", self.pid());
    }

    /// Waits until the server has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the server to end", || self.process.try_wait().unwrap())
    }

    /// Kills the server as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts again on the same data, and on another port: somebody may have taken the last one.
    pub(crate) fn restart(&mut self) {
        self.starts += 1;
        let (folder, place) = (self.folder.path(), self.place.as_ref());
        self.process = spawn(folder, place, &self.under, &self.flags, self.starts);
        self.await_address();
    }
}

impl Registry for Server {
    fn index_url(&self) -> String {
        self.index_url()
    }

    fn token(&self, user: &str) -> String {
        self.token(user)
    }

    fn witness(&self) -> Witness {
        let secrets = self.secrets.clone();
        Witness::new(move |token| secrets.add_header(token))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !std::thread::panicking() {
            assert_eq!(self.leaks(), [] as [String; 0]);
        }
    }
}

/// The program, in an environment without any of its variables.
pub(crate) fn axum_server() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum_server"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REGISTRY_") {
            command.env_remove(name);
        }
    }
    command
}

/// A command with the flags that lead to the data.
fn on_data<'a>(
    folder: &Path,
    place: Option<&Place>,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Command {
    let mut command = axum_server();
    command.args(arguments).arg("--data").arg(folder.join("data"));
    if let Some(place) = place {
        // Not as an argument, for there may be a password in it.
        place.prepare(&mut command).env("REGISTRY_INDEX", place.url());
    }
    command
}

fn spawn(
    folder: &Path,
    place: Option<&Place>,
    under: &[String],
    flags: &[String],
    start: usize,
) -> Child {
    let output = |name| File::create_new(output_file(folder, start, name)).unwrap();
    let mut command = on_data(folder, place, ["serve"]);
    if !flags.iter().any(|flag| flag == "--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(flags).env("REGISTRY_LOG", "trace");
    if let [program, arguments @ ..] = under {
        let mut outer = Command::new(program);
        outer.args(arguments).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        command = outer;
    }
    command.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr")).spawn().unwrap()
}

/// The same under another program, which is given with its arguments, and becomes it.
pub(crate) fn under(program: &[&str], command: Command) -> Command {
    let [program, arguments @ ..] = program else { return command };
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

fn output_file(folder: &Path, start: usize, name: &str) -> PathBuf {
    folder.join(format!("{start}.{name}"))
}

/// Sends a signal with the shell's own `kill`, so that no test needs unsafe code.
fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success());
}

/// One line of the request log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedRequest {
    /// The address that it is said to come from.
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
}

impl LoggedRequest {
    fn parse(line: &str) -> Option<Self> {
        let field = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}="))?;
            rest.split(' ').next()
        };
        // The duration is there, and nobody's business here.
        field("duration")?;
        Some(Self {
            client: field("client")?.into(),
            method: field("method")?.into(),
            path: field("path")?.into(),
            status: field("status")?.parse().ok()?,
        })
    }

    /// Whether it is an index file, rather than `config.json` or anything else.
    pub(crate) fn is_index_file(&self) -> bool {
        self.path.starts_with("/main/index/") && self.path != "/main/index/config.json"
    }
}

#[test]
#[should_panic = "`a-crate-that-nobody-knows` is in the log"]
fn a_secret_in_the_log_is_noticed() {
    let server = Server::start();
    server.keep_secret("a-crate-that-nobody-knows");
    // Which does not know that it is one.
    let client = Client::new(server.address());
    client.get("/main/api/v1/crates/a-crate-that-nobody-knows/owners");
}

#[test]
#[should_panic = "`a-user-whom-nobody-knows` is in the arguments\", \"`a-user-whom-nobody-knows` is in the database"]
fn a_secret_in_an_argument_and_in_the_database_is_noticed() {
    let server = Server::start();
    server.keep_secret("a-user-whom-nobody-knows");
    server.token("a-user-whom-nobody-knows");
}
