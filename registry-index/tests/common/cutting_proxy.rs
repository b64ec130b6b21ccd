//! A proxy in front of a server that loses one answer, or keeps it.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Passes connections on to a server, until it is told to cut one or to let it hang.
pub(crate) struct CuttingProxy {
    /// Leads through the proxy.
    pub(crate) url: String,
    plan: Arc<Mutex<Plan>>,
    kept: Arc<Notify>,
}

#[derive(Default)]
struct Plan {
    marked: Option<(String, Fate)>,
    cuts: usize,
}

/// What becomes of the answer to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Cut,
    Kept,
}

impl CuttingProxy {
    /// In front of the server of `url`, `scheme://user@host:port/…`.
    pub(crate) async fn start(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let (user, server) = match authority.split_once('@') {
            Some((user, server)) => (format!("{user}@"), server.to_owned()),
            None => (String::new(), authority.to_owned()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (plan, kept) = (Arc::<Mutex<Plan>>::default(), Arc::<Notify>::default());
        let of_all = (plan.clone(), kept.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, (plan, kept)) = (server.clone(), of_all.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.unwrap();
                    pass(client, server, &plan, &kept).await
                });
            }
        });
        Self { url: format!("{scheme}://{user}{address}/{path}"), plan, kept }
    }

    /// The next request with this in it is passed on; its answer is not, and both connections are
    /// closed when it comes.
    pub(crate) fn cut_the_answer_to(&self, marker: &str) {
        self.plan.lock().unwrap().marked = Some((marker.to_owned(), Fate::Cut));
    }

    /// The next request with this in it is passed on; its answer is not, nor is anything behind it,
    /// and the connection stays open.
    pub(crate) fn keep_the_answer_to(&self, marker: &str) {
        self.plan.lock().unwrap().marked = Some((marker.to_owned(), Fate::Kept));
    }

    /// Waits until an answer is kept.
    pub(crate) async fn has_kept(&self) {
        self.kept.notified().await;
    }

    /// How many answers were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.plan.lock().unwrap().cuts
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, plan: &Mutex<Plan>, kept: &Notify) {
    let (mut request, mut answer) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut fate = None;
    loop {
        tokio::select! {
            read = client.read(&mut request) => match read {
                Ok(length @ 1..) => {
                    fate = fate.or(fate_of(&request[..length], plan));
                    server.write_all(&request[..length]).await.unwrap();
                }
                _ => return,
            },
            read = server.read(&mut answer) => match read {
                Ok(1..) if fate == Some(Fate::Cut) => return plan.lock().unwrap().cuts += 1,
                Ok(1..) if fate == Some(Fate::Kept) => kept.notify_one(),
                Ok(length @ 1..) => {
                    if client.write_all(&answer[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

fn fate_of(request: &[u8], plan: &Mutex<Plan>) -> Option<Fate> {
    let found = |(marker, _): &mut (String, Fate)| {
        request.windows(marker.len()).any(|part| part == marker.as_bytes())
    };
    plan.lock().unwrap().marked.take_if(found).map(|(_, fate)| fate)
}
