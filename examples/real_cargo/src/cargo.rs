use std::{
    ffi::OsStr,
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use tempfile::TempDir;

use crate::Package;

/// A registry that cargo may know as `main`.
pub trait Registry {
    /// The index URL, as a client configures it.
    fn index_url(&self) -> String;

    /// A token of a user.
    fn token(&self, user: &str) -> String;

    /// Who is told each token that a cargo is given, so as to look out for it. Default: nobody.
    fn witness(&self) -> Witness {
        Witness::default()
    }
}

/// Is told texts.
#[derive(Clone)]
pub struct Witness(Arc<dyn Fn(&str) + Send + Sync>);

impl Witness {
    /// Calls `tell` with each.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl Default for Witness {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

/// The installed cargo, or another one, with a home, a target folder and a working folder of its own.
#[derive(Debug)]
pub struct Cargo {
    root: TempDir,
    /// If it is not the installed one.
    program: Option<PathBuf>,
    variables: Vec<(String, String)>,
    witness: Witness,
}

impl Cargo {
    /// A cargo that knows nothing but what a later call tells it.
    pub fn bare() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        Self { root, program: None, variables: Vec::new(), witness: Witness::default() }
    }

    /// A cargo that knows `registry`, and has no token.
    pub fn anonymous(registry: &impl Registry) -> Self {
        let cargo = Self::bare();
        cargo.configure(&format!(
            "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n\n\
             [registries.main]\nindex = \"{}\"\n",
            registry.index_url()
        ));
        Self { witness: registry.witness(), ..cargo }
    }

    /// A cargo that knows `registry`, and has a token of `user`.
    pub fn of(registry: &impl Registry, user: &str) -> Self {
        Self::anonymous(registry).with("CARGO_REGISTRIES_MAIN_TOKEN", &registry.token(user))
    }

    /// Another cargo in place of the installed one, with the installed compiler.
    pub fn with_program(self, program: Option<PathBuf>) -> Self {
        Self { program, ..self }
    }

    /// Sets an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if name.ends_with("_TOKEN") {
            (self.witness.0)(value);
        }
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Appends to the `config.toml` of cargo's home.
    pub fn configure(&self, toml: &str) {
        let path = self.home().join("config.toml");
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + toml + "\n").unwrap();
    }

    /// Cargo's home.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The folder in which packages are made, and cargo runs when it needs none.
    pub fn folder(&self) -> &Path {
        self.root.path()
    }

    /// Forgets all that was downloaded, as on another machine.
    pub fn forget_downloads(&self) {
        fs::remove_dir_all(self.home().join("registry")).unwrap();
    }

    /// A library of this name and version: one function `version` that returns the version.
    pub fn library(&self, name: &str, version: &str) -> Package {
        let folder = self.root.path().join(format!("{name}-{version}"));
        Package::new(folder, name, version)
            .file("src/lib.rs", "pub fn version() -> &'static str { env!(\"CARGO_PKG_VERSION\") }")
    }

    /// A program of this name, version 0.1.0, whose `main` is `body`.
    pub fn program(&self, name: &str, body: &str) -> Package {
        Package::new(self.root.path().join(name), name, "0.1.0")
            .file("src/main.rs", &format!("fn main() {{ {body} }}"))
    }

    /// Publishes a package to `main`, without building it first.
    pub fn publish(&self, package: &Package) -> Outcome {
        self.run_in(package, ["publish", "--registry", "main", "--no-verify"])
    }

    /// Makes a library and publishes it.
    pub fn publish_library(&self, name: &str, version: &str) {
        self.publish(&self.library(name, version)).success();
    }

    /// Runs cargo where it finds no package.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        Outcome::of(self.command(self.folder()).args(arguments))
    }

    /// Runs cargo in a package.
    pub fn run_in<A: AsRef<OsStr>>(
        &self,
        package: &Package,
        arguments: impl IntoIterator<Item = A>,
    ) -> Outcome {
        Outcome::of(self.command(package.folder()).args(arguments))
    }

    /// Runs with `input` on stdin, by a pipe.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        input: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Outcome {
        self.run_in_with_input(self.folder(), input, arguments)
    }

    /// Runs in a folder, with `input` on stdin, by a pipe.
    pub fn run_in_with_input<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        input: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Outcome {
        let mut command = self.command(folder);
        command.args(arguments).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Outcome::new(&command, process.wait_with_output().unwrap())
    }

    /// This cargo, without anything that the cargo running the tests has set.
    pub fn command(&self, folder: &Path) -> Command {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
        let mut command = Command::new(self.program.as_deref().unwrap_or(Path::new(&program)));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CLIPPY", "GIT_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        // Its own rustc rather than whichever a wrapper on the path would choose.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = Path::new(&program).parent().map(Path::to_owned);
        let path = folders.into_iter().chain(std::env::split_paths(&path));
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("CARGO_HOME", self.home())
            .env("CARGO_TARGET_DIR", self.root.path().join("target"))
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_NET_RETRY", "0")
            // Nothing outside this machine takes part: what goes there is refused at once.
            .env("https_proxy", "http://127.0.0.1:9")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What a cargo process printed, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    command: String,
    output: Output,
}

impl Outcome {
    /// Of a command, which runs to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self::new(command, output)
    }

    /// Of a process that was given its input.
    pub fn of_process(command: &Command, process: Child) -> Self {
        Self::new(command, process.wait_with_output().unwrap())
    }

    fn new(command: &Command, output: Output) -> Self {
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        Self { command: arguments.join(" "), output }
    }

    /// What it printed to stdout; it must have succeeded.
    #[track_caller]
    pub fn success(&self) -> String {
        assert!(self.output.status.success(), "cargo {} failed:\n{}", self.command, self.stderr());
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    /// What it printed to stderr; it must have failed.
    #[track_caller]
    pub fn failure(&self) -> String {
        assert!(!self.output.status.success(), "cargo {} succeeded", self.command);
        self.stderr()
    }

    /// What it printed to stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}
