//! The least that the same work can cost on this machine.

use std::{
    convert::Infallible,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves a body of `size` bytes to whatever is asked, with nothing but hyper; its address.
pub(crate) fn bare_hyper(size: usize) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let body = Bytes::from(vec![b'x'; size]);
    std::thread::spawn(move || runtime.block_on(serve(listener, body)));
    address
}

async fn serve(listener: TcpListener, body: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let body = body.clone();
        tokio::spawn(async move {
            let answer = service_fn(|_| {
                let response = Response::new(Full::new(body.clone()));
                async { Ok::<_, Infallible>(response) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// A folder to make files durable in, as a publish has to at the least.
pub(crate) struct Floor {
    folder: PathBuf,
    directory: File,
    count: usize,
}

impl Floor {
    pub(crate) fn new(parent: &Path) -> Self {
        let folder = parent.join("floor");
        fs::create_dir(&folder).unwrap();
        let directory = File::open(&folder).unwrap();
        Self { folder, directory, count: 0 }
    }

    /// How long it takes to make one file of this size durable under a new name.
    pub(crate) fn write_fsync_rename(&mut self, size: usize) -> Duration {
        let content = vec![b'x'; size];
        self.count += 1;
        let started = Instant::now();
        let staged = self.folder.join("staged");
        let mut file = File::create(&staged).unwrap();
        file.write_all(&content).unwrap();
        file.sync_all().unwrap();
        fs::rename(&staged, self.folder.join(self.count.to_string())).unwrap();
        self.directory.sync_all().unwrap();
        started.elapsed()
    }
}
