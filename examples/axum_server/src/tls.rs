//! TLS: the certificate, which is read again when it has changed, and the protocols offered.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use clap::Args;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::{error::Error, preface::Protocol};

/// How often the files are compared with what was read of them last.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// A PEM file of the server's certificate and those that lead to its issuer: then the server
    /// speaks TLS, and HTTP/2 with all who can.
    ///
    /// Both files are read again when they have changed, and on SIGHUP. While they do not fit
    /// together, those before them count.
    #[arg(long, value_name = "FILE", env = "REGISTRY_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// A PEM file of the certificate's private key.
    #[arg(long, value_name = "FILE", env = "REGISTRY_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Reads the files, if the server is to speak TLS.
    pub(crate) fn read(&self) -> Result<Option<Tls>, Error> {
        let (Some(certificate), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) else {
            return Ok(None);
        };
        let files = Files { certificate, key };
        let cannot = |source| Error::Tls { path: files.certificate.clone(), source };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let seen = files.content().map_err(cannot)?;
        let pair = seen.pair(&provider).map_err(cannot)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(pair))));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has the ciphers of both versions")
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = Arc::new(config).into();
        Ok(Some(Tls { acceptor, files, seen, wrong: None, current, provider }))
    }
}

/// What a server needs to speak TLS.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    files: Files,
    /// What was in the files when they were read last.
    seen: Content,
    /// Why they could not be read at the last look.
    wrong: Option<String>,
    current: Arc<Current>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Follows the files for as long as it is polled.
    pub(crate) async fn follow(mut self, mut hangup: Hangup) {
        loop {
            let is_told = tokio::select! {
                () = hangup.next() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            self.look(is_told);
        }
    }

    /// Takes what is in the files now. What is wrong is said once, or whenever somebody asks.
    fn look(&mut self, is_told: bool) {
        let found = match self.files.content() {
            Ok(found) => found,
            // Also between the two steps of replacing a file; then the next look finds it.
            Err(error) => return self.keep(&error, is_told),
        };
        self.wrong = None;
        if found == self.seen && !is_told {
            return;
        }
        match found.pair(&self.provider) {
            Ok(pair) => {
                *self.current.0.write().expect("nobody panics while holding it") = Arc::new(pair);
                tracing::info!("the certificate was read again");
            }
            Err(error) => self.keep(&error, is_told),
        }
        self.seen = found;
    }

    fn keep(&mut self, error: &TlsError, is_told: bool) {
        let wrong = Some(error.to_string());
        if wrong == self.wrong && !is_told {
            return;
        }
        self.wrong = wrong;
        tracing::error!(
            certificate = %self.files.certificate.display(),
            %error,
            "the new certificate cannot be used, and the one before is kept"
        );
    }
}

/// SIGHUP, which says that files have changed. The process no longer ends by it.
pub(crate) struct Hangup(#[cfg(unix)] Signal);

#[cfg(unix)]
impl Hangup {
    pub(crate) fn new() -> Result<Self, Error> {
        signal(SignalKind::hangup()).map(Self).map_err(Error::Signals)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(not(unix))]
impl Hangup {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self())
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}

/// Which protocol was agreed on. Whoever does not say anything speaks HTTP/1. Source: RFC 9113,
/// section 3.2.
pub(crate) fn protocol(connection: &rustls::ServerConnection) -> Protocol {
    match connection.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("no certificate: {0}")]
    Certificate(#[source] pem::Error),
    #[error("no private key: {0}")]
    Key(#[source] pem::Error),
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn content(&self) -> Result<Content, TlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
        };
        Ok(Content { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }
}

/// What is in the files. Without `Debug`, for it holds the private key.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    /// The two as one, if they belong together.
    fn pair(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(TlsError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(TlsError::Key)?;
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }
}

/// The certificate that counts now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().expect("nobody panics while holding it").clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use rcgen::generate_simple_self_signed;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_wrong_with_the_files_is_said_once() {
        let folder = TempDir::new().unwrap();
        let [certificate, key, elsewhere] =
            ["cert.pem", "key.pem", "elsewhere"].map(|name| folder.path().join(name));
        let issued = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&certificate, issued.cert.pem()).unwrap();
        fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        let args = TlsArgs { tls_cert: Some(certificate.clone()), tls_key: Some(key.clone()) };
        let mut tls = args.read().unwrap().unwrap();

        let log = folder.path().join("log");
        let complaints =
            || fs::read_to_string(&log).unwrap().matches("the one before is kept").count();
        let writer = Arc::new(File::create(&log).unwrap());
        let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut looks = |times| {
                (0..times).for_each(|_| tls.look(false));
                complaints()
            };
            assert_eq!(looks(2), 0);
            fs::rename(&key, &elsewhere).unwrap();
            assert_eq!(looks(3), 1);
            fs::rename(&elsewhere, &key).unwrap();
            assert_eq!(looks(2), 1);
            fs::rename(&key, &elsewhere).unwrap();
            assert_eq!(looks(3), 2);
            fs::write(&key, "nothing").unwrap();
            assert_eq!(looks(3), 3);
            tls.look(true);
            assert_eq!(complaints(), 4);
        });
    }
}
