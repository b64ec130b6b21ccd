//! A server process, cargo processes beside it, and what they work on.

mod archive;
mod arguments;
mod certificates;
mod crates_io;
mod http;
mod http2;
mod identity_server;
mod object_server;
mod old_registry;
mod path_proxy;
mod place;
mod recorder;
mod secrets;
mod server;
mod static_server;

pub(crate) use self::{
    archive::{CrateFile, checksum, frame, index_path, noise},
    arguments::{seen_arguments, watch_arguments},
    certificates::{Certificates, certificate_of},
    crates_io::local_crates_io,
    http::{Answer, Client},
    http2::Http2,
    identity_server::{AUDIENCE, IdentityServer},
    object_server::ObjectServer,
    old_registry::{Import, OldRegistry, index_line},
    path_proxy::PathProxy,
    place::Place,
    recorder::Recorder,
    secrets::Secrets,
    server::{Server, axum_server, under},
    static_server::StaticServer,
};

pub(crate) use real_cargo::{Cargo, Outcome, Package};

use std::time::{Duration, Instant};

/// Waits until `ready` returns something; a test that waits longer than a minute has failed.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(it) = ready() {
            return it;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
