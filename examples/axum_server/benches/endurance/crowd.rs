//! Everybody who speaks to the server at a time.

use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

use tokio::{runtime::Handle, sync::watch, task::JoinSet};

use crate::{
    cargo,
    common::server::Server,
    hostile::Attackers,
    http::{Connection, get},
    population::Population,
    reads::{Latencies, MOST, Readers},
    tally::Tally,
    writes::Writer,
};

/// Of so many honest reads, there is one write.
const READS_PER_WRITE: f64 = 250.;
/// To so many honest requests, there is one that means harm.
const HONEST_PER_ATTACK: f64 = 99.;

pub(crate) struct Crowd<'a> {
    pub(crate) server: &'a Server,
    /// Where nothing is done but to read.
    pub(crate) readers: Handle,
    pub(crate) address: SocketAddr,
    pub(crate) population: Arc<Population>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) token: String,
    /// Honest reads in a second.
    pub(crate) rate: u32,
}

/// A crowd that is at it.
pub(crate) struct Busy {
    stop: watch::Sender<()>,
    all: JoinSet<()>,
    cargo: Option<thread::JoinHandle<()>>,
}

impl Crowd<'_> {
    /// Readers begin, and note how long they wait.
    fn read(&self, latencies: &Arc<Latencies>) -> Busy {
        let Self { address, rate, .. } = *self;
        let (stop, told) = watch::channel(());
        let (population, tally) = (self.population.clone(), self.tally.clone());
        let readers = Arc::new(Readers { address, population, tally, rate });
        let mut all = JoinSet::new();
        all.spawn_on(readers.run(latencies.clone(), told), &self.readers);
        Busy { stop, all, cargo: None }
    }

    /// Readers come for a while.
    pub(crate) async fn read_for(&self, time: Duration, latencies: &Arc<Latencies>) {
        let busy = self.read(latencies);
        tokio::time::sleep(time).await;
        busy.end().await;
    }

    /// Everybody begins. What is written has `name` in its name.
    pub(crate) fn do_all(&self, name: &'static str, latencies: &Arc<Latencies>) -> Busy {
        let Self { address, ref token, ref tally, .. } = *self;
        let mut busy = self.read(latencies);
        let reads = f64::from(self.rate);
        let writes = reads / READS_PER_WRITE;
        let (token, tally) = (token.clone(), tally.clone());
        let writer = Writer { address, token, tally, rate: writes, name };
        busy.all.spawn(writer.run(busy.stop.subscribe()));
        let attacks = (reads + writes) / HONEST_PER_ATTACK;
        let (population, tally) = (&self.population, self.tally.clone());
        let attackers = Attackers::new(address, population, &self.token, tally, attacks);
        busy.all.spawn(attackers.run(busy.stop.subscribe()));
        let place = cargo::Place::of(self.server, &self.token);
        let (tally, told) = (self.tally.clone(), busy.stop.subscribe());
        busy.cargo = Some(thread::spawn(move || cargo::run(&place, name, &tally, &told)));
        busy
    }

    /// Asks for as much at once as readers ever do: what an allocator has had once, it keeps, and so
    /// does the server with memory to read files into.
    pub(crate) async fn ask_at_once(&self) {
        for path in ["/main/api/v1/crates?q=read", &self.population.large] {
            let mut asking = JoinSet::new();
            for _ in 0..MOST {
                let (address, request) = (self.address, get(path));
                asking.spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    connection.ask(&request).await
                });
            }
            for answer in asking.join_all().await {
                assert_eq!(answer.expect("an answer").status, 200, "{path}");
            }
        }
    }
}

impl Busy {
    /// Everybody goes away.
    pub(crate) async fn end(mut self) {
        drop(self.stop);
        while let Some(ended) = self.all.join_next().await {
            ended.expect("nobody panics");
        }
        if let Some(cargo) = self.cargo {
            let ended = tokio::task::spawn_blocking(|| cargo.join()).await;
            ended.expect("nobody panics").expect("nobody panics");
        }
    }
}
