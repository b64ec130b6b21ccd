//! `axum_server serve`: from the command line to a server that stops in good order.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use registry_core::{
    CrateStore, RegistryConfig, ValidationRules, auth::TokenAuthenticator,
    registries::RegistrySettings, registry::Uploads,
};
use registry_http::Registries;
use registry_storage::{StorageUrl, layer::ObservedCrateStore};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    access::Accounts,
    audit::AuditLines,
    backends::{CACHE_BYTES, OpenIndex, spool},
    cli::ServeArgs,
    connection::{self, Served},
    connections::{self, Connections},
    error::Error,
    health::Health,
    key::KeyStores,
    metrics,
    oidc::Oidc,
    registries::{Caches, Common, LiveRegistries, compression},
    routes::{self, REGISTRY, Routes},
    runtime::TokioRuntime,
    slots::Slots,
    stop::StopSignals,
    tls::{Hangup, Tls},
    token_uses::TokenUses,
    verify_on_read::verified,
    welcome::{TokenPlace, Welcome},
};

/// Serves until SIGTERM or Ctrl-C.
pub(crate) async fn serve(args: ServeArgs) -> Result<(), Error> {
    let storage = args.storage.url(&args.index)?;
    check(&args, &storage)?;
    // Before there is anything that could be counted.
    if let Some(address) = &args.metrics {
        metrics::serve(address).await?;
    }
    let oidc = args.oidc.as_deref().map(Oidc::read).transpose()?;
    let tls = args.tls.read()?;
    let token_key = args.token_key.read()?;
    let opened = args.index.open().await?;
    let crates = open_crates(&args, &storage)?;
    let cannot_listen = |source| Error::Listen { address: args.listen.clone(), source };
    let listener = TcpListener::bind(&args.listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;

    let scheme = if tls.is_some() { "https" } else { "http" };
    let settings = RegistrySettings {
        private: args.private,
        read_only: args.read_only,
        ..RegistrySettings::default()
    };
    let rules = ValidationRules::private().with_max_crate_bytes(args.max_crate_size);
    let max_body_bytes = rules.max_body_bytes();
    let slots = connections::most();
    let uploads = uploads(&args, &storage, slots)?;
    let accounts = Accounts::open(args.accounts, opened.accounts())?;
    let proxy_users = args.proxy.user_headers(&accounts)?;
    let keys = KeyStores::of(&opened);
    let Oidc { authenticator: users, ci } = oidc.unwrap_or_default();
    let stored_tokens = opened.tokens(token_key.as_ref());
    let tokens = TokenAuthenticator::new(stored_tokens.clone());
    let hsts = args.hsts.header(tls.is_some(), args.public_url.as_deref());
    let is_url_given = args.public_url.is_some();
    let forwarded_url = if is_url_given { None } else { args.proxy.listed() };
    let common = Common {
        opened,
        crates,
        public_url: args.public_url.unwrap_or_else(|| local_url(scheme, address)),
        settings,
        dl: args.dl,
        max_staleness: Duration::from_secs(args.max_staleness),
        accounts,
        tokens: tokens.clone(),
        stored_tokens,
        token_rules: args.lifetimes.rules(),
        keys,
        users,
        ci,
        rules,
        policy: args.policy.open()?,
        runtime: TokioRuntime::new(),
        compression: compression(),
        forms: args.credentials.forms(),
        proxy_users,
        forwarded_url,
        caches: Caches::default(),
    };
    let config = common.config(REGISTRY, &common.settings)?;
    if let OpenIndex::Folder(folder, _) = &common.opened
        && !config.is_read_only()
    {
        // Whoever is served the folder by another server finds this one for the rest.
        folder.write_config(&config).await.map_err(Error::WriteConfig)?;
    }
    let served = common.opened.served(common.max_staleness, CACHE_BYTES);
    let (index, crates) = (served.index.clone(), common.crates.clone());
    let health = Health::new(index, crates, common.opened.accounts_apart(), args.health);
    let registry = common
        .registry(config, &common.opened, served.index.clone())?
        .observer(AuditLines::default())
        .uploads(uploads)
        .rate_limits(args.rate_limits.unwrap_or_default())
        .build();

    let stop = StopSignals::new()?;
    let told = registry.config().clone().with_auth_required(registry.auth_required());
    let listening = format!("{scheme}://{address}");
    print_welcome(&listening, &told, &TokenPlace::of(&args.index, &args.token_key)?);
    let registries = LiveRegistries::new(common, registry).map_err(Error::Registries)?;
    // Without a URL that counts for all, relative to whatever the client has come by.
    let help = if is_url_given { told.login_url() } else { format!("{REGISTRY}/me") };
    let pages = routes::home(help).merge(health.router());
    let routes = Routes::new(Registries::by_name(registries), pages);
    // What keeps the index current goes with it.
    let _served = served;
    let slots = Slots::new(slots, args.max_connections_per_client.map(|most| most as usize));
    let acceptor = tls.as_ref().map(Tls::acceptor);
    if let Some(tls) = tls {
        tokio::spawn(tls.follow(Hangup::new()?));
    }
    let proxies = args.proxy.proxies().into();
    let served = Served { routes, max_body_bytes, proxies, slots, hsts, tls: acceptor };
    let uses = TokenUses::keep(tokens);
    run(listener, served, stop, Duration::from_secs(args.drain)).await;
    uses.end().await;
    Ok(())
}

/// Says what is wrong with the flags, before anything is made: a mistyped URL leaves nothing behind.
fn check(args: &ServeArgs, storage: &StorageUrl) -> Result<(), Error> {
    if let Some(url) = &args.public_url {
        RegistryConfig::new(url)?;
    }
    args.storage.options()?;
    args.mirror.check(&args.storage, &args.index)?;
    args.redirect.check(storage)?;
    args.cache.check(storage)?;
    if *storage == StorageUrl::Memory {
        tracing::warn!("crate files are in memory: when this ends, what the index names is gone");
    }
    if let Some(dl) = args.dl.as_ref().filter(|_| args.private) {
        tracing::warn!(%dl, "with --private, clients send their tokens there, too");
    }
    Ok(())
}

/// The place of the crate files, and all that is put around it.
fn open_crates(args: &ServeArgs, storage: &StorageUrl) -> Result<Arc<dyn CrateStore>, Error> {
    let stored = args.redirect.apply(args.storage.open(&args.index)?, storage)?;
    let observed = ObservedCrateStore::new(stored.clone(), "crates");
    let mirrored = args.mirror.around(observed)?;
    let crates: Arc<dyn CrateStore> = match args.verify_on_read {
        true => Arc::new(verified(mirrored, stored)),
        false => mirrored,
    };
    args.cache.around(crates)
}

/// Of all that may connect at a time, half may publish.
fn uploads(args: &ServeArgs, storage: &StorageUrl, slots: usize) -> Result<Uploads, Error> {
    let folder = match args.read_only {
        true => None,
        false => Some(spool(storage, &args.index.data.folder)?),
    };
    let in_flight_bytes = args.max_upload_bytes_in_flight.map(|size| size.bytes);
    Ok(Uploads { at_a_time: slots / 2, in_flight_bytes, folder, ..Uploads::default() })
}

/// The URL of an address as a client on this machine writes it.
fn local_url(scheme: &str, address: SocketAddr) -> String {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
        tracing::warn!(
            %address,
            "clients on other machines need a URL that leads here: set --public-url"
        );
    }
    format!("{scheme}://{reachable}")
}

fn print_welcome(address: &str, config: &RegistryConfig, place: &TokenPlace) {
    let program = std::env::current_exe().unwrap_or_else(|_| "axum_server".into());
    let welcome = Welcome { address, config, program: &program, place };
    // A server whose stdout is closed still serves.
    let _ = std::io::stdout().write_all(welcome.to_string().as_bytes());
}

/// Serves until it is told to stop, and from then on what is under way: at most for `drain`, or until it
/// is told so again.
async fn run(listener: TcpListener, served: Served, mut stop: StopSignals, drain: Duration) {
    let (stopping, told) = watch::channel(());
    let connections = Connections::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.next() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let peer = peer.ip();
                let client = served.slots.client(peer, served.proxies.contains(peer));
                // Beyond those that may wait, whoever comes is told so by the end of the connection.
                let Some(place) = client.enter() else { continue };
                let connection =
                    connection::serve(stream, peer, place, served.clone(), told.clone());
                let counted = connections.count();
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended");
                    }
                    drop(counted);
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                // Out of file descriptors, most likely: others must end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // From here on, connecting is refused.
    drop(listener);
    tracing::info!("stopping");
    drop(told);
    stopping.send_replace(());
    tokio::select! {
        ended = tokio::time::timeout(drain, stopping.closed()) => if ended.is_err() {
            tracing::warn!(after = ?drain, "requests in flight were cut off");
        },
        () = stop.next() => {
            tracing::warn!("requests in flight were cut off: told to stop a second time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_on_this_machine_reach_the_address() {
        for (address, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("[::1]:80", "http://[::1]:80"),
            ("192.0.2.1:8080", "http://192.0.2.1:8080"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(local_url("http", address.parse().unwrap()), url);
        }
    }
}
