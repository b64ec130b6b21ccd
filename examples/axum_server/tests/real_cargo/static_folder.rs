//! The folder of an index behind a plain file server, which knows nothing of registries.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::common::{Cargo, Place, Server};

/// Serves the files of a folder, and notes the paths that it was asked for.
struct FileServer {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FileServer {
    fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::default();
        std::thread::spawn({
            let asked = Arc::clone(&asked);
            move || {
                for stream in listener.incoming() {
                    // One request for each connection: a client that goes away is no matter.
                    let _ = answer(&stream.unwrap(), &folder, &asked);
                }
            }
        });
        Self { address, asked }
    }
}

fn answer(
    mut stream: &TcpStream,
    folder: &Path,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let (status, body) = match fs::read(folder.join(&path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    asked.lock().unwrap().push(path);
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

#[test]
fn any_file_server_serves_the_folder_of_an_index_to_cargo() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::folder(&folder);
    let registry = Server::start_at(&place);
    let alice = Cargo::of(&registry, "alice");
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        alice.publish_library("Hello-World", version);
    }
    alice.run(["yank", "Hello-World@1.2.0", "--registry", "main"]).success();

    let files = FileServer::start(place.url().strip_prefix("file:").unwrap().into());
    let cargo = Cargo::bare();
    let index = format!("sparse+http://{}/", files.address);
    cargo.configure(&format!("[registries.main]\nindex = \"{index}\""));
    let app = cargo.program("app", "println!(\"{}\", Hello_World::version())");
    let app = app.dependencies(r#"Hello-World = { version = "1", registry = "main" }"#);
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.1.0\n");
    assert_eq!(*files.asked.lock().unwrap(), ["config.json", "he/ll/hello-world"]);
}
