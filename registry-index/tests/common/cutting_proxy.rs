//! A proxy in front of a server that loses one answer.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Passes connections on to a server, until it is told to cut one.
pub(crate) struct CuttingProxy {
    /// Leads through the proxy.
    pub(crate) url: String,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    marker: Option<String>,
    cuts: usize,
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
        let plan = Arc::<Mutex<Plan>>::default();
        let plan_of_all = plan.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, plan) = (server.clone(), plan_of_all.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.unwrap();
                    pass(client, server, &plan).await
                });
            }
        });
        Self { url: format!("{scheme}://{user}{address}/{path}"), plan }
    }

    /// The next request with this in it is passed on; its answer is not, and both connections are
    /// closed when it comes.
    pub(crate) fn cut_the_answer_to(&self, marker: &str) {
        self.plan.lock().unwrap().marker = Some(marker.to_owned());
    }

    /// How many answers were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.plan.lock().unwrap().cuts
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, plan: &Mutex<Plan>) {
    let (mut request, mut answer) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut cut = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => match read {
                Ok(length @ 1..) => {
                    cut |= is_marked(&request[..length], plan);
                    server.write_all(&request[..length]).await.unwrap();
                }
                _ => return,
            },
            read = server.read(&mut answer) => match read {
                Ok(1..) if cut => return plan.lock().unwrap().cuts += 1,
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

fn is_marked(request: &[u8], plan: &Mutex<Plan>) -> bool {
    let mut plan = plan.lock().unwrap();
    let Some(marker) = &plan.marker else { return false };
    let found = request.windows(marker.len()).any(|part| part == marker.as_bytes());
    if found {
        plan.marker = None;
    }
    found
}
