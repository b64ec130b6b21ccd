use std::{
    convert::Infallible,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use registry_core::BoxError;
use tokio::{runtime, sync::oneshot};

use crate::{body::Body, peer::PeerAddress};

/// A thread that serves until this is dropped. Then nothing of it is left: no thread, no socket.
#[derive(Debug)]
pub(super) struct Server {
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// # Errors
    /// If the system gives no thread, or nothing to wait for sockets with.
    pub(super) fn start<A, F>(listener: TcpListener, answer: A) -> Result<Self, BoxError>
    where
        A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let serve = accept(listener, Arc::new(answer));
        let thread = thread::Builder::new().name("test-registry".into()).spawn(move || {
            runtime.spawn(serve);
            // Nothing is ever sent: it ends when the sender is dropped, and all tasks with it.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept<A, F>(listener: tokio::net::TcpListener, answer: Arc<A>)
where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // If the system gives no more sockets, a test cannot go on anyhow.
    while let Ok((stream, peer)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let answer = Arc::clone(&answer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddress(peer.ip()));
            let answer = Arc::clone(&answer);
            async move { Ok::<_, Infallible>(answer(request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // Clients that leave, and answers that are cut off, end a connection with an error.
            let _ = connection.await;
        });
    }
}
