//! How many connections there may be at a time, so that their files leave some for all others, and
//! how many there are.

use metrics::{Gauge, describe_gauge, gauge};

/// Most connections that are served at a time; as many more may wait.
///
/// Whoever opens connections to no end must not take more memory than that. A download holds at most
/// two pieces of 128 KiB, all of them at once 256 MiB; with `--verify-on-read` a piece more, and
/// while its file is brought into a cache, 16 for all who read that file. Beside that, a connection
/// has at most a head of 32 KiB and as much for TLS; one of HTTP/2 instead 256 KiB of bodies that
/// nobody has read yet, and for each of its requests a head of 64 headers in 16 KiB.
const MOST: usize = 1024;
/// Open files of one connection: its socket, and the crate file that it sends or takes; and the socket
/// of another that waits.
const FILES: u64 = 3;
/// Open files that are for the index, the store and whatever else the process has.
const OTHER_FILES: u64 = 64;
/// Open files that are asked for. A download through a cache has two more of them.
const WANTED: u64 = (FILES + 2) * MOST as u64 + OTHER_FILES;

/// A gauge of the connections that there are.
pub(crate) struct Connections(Gauge);

impl Connections {
    pub(crate) fn new() -> Self {
        const NAME: &str = "registry_server_connections";
        describe_gauge!(NAME, "Connections, also those with no request under way.");
        Self(gauge!(NAME))
    }

    /// Counts one for as long as what is returned is there.
    pub(crate) fn count(&self) -> Connected {
        self.0.increment(1);
        Connected(self.0.clone())
    }
}

/// A connection that is counted.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// How many connections there may be, by the open files that this process may have.
///
/// It takes as many of them as it may and has use for: most systems let a process have 1,024, and
/// more only if it asks.
pub(crate) fn most() -> usize {
    let files = open_files();
    let connections = fitting(files);
    if connections < MOST {
        tracing::warn!(
            files,
            connections,
            "few files may be open: fewer clients are served at once"
        );
    }
    connections
}

fn fitting(files: u64) -> usize {
    let connections = files.saturating_sub(OTHER_FILES) / FILES;
    usize::try_from(connections).unwrap_or(MOST).clamp(1, MOST)
}

/// How many files may be open, after asking for more if they are too few.
#[cfg(unix)]
fn open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (now, most) = (current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX));
    let wanted = WANTED.min(most);
    if now >= wanted {
        return now;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(_) => now,
    }
}

/// Elsewhere a socket is not counted among the files.
#[cfg(not(unix))]
fn open_files() -> u64 {
    WANTED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_all_connections_leave_some() {
        for (files, connections) in [
            (0, 1),
            (64, 1),
            (67, 1),
            (70, 2),
            (256, 64),
            (1024, 320),
            (3135, 1023),
            (3136, 1024),
            (u64::MAX, 1024),
        ] {
            assert_eq!(fitting(files), connections, "{files}");
        }
    }
}
