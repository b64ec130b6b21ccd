use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Cargo, Registry};

/// Has cargo do with a registry what it does with every one: publish a crate, one that is larger
/// than the bodies that frameworks take by themselves, build with it, search, list owners, yank.
/// The registry has the user `alice`.
pub fn smoke_test(registry: &impl Registry) {
    let cargo = Cargo::of(registry, "alice");
    let large = cargo.library("large", "0.1.0").file("noise", &noise(3 << 20));
    cargo.publish(&large).success();
    let refused = cargo.run(["yank", "--registry", "main", "large@9.9.9"]).failure();
    assert!(refused.contains("does not have a version `9.9.9`"), "{refused}");

    let program = cargo
        .program("uses-it", "println!(\"{}\", large::version())")
        .dependencies("large = { version = \"0.1\", registry = \"main\" }");
    assert_eq!(cargo.run_in(&program, ["run"]).success(), "0.1.0\n");
    let found = cargo.run(["search", "--registry", "main", "larg"]).success();
    assert!(found.starts_with("large = \"0.1.0\""), "{found}");
    assert_eq!(cargo.run(["owner", "--list", "--registry", "main", "large"]).success(), "alice\n");

    let yank = ["yank", "--registry", "main", "large@0.1.0"];
    cargo.run(yank).success();
    let another = cargo
        .program("too-late", "")
        .dependencies("large = { version = \"0.1\", registry = \"main\" }");
    let refused = cargo.run_in(&another, ["generate-lockfile"]).failure();
    assert!(refused.contains("is yanked"), "{refused}");
}

/// A running program that has a registry. Killed when dropped.
///
/// It listens at the address that is its one argument, and prints the variables by which cargo is
/// told of the registry.
#[derive(Debug)]
pub struct Program {
    process: Child,
    address: SocketAddr,
    index_url: String,
    token: String,
}

impl Registry for Program {
    fn index_url(&self) -> String {
        self.index_url.clone()
    }

    fn token(&self, _: &str) -> String {
        self.token.clone()
    }
}

impl Program {
    /// Starts a program.
    pub fn start(program: &str) -> Self {
        // A port that is free when it is chosen may not be so when the program wants it.
        const TRIES: usize = 5;
        let mut tries = (0..TRIES).filter_map(|_| Self::try_start(program, free_address()));
        tries.next().expect("the program starts and listens")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request without a body, with such headers; the whole answer as it comes over HTTP/1.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// `None` if the program has ended, such as because its port is another's.
    fn try_start(program: &str, address: SocketAddr) -> Option<Self> {
        let mut command = Command::new(program);
        command.arg(address.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines =
            BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut value = |name: &str| {
            lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        };
        let index_url = value("CARGO_REGISTRIES_MAIN_INDEX");
        let token = value("CARGO_REGISTRIES_MAIN_TOKEN");
        // Nobody is to be held up by a pipe that is full.
        thread::spawn(move || lines.for_each(drop));
        let mut server = Self { process, address, index_url: index_url?, token: token? };
        server.listens(address).then_some(server)
    }

    fn listens(&mut self, address: SocketAddr) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "the program does not listen at {address}");
            thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// Text that no compression makes smaller than three quarters, the same each time.
fn noise(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    // xorshift64, from any seed but zero.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state >> 58) as usize])
    });
    letters.take(length).collect()
}
