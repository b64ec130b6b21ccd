//! How much of a processor the answers to reads cost, and how fast they come: beside nginx with the
//! same files, and beside hyper alone with bodies of the same size, which is the least that it can
//! cost here. Prints a table, asserts none of it.
//!
//! Run it with `cargo bench -p axum_server --bench http`; it takes some three minutes. Linux only, with
//! two cores at least: servers share the first, load has the last. Without an `nginx` on the machine
//! its lines are missing. `REGISTRY_BENCH_QUICK=1` is for trying it out, and its figures are good for
//! nothing.
//!
//! What is compared is measured in turns, and ratios are the medians of those of the turns. Where
//! the load has no time left and the server has, the line is marked: then requests in a second tell
//! nothing of the server, and what it takes of a processor does.

#[path = "../common/mod.rs"]
mod common;
mod hyper;
mod load;
mod processor;
mod protocols;
mod setting;
mod table;

use std::{
    process::Child,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use self::{
    hyper::BareHyper,
    load::Requests,
    setting::Setting,
    table::{Case, Figures, HYPER, NGINX, OURS, PRIVATE, Table},
};

fn main() {
    hyper::be_told();
    let cores = available_parallelism().map_or(1, usize::from);
    if !cfg!(target_os = "linux") || cores < 2 {
        println!("skipped: servers and load have a core each, on Linux; here are {cores} cores");
        return;
    }
    let effort = Effort { quick: std::env::var_os("REGISTRY_BENCH_QUICK").is_some() };
    // Servers stay where they are started.
    processor::pin(0);
    let setting = Setting::new(effort);
    let bare = [(200, setting.one.size), (200, setting.many.size), (304, 0)];
    let bare = bare.map(|(status, size)| BareHyper::start(status, size));
    processor::pin(cores - 1);

    println!("{cores} cores, {} turns of {:?} each\n", effort.rounds(), effort.turn());
    Table::head();
    let goals: Vec<String> = cases(&setting, &bare)
        .iter()
        .flat_map(|case| {
            let table = measure(effort, case);
            table.print();
            table.goals()
        })
        .collect();
    println!("\n{}", goals.join("\n"));
    protocols::measure(effort, &setting);
}

fn cases(setting: &Setting, [one, many, unchanged]: &[BareHyper; 3]) -> [Case; 4] {
    let public = Party::new(OURS, &setting.public.address, &setting.public.child);
    let private = Party::new(PRIVATE, &setting.private.address, &setting.private.child);
    let nginx = setting.nginx.as_ref().map(|nginx| Party::new(NGINX, &nginx.address, &nginx.child));
    let case = |what, least, bare: &BareHyper, requests: &dyn Fn(&Party) -> Requests| {
        let bare = Party::new(HYPER, &bare.address, &bare.child);
        let parties = [Some(public.clone()), nginx.clone(), Some(bare)].into_iter().flatten();
        let parties = parties.map(|party| (requests(&party), party)).collect();
        Case { what, least, parties }
    };
    let path_of_one = std::slice::from_ref(&setting.one.path);
    let get = |paths: &[String]| Requests::new(paths, &[], 200);
    let mut first = case("1 version", 0.90, one, &|_| get(path_of_one));
    let token = [("authorization", &*setting.token)];
    first.parties.insert(1, (Requests::new(path_of_one, &token, 200), private));
    [
        first,
        case("200 versions", 0.90, many, &|_| get(std::slice::from_ref(&setting.many.path))),
        case("1 version, 304", 0.90, unchanged, &|party| {
            let held = setting.etag(&party.address);
            Requests::new(path_of_one, &[("if-none-match", &held)], 304)
        }),
        case("any of many", 0.80, one, &|_| get(&setting.all)),
    ]
}

fn measure(effort: Effort, case: &Case) -> Table<'_> {
    let mut figures: Vec<_> = case.parties.iter().map(|_| vec![]).collect();
    for round in 0..effort.rounds() {
        for turn in 0..case.parties.len() {
            // Each is the first as often as others.
            let place = (turn + round) % case.parties.len();
            let (requests, party) = &case.parties[place];
            // The servers are children of this process.
            let load = std::process::id();
            let taken = || [processor::time_of_all(party.process), processor::time(load)];
            let (began, before) = (Instant::now(), taken());
            let answers = requests.send(&party.address, effort.turn());
            let (time, after) = (began.elapsed(), taken());
            let taken = std::array::from_fn(|who| after[who] - before[who]);
            figures[place].push(Figures::new(&answers, time, taken));
        }
    }
    Table { case, figures }
}

/// A server that takes part.
#[derive(Clone)]
struct Party {
    name: &'static str,
    address: String,
    process: u32,
}

impl Party {
    fn new(name: &'static str, address: &str, process: &Child) -> Self {
        Self { name, address: address.to_owned(), process: process.id() }
    }
}

/// How long things are measured.
#[derive(Clone, Copy)]
struct Effort {
    quick: bool,
}

impl Effort {
    fn rounds(self) -> usize {
        if self.quick { 1 } else { 9 }
    }

    fn turn(self) -> Duration {
        Duration::from_millis(if self.quick { 200 } else { 1000 })
    }

    /// How many crates are asked for at random.
    fn crates(self) -> usize {
        if self.quick { 500 } else { 20_000 }
    }
}
