use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, OnceLock},
};

/// Stands between clients and a server, and keeps all that passes.
pub(crate) struct Recorder {
    address: String,
    server: Arc<OnceLock<String>>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

/// What has passed on one connection.
#[derive(Clone, Default)]
pub(crate) struct Connection {
    asked: Arc<Mutex<Vec<u8>>>,
    answered: Arc<Mutex<Vec<u8>>>,
}

impl Connection {
    /// What the client sent.
    pub(crate) fn asked(&self) -> Vec<u8> {
        self.asked.lock().unwrap().clone()
    }

    /// What the server sent.
    pub(crate) fn answered(&self) -> Vec<u8> {
        self.answered.lock().unwrap().clone()
    }
}

impl Recorder {
    /// Takes connections, of which none may come before [`Recorder::lead_to`].
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let recorder = Self { address, server: Arc::default(), connections: Arc::default() };
        let (server, connections) = (recorder.server.clone(), recorder.connections.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // Who comes when the server has ended finds nobody.
                let Ok(server) = TcpStream::connect(server.get().unwrap()) else { continue };
                let connection = Connection::default();
                connections.lock().unwrap().push(connection.clone());
                let [from, to] = [&client, &server].map(|stream| stream.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, &connection.asked));
                std::thread::spawn(move || pass(server, client, &connection.answered));
            }
        });
        recorder
    }

    /// Says where the server is.
    pub(crate) fn lead_to(&self, server: &str) {
        self.server.set(server.to_owned()).unwrap();
    }

    /// `ADDR:PORT`, for clients.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// All connections until now.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.connections.lock().unwrap().clone()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, record: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        record.lock().unwrap().extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
