use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, OnceLock},
    thread,
};

/// A proxy that has a server below a path of its own, which it strips, and says so in headers.
pub(crate) struct PathProxy {
    address: String,
    task: Arc<Task>,
}

/// What it does.
struct Task {
    server: OnceLock<String>,
    path: String,
    headers: String,
}

impl PathProxy {
    /// Listens at `host`, and hands to `server` what is asked for below `path`. In each request it adds
    /// what `headers` makes of its address, behind all that the client has sent.
    pub(crate) fn start(
        host: &str,
        path: &str,
        server: &str,
        headers: impl FnOnce(&str) -> Vec<(&'static str, String)>,
    ) -> Self {
        let proxy = Self::listen(host, path, headers);
        proxy.lead_to(server);
        proxy
    }

    /// The same for a server that is yet to come: nobody may ask before [`PathProxy::lead_to`].
    pub(crate) fn listen(
        host: &str,
        path: &str,
        headers: impl FnOnce(&str) -> Vec<(&'static str, String)>,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let headers = headers(&address).into_iter();
        let headers = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let task = Arc::new(Task { server: OnceLock::new(), path: path.into(), headers });
        let proxy = Self { address, task: task.clone() };
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, task) = (client.unwrap(), task.clone());
                // A client that goes away is nobody's business.
                thread::spawn(move || task.answer(client));
            }
        });
        proxy
    }

    /// Says where the server is.
    pub(crate) fn lead_to(&self, server: &str) {
        self.task.server.set(server.into()).unwrap();
    }

    /// `ADDR:PORT`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL at which the root of the server is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.address, self.task.path)
    }
}

impl Task {
    /// Answers one request; the server closes after it.
    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if client.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let (line, headers) = head.split_once("\r\n").unwrap();
        let (method, target) = line.split_once(' ').unwrap();
        let Some(target) = target.strip_prefix(&self.path) else {
            let nothing = "HTTP/1.1 418 I'm a teapot\r\nconnection: close\r\n\r\n";
            return client.write_all(nothing.as_bytes());
        };
        let mut server = TcpStream::connect(self.server.get().unwrap())?;
        write!(server, "{method} {target}\r\n")?;
        let kept = headers.trim_end().split("\r\n");
        let kept = kept.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        kept.into_iter().try_for_each(|line| write!(server, "{line}\r\n"))?;
        write!(server, "{}connection: close\r\n\r\n", self.headers)?;
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || io::copy(&mut from, &mut to));
        io::copy(&mut server, &mut client)?;
        client.shutdown(Shutdown::Both)
    }
}
