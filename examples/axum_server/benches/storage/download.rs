//! Downloads, beside nginx with sendfile on the same files.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use registry_core::{Checksum, CrateName, store::CrateKey};
use registry_storage::layout;

use crate::{
    Effort, Goal, KIB, MIB, Rates,
    common::{client::Connection, nginx::Nginx, noise::NoisyCrate, server::Server},
};

const CONNECTIONS: [usize; 3] = [1, 8, 64];

pub(crate) fn measure(effort: Effort) {
    println!("\ndownload, {:?} in each of {} turns", effort.turn(), effort.rounds());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let token = server.token();
    let nginx = Nginx::start(&folder.path().join("data/crates"));
    if nginx.is_none() {
        println!("  without nginx, which is not on this machine: nothing to compare with");
    }
    let big = NoisyCrate { name: "big", version: "1.0.0", size: 10 * MIB };
    let small = NoisyCrate { name: "small", version: "1.0.0", size: 20 * KIB };
    for (what, file, goal) in
        [("10 MiB", big, Goal::AtLeast(1.0)), ("20 KiB", small, Goal::AtLeast(0.7))]
    {
        Connection::open(&server.address).publish(&token, &file.publish_body());
        let (path, key) = (file.download_path(), key(&file));
        let of_nginx = format!("/{}", layout::path_of(&key));
        for connections in CONNECTIONS {
            let load = |address: &str, path: &str| load(address, path, connections, effort.turn());
            let figures = |(requests, bytes): (f64, f64)| match bytes / requests {
                size if size > 1e6 => format!("{:.0} MB/s", bytes / 1e6),
                _ => format!("{requests:.0}/s"),
            };
            let what = format!("{what}, {connections} at once");
            let size = Connection::open(&server.address).skim(&path, &[]).1 as f64;
            let Some(nginx) = &nginx else {
                let ours = load(&server.address, &path);
                println!("  {what:>30}  {}", figures((ours, ours * size)));
                continue;
            };
            let rates = Rates::in_turns(
                effort.rounds(),
                |_| (),
                |()| load(&server.address, &path),
                |()| load(&nginx.address, &of_nginx),
            );
            println!(
                "  {what:>30}  {:>10}, nginx {:>10}: {:.2} of it ({})",
                figures((rates.ours, rates.ours * size)),
                figures((rates.other, rates.other * size)),
                rates.ratio,
                goal.of(rates.ratio),
            );
        }
    }
}

fn key(file: &NoisyCrate<'_>) -> CrateKey {
    CrateKey {
        name: CrateName::new(file.name).unwrap(),
        version: file.version.parse().unwrap(),
        checksum: Checksum::of(file.file()),
    }
}

/// Requests per second for one file, over connections that are open and warm.
fn load(address: &str, path: &str, connections: usize, duration: Duration) -> f64 {
    let ready = Barrier::new(connections);
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(address);
                    connection.skim(path, &[]);
                    ready.wait();
                    let (started, mut count) = (Instant::now(), 0);
                    while started.elapsed() < duration {
                        let (status, _) = connection.skim(path, &[]);
                        assert_eq!(status, 200, "{path}");
                        count += 1;
                    }
                    f64::from(count) / started.elapsed().as_secs_f64()
                })
            })
            .collect();
        loads.into_iter().map(|load| load.join().unwrap()).sum()
    })
}
