//! Honest reads at a fixed rate, however long each takes.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval},
};

use crate::{
    http::{Connection, get, request},
    population::Population,
    tally::Tally,
};

/// Most reads at a time. Those that are due while so many are under way begin later, and have taken
/// that long already.
pub(crate) const MOST: usize = 64;
/// Most connections that are kept for later.
const MOST_IDLE: usize = 16;
/// For how long a connection is kept that nobody uses: the server closes it after a minute.
const IDLE: Duration = Duration::from_secs(50);
/// What an honest client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One kind of reads.
struct Kind {
    name: &'static str,
    /// Of a hundred reads, how many are of the kind.
    share: u64,
    status: u16,
    on_new_connection: bool,
    request: fn(&Population, u64) -> Vec<u8>,
}

const KINDS: [Kind; 8] = [
    Kind::new("hot index file", 40, 200, |them, _| get(&them.hot)),
    Kind::new("random index file", 20, 200, |them, random| get(&them.crate_at(random).index)),
    Kind::new("index file that is held", 15, 304, |them, _| {
        request("GET", &them.hot, &[("if-none-match", &them.hot_etag)], b"")
    }),
    Kind::new("download", 10, 200, |them, random| get(&them.crate_at(random).download)),
    Kind::new("config.json", 5, 200, |_, _| get("/main/index/config.json")),
    Kind::new("search", 3, 200, |_, random| {
        get(&format!("/main/api/v1/crates?q=read-{}", random % 10))
    }),
    Kind::new("index file that is not there", 2, 404, |_, random| {
        get(&format!("/main/index/no/-s/no-such-{}", random % 100))
    }),
    Kind {
        on_new_connection: true,
        ..Kind::new("new connection", 5, 200, |them, _| get(&them.hot))
    },
];

impl Kind {
    const fn new(
        name: &'static str,
        share: u64,
        status: u16,
        request: fn(&Population, u64) -> Vec<u8>,
    ) -> Self {
        Self { name, share, status, on_new_connection: false, request }
    }
}

/// How long reads took, by kind, in microseconds.
#[derive(Default)]
pub(crate) struct Latencies(Mutex<BTreeMap<&'static str, Vec<u32>>>);

impl Latencies {
    fn add(&self, kind: &'static str, time: Duration) {
        let micros = time.as_micros().try_into().unwrap_or(u32::MAX);
        self.0.lock().unwrap().entry(kind).or_default().push(micros);
    }

    /// Of each kind, and last of all together.
    pub(crate) fn by_kind(&self) -> Vec<(&'static str, Percentiles)> {
        let all = self.0.lock().unwrap();
        let mut kinds: Vec<_> =
            all.iter().map(|(kind, times)| (*kind, Percentiles::of(times.clone()))).collect();
        kinds.push(("all reads", Percentiles::of(all.values().flatten().copied().collect())));
        kinds
    }

    pub(crate) fn all(&self) -> Percentiles {
        self.by_kind().pop().expect("all reads").1
    }
}

/// Microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Percentiles {
    pub(crate) count: usize,
    pub(crate) p50: u32,
    pub(crate) p99: u32,
}

impl Percentiles {
    fn of(mut times: Vec<u32>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        Self { count: times.len(), p50: at(50), p99: at(99) }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {} | {}", self.count, self.p50, self.p99)
    }
}

/// Who reads.
pub(crate) struct Readers {
    pub(crate) address: SocketAddr,
    pub(crate) population: Arc<Population>,
    pub(crate) tally: Arc<Tally>,
    /// In a second.
    pub(crate) rate: u32,
}

impl Readers {
    /// Reads until `stop`; the connections are closed when it returns.
    pub(crate) async fn run(self: Arc<Self>, latencies: Arc<Latencies>, stop: watch::Receiver<()>) {
        let idle = Arc::new(Mutex::new(Vec::new()));
        let room = Arc::new(Semaphore::new(MOST));
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut ticks = interval(Duration::from_secs(1) / self.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        // Until then there was no room.
        let mut crowded = Instant::now();
        while !stop.has_changed().unwrap_or(true) {
            let tick = ticks.tick().await.into_std();
            let woken = Instant::now();
            let slot = match Arc::clone(&room).try_acquire_owned() {
                Ok(slot) => slot,
                Err(_) => {
                    let slot = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
                    crowded = Instant::now();
                    slot
                }
            };
            // That those before it took so long is the server's doing, that the clock was late is not.
            let due = if tick < crowded { tick } else { woken };
            let (this, idle, latencies) = (self.clone(), idle.clone(), latencies.clone());
            let (choice, random) = (random.next() % 100, random.next());
            tokio::spawn(async move {
                let mut left = choice;
                let kind = KINDS.iter().find(|kind| match left.checked_sub(kind.share) {
                    Some(rest) => {
                        left = rest;
                        false
                    }
                    None => true,
                });
                let kind = kind.expect("the shares make a hundred");
                match tokio::time::timeout(PATIENCE, this.read(kind, random, &idle)).await {
                    Ok(Ok(status)) => {
                        latencies.add(kind.name, due.elapsed());
                        this.tally.count(kind.name, status);
                        if status != kind.status {
                            this.tally.fail(kind.name, status);
                        }
                    }
                    Ok(Err(error)) => this.tally.fail(kind.name, error),
                    Err(_) => this.tally.fail(kind.name, "no answer in 30 seconds"),
                }
                drop(slot);
            });
        }
        // Those under way come to their end.
        let _ = room.acquire_many(MOST as u32).await;
    }

    async fn read(
        &self,
        kind: &Kind,
        random: u64,
        idle: &Mutex<Vec<Kept>>,
    ) -> std::io::Result<u16> {
        let request = (kind.request)(&self.population, random);
        let kept = match kind.on_new_connection {
            true => None,
            false => take(&mut idle.lock().unwrap()),
        };
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let answer = connection.ask(&request).await?;
        if !kind.on_new_connection {
            let mut idle = idle.lock().unwrap();
            if idle.len() < MOST_IDLE {
                idle.push((Instant::now(), connection));
            }
        }
        Ok(answer.status)
    }
}

/// A connection, and when it was used last.
type Kept = (Instant, Connection);

/// The one that was used last; if that is too long ago, none.
fn take(kept: &mut Vec<Kept>) -> Option<Connection> {
    let (used, connection) = kept.pop()?;
    if used.elapsed() < IDLE {
        return Some(connection);
    }
    kept.clear();
    None
}

/// xorshift64, from any seed but zero: the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
