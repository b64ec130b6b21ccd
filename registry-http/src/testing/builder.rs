use std::{
    fmt,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
};

use registry_core::{
    Login, Registry, RegistryConfig,
    auth::{TokenAuthenticator, Tokens},
    memory::{MemoryCrateStore, MemoryIndex, MemoryTokens},
    registry::RegistryBuilder,
};

use super::{
    delayed::DelayedIndex,
    registry::{self, Shared, TestRegistry},
    server::Server,
};
use crate::service::RegistryService;

type Change<T> = Box<dyn FnOnce(T) -> T>;

/// A [`TestRegistry`] that is about to be, for tests of more than the usual.
pub struct TestRegistryBuilder {
    private: bool,
    registry: Change<RegistryBuilder>,
    service: Change<RegistryService>,
}

impl TestRegistryBuilder {
    pub(super) fn new() -> Self {
        Self { private: false, registry: Box::new(|it| it), service: Box::new(|it| it) }
    }

    /// Every read needs a token. Default: none does.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Changes the registry, such as its policies or rate limits.
    #[must_use]
    pub fn registry(
        mut self,
        it: impl FnOnce(RegistryBuilder) -> RegistryBuilder + 'static,
    ) -> Self {
        self.registry = Box::new(it);
        self
    }

    /// Changes the service over the registry.
    #[must_use]
    pub fn service(
        mut self,
        it: impl FnOnce(RegistryService) -> RegistryService + 'static,
    ) -> Self {
        self.service = Box::new(it);
        self
    }

    /// Serves on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If the system gives no socket or no thread.
    pub fn start(self) -> TestRegistry {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("the address of a socket that listens");
        let shared = self.build(&format!("http://{address}"));
        let answering = Arc::clone(&shared);
        let server = Server::start(listener, move |request| {
            let shared = Arc::clone(&answering);
            async move { shared.handle(request).await }
        });
        TestRegistry::new(shared, Some(server.expect("a thread that serves")))
    }

    /// Serves nobody: answers what [`TestRegistry::handle`] is given. Its URL leads nowhere.
    ///
    /// # Panics
    /// If the system gives no random bytes.
    pub fn without_socket(self) -> TestRegistry {
        TestRegistry::new(self.build("http://registry.invalid"), None)
    }

    fn build(self, base: &str) -> Arc<Shared> {
        let config = RegistryConfig::new(base).expect("the URL of a registry");
        // Without the checksum in the address: who asks with a wrong one would find nothing.
        let dl = format!("{base}/api/v1/crates").parse().expect("a URL to download from");
        let config = config.with_auth_required(self.private).with_dl(dl);
        let (memory, tokens) = (MemoryIndex::new(), MemoryTokens::new());
        let index = DelayedIndex::new(memory.clone());
        let registry = Registry::builder(config, index.clone(), MemoryCrateStore::new())
            .search(memory)
            .authenticator(TokenAuthenticator::new(tokens.clone()));
        let service = RegistryService::new((self.registry)(registry).build());
        let service = service.with_name(registry::NAME).expect("a name that cargo takes");
        let tokens = Tokens::new(tokens);
        let tester = Login::new(registry::USER).expect("a login");
        let token = registry::issue(&tokens, &tester);
        Arc::new(Shared::new((self.service)(service), index, tokens, token))
    }
}

impl fmt::Debug for TestRegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRegistryBuilder")
            .field("private", &self.private)
            .finish_non_exhaustive()
    }
}
