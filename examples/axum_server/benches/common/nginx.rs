//! nginx on a folder, as fast as it is out of the box.

use std::{
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest wait until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx; ended when dropped.
pub(crate) struct Nginx {
    pub(crate) address: String,
    pub(crate) child: Child,
    folder: TempDir,
}

impl Nginx {
    /// Serves the files below `root` with sendfile; none if nginx is not on this machine.
    pub(crate) fn start(root: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // Free a moment ago: nginx takes no socket from somebody else.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        fs::write(folder.path().join("nginx.conf"), configuration(root, &address)).unwrap();
        // Debian has it where only root looks.
        let child = ["nginx", "/usr/sbin/nginx"].into_iter().find_map(|program| {
            let started = Command::new(program)
                .arg("-p")
                .arg(folder.path())
                .args(["-c", "nginx.conf", "-e", "error.log"])
                .stdin(Stdio::null())
                .spawn();
            match started {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                started => Some(started.unwrap()),
            }
        })?;
        let mut nginx = Self { address, child, folder };
        nginx.await_listening();
        Some(nginx)
    }

    fn await_listening(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            let ended = self.child.try_wait().unwrap().is_some();
            if ended || started.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("error.log"));
                panic!("nginx does not listen: {}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked rather than killed: its workers end with it.
        let process = self.child.id().to_string();
        if Command::new("kill").args(["-TERM", &process]).status().is_ok_and(|it| it.success()) {
            let _ = self.child.wait();
        }
    }
}

/// One worker for each thread of our server, no log, and connections that are kept as ours are.
/// Crate files can be read by their owner alone, which root's workers are not if not told.
fn configuration(root: &Path, address: &str) -> String {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "daemon off;
user root;
worker_processes {workers};
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/gzip;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {{ listen {address}; root {root}; }}
}}
",
        root = root.display(),
    )
}
