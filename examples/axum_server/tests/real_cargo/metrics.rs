//! What operators see: metrics, the dashboard over them, and traces in the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpStream,
};

use crate::common::{Cargo, Client, CrateFile, Server, wait_for};

/// The dashboard that is shipped with the server.
const DASHBOARD: &str = include_str!("../../grafana.json");

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Where the metrics of a server are, as its log says.
fn metrics_address(server: &Server) -> String {
    wait_for("metrics to be served", || {
        let log = server.log();
        let (_, rest) = log.split_once("metrics are served url=http://")?;
        Some(rest.split_once("/metrics")?.0.to_owned())
    })
}

/// All that a server says of itself, by name and labels.
pub(crate) fn metrics(server: &Server) -> BTreeMap<String, f64> {
    let answer = Client::new(&metrics_address(server)).get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let numbers = lines.map(|line| line.rsplit_once(' ').expect(line));
    numbers.map(|(what, number)| (what.to_owned(), number.parse().unwrap())).collect()
}

/// Those whose name is `name`, with how often each happened.
fn counted(all: &BTreeMap<String, f64>, name: &str) -> Vec<(String, u64)> {
    let found = all.iter().filter_map(|(what, number)| {
        let labels = what.strip_prefix(name)?.strip_prefix('{')?.strip_suffix('}')?;
        Some((labels.replace('"', ""), *number as u64))
    });
    found.collect()
}

fn expect(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(labels, number)| (labels.to_string(), *number)).collect()
}

const REQUESTS: &str = "registry_http_requests_total";

/// A name with labels, as it is exported.
fn quoted(name: &str, labels: &str) -> String {
    let labels: Vec<_> = labels
        .split(',')
        .map(|label| label.split_once('=').expect(label))
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

#[test]
fn what_cargo_does_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let cache = ["--metrics", "0", "--storage-cache", cache.to_str().unwrap()];
    let server = Server::start_with(&cache);
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("foo", "1.0.0");
    let again = Cargo::of(&server, "bob").publish(&cargo.library("foo", "1.0.1")).failure();
    assert!(again.contains("403"), "{again}");
    let program =
        cargo.program("app", "").dependencies("foo = { version = \"1.0.0\", registry = \"main\" }");
    cargo.run_in(&program, ["fetch"]).success();
    cargo.forget_downloads();
    cargo.run_in(&program, ["fetch"]).success();
    let before = metrics(&server);
    let client = server.client();
    let file = client.get("/main/index/3/f/foo");
    let held = [("if-none-match", file.header("etag").unwrap())];
    assert_eq!(client.get_with("/main/index/3/f/foo", &held).status, 304);
    assert_eq!(client.get("/main/index/3/b/bar").status, 404);
    assert_eq!(client.get("/main/nowhere").status, 404);
    assert_eq!(client.get("/other/index/config.json").status, 404);

    let all = metrics(&server);
    let mut since = counted(&all, REQUESTS);
    for (labels, times) in &mut since {
        *times -= before.get(&quoted(REQUESTS, labels)).map_or(0, |times| *times as u64);
    }
    since.retain(|(_, times)| *times > 0);
    assert_eq!(
        since,
        expect(&[
            ("registry=,route=none,status=404", 1),
            ("registry=main,route=index_file,status=200", 1),
            ("registry=main,route=index_file,status=304", 1),
            ("registry=main,route=index_file,status=404", 1),
            ("registry=main,route=none,status=404", 1),
        ])
    );

    // The log has each request, too, those of cargo among them.
    let mut logged: BTreeMap<(&str, String, u16), u64> = BTreeMap::new();
    for request in server.requests() {
        let (registry, path) =
            request.path.strip_prefix("/main/").map_or(("", "nowhere"), |path| ("main", path));
        let route = match path {
            "index/config.json" => "config",
            "api/v1/crates/new" => "publish",
            "nowhere" => "none",
            path if path.starts_with("dl/") => "download",
            path if path.starts_with("index/") => "index_file",
            path => panic!("{path}"),
        };
        *logged.entry((registry, route.into(), request.status)).or_default() += 1;
    }
    let logged: Vec<_> = logged
        .iter()
        .map(|((registry, route, status), times)| {
            (format!("registry={registry},route={route},status={status}"), *times)
        })
        .collect();
    let requests = counted(&all, REQUESTS);
    assert_eq!(requests, logged);
    for (labels, times) in [
        ("registry=main,route=download,status=200", 2),
        ("registry=main,route=publish,status=200", 1),
        ("registry=main,route=publish,status=403", 1),
    ] {
        assert!(requests.contains(&(labels.to_owned(), times)), "{labels}: {requests:?}");
    }
    assert_eq!(
        counted(&all, "registry_publishes_total"),
        expect(&[("registry=main,outcome=forbidden", 1), ("registry=main,outcome=published", 1),])
    );
    let size = file_size(&server);
    let sent = counted(&all, "registry_http_sent_bytes_total");
    assert!(sent.contains(&("registry=main,route=download".into(), 2 * size)), "{sent:?}");

    let calls = counted(&all, "registry_backend_calls_total");
    for (labels, times) in [
        ("backend=crates,operation=put,outcome=succeeded", 1),
        // The second download is from the cache.
        ("backend=crates,operation=get,outcome=found", 1),
        ("backend=index,operation=commit,outcome=committed", 1),
    ] {
        assert!(calls.contains(&(labels.to_owned(), times)), "{labels}: {calls:?}");
    }
    let reads = counted(&all, "registry_cache_reads_total");
    for expected in expect(&[
        ("cache=crates,result=hit", 1),
        ("cache=crates,result=miss", 1),
        // Of alice and of bob.
        ("cache=principals,result=miss", 2),
    ]) {
        assert!(reads.contains(&expected), "{expected:?}: {reads:?}");
    }
    let hits = reads.iter().find(|(labels, _)| labels == "cache=index,result=hit");
    assert!(hits.is_some_and(|(_, times)| *times >= 1), "{reads:?}");
    // The one that asks, and nobody else by now.
    wait_for("all connections to end", || {
        let gauges = metrics(&server);
        let idle =
            ["registry_server_connections", "registry_http_requests_in_flight{registry=\"main\"}"];
        idle.iter().all(|name| gauges[*name] == 0.).then_some(())
    });
    let waiting = std::net::TcpStream::connect(server.address()).unwrap();
    wait_for("a connection to be counted", || {
        (metrics(&server)["registry_server_connections"] == 1.).then_some(())
    });
    assert!(metrics(&server)["registry_server_tasks"] >= 1.);
    drop(waiting);
    // Metrics are for nobody else.
    assert_eq!(server.client().get("/metrics").status, 404);
}

#[test]
fn what_a_backend_fails_at_is_counted_as_failed() {
    let server = Server::start_with(&["--metrics", "0"]);
    let file = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
    fs::rename(server.data().join("crates"), server.data().join("gone")).unwrap();
    assert_eq!(server.client().get(&file.download_path()).status, 503);
    let calls = counted(&metrics(&server), "registry_backend_calls_total");
    let failed: Vec<_> = calls.iter().filter(|(labels, _)| labels.contains("=failed")).collect();
    assert_eq!(failed, [&("backend=crates,operation=get,outcome=failed".to_owned(), 1)]);
}

/// Bytes of the one crate file there is.
fn file_size(server: &Server) -> u64 {
    let files = server.client().get("/main/api/v1/crates/foo/1.0.0/download");
    assert_eq!(files.status, 200);
    files.body.len() as u64
}

/// The labels that a query tells apart, or chooses by.
fn labels_of(query: &str) -> impl Iterator<Item = &str> {
    let between = |begin: &'static str, end: char| {
        query.split(begin).skip(1).map(move |rest| rest.split(end).next().unwrap())
    };
    let told_apart = between("by (", ')').flat_map(|list| list.split(", "));
    let chosen = between("{", '}').flat_map(|list| list.split(','));
    told_apart.chain(chosen.map(|label| label.split(['=', '!']).next().unwrap()))
}

#[test]
fn the_dashboard_asks_for_what_there_is_and_for_all_of_it() {
    let server = Server::start_with(&["--metrics", "0"]);
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("foo", "1.0.0");
    let program =
        cargo.program("app", "").dependencies("foo = { version = \"1.0.0\", registry = \"main\" }");
    cargo.run_in(&program, ["fetch"]).success();

    let (mut exported, mut labels) = (BTreeSet::new(), BTreeSet::new());
    for series in metrics(&server).into_keys() {
        let (name, its) = series.split_once('{').unwrap_or((&series, ""));
        exported.insert(name.to_owned());
        let of = its.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        labels.extend(of.map(|(label, _)| (name.to_owned(), label.to_owned())));
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let words = query.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
            let names: Vec<_> = words.filter(|word| word.starts_with("registry_")).collect();
            for (name, label) in
                names.iter().flat_map(|name| labels_of(query).map(|it| (*name, it)))
            {
                let pair = (name.to_owned(), label.to_owned());
                assert!(labels.contains(&pair), "{pair:?} of {query}");
            }
            asked.extend(names.into_iter().map(str::to_owned));
        }
    }
    assert!(asked.is_subset(&exported), "{asked:?} {exported:?}");
    // Of a histogram, one of its three is enough.
    let of = |name: &String| {
        let histogram = ["_bucket", "_sum", "_count"];
        histogram.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let [asked, exported] =
        [asked, exported].map(|all| all.iter().map(of).collect::<BTreeSet<_>>());
    assert_eq!(asked, exported);
}

#[test]
fn the_trace_of_a_request_is_on_the_lines_of_its_backend_calls() {
    let server = Server::start_with(&["--log-format", "json"]);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let client = server.client_of("alice");
    let answer = client.get_with("/main/index/3/f/foo", &[("traceparent", &parent)]);
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-request-id").unwrap(), format!("{TRACE}-{PARENT}"));
    Cargo::of(&server, "alice").publish_library("foo", "1.0.0");
    let broken = client.get_with("/main/index/3/b/bar", &[("traceparent", &parent[1..])]);
    let other = broken.header("x-request-id").unwrap().to_owned();

    let lines: Vec<serde_json::Value> =
        server.log().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |id: &str| -> Vec<&serde_json::Value> {
        let has_id = |line: &&serde_json::Value| {
            let spans = line["spans"].as_array().into_iter().flatten();
            line["id"] == id
                || line["span"]["id"] == id
                || spans.clone().any(|span| span["id"] == id)
        };
        lines.iter().filter(has_id).collect()
    };
    let traced = of(&format!("{TRACE}-{PARENT}"));
    // The calls that it was, and the request, each with the line that ends it.
    let ends: Vec<_> = traced
        .iter()
        .filter(|line| line["message"] == "close")
        .map(|line| {
            let span = &line["span"];
            let text = |name: &str| span[name].as_str().unwrap_or("-").to_owned();
            [text("name"), text("backend"), text("operation"), text("outcome")].join(" ")
        })
        .collect();
    assert_eq!(
        ends,
        [
            "backend authenticator authenticate accepted",
            "backend index index_file absent",
            "request - - -",
        ]
    );
    for line in &traced {
        let spans = line["spans"].as_array().into_iter().flatten();
        let mut all = spans.chain([&line["span"], *line]);
        assert!(all.any(|span| span["trace_id"] == TRACE), "{line}");
    }
    let request = traced.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!(request["trace_id"], TRACE);
    let end = traced.iter().rfind(|line| line["message"] == "close").unwrap();
    let span = &end["span"];
    assert_eq!(
        [&span["route"], &span["crate"], &span["method"], &span["parent_id"], &span["status"]],
        [
            &serde_json::json!("index_file"),
            &serde_json::json!("foo"),
            &serde_json::json!("GET"),
            &serde_json::json!(PARENT),
            &serde_json::json!(404),
        ]
    );
    let publish = lines.iter().map(|line| &line["span"]).find(|span| {
        span["name"] == "request" && span["route"] == "publish" && span["status"] == 200
    });
    assert_eq!(publish.unwrap()["crate"], "foo");
    let stored =
        lines.iter().find(|line| line["span"]["operation"] == "put").expect("a crate file");
    assert_eq!(
        [&stored["span"]["backend"], &stored["span"]["outcome"]],
        [&serde_json::json!("crates"), &serde_json::json!("succeeded")]
    );
    let around = stored["spans"].as_array().unwrap();
    assert!(around.iter().any(|span| span["route"] == "publish"), "{stored}");

    // One that cannot be read is passed over.
    let untraced = of(&other);
    assert!(!untraced.is_empty());
    assert!(untraced.iter().all(|line| !line.to_string().contains("trace_id")), "{untraced:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn idle_connections_leave_files_to_others_and_metrics_to_who_comes_after() {
    let server = Server::start_with(&["--metrics", "0"]);
    let address = metrics_address(&server);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let before = open();
    let idle: Vec<_> = (0..12).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // Eight of them, and a few files of others.
    assert!(open() <= before + 8 + 4, "{before} and {}", open());
    // The last four are accepted when the first have had their time, and so is who comes after.
    let answer = Client::new(&address).get("/metrics");
    assert_eq!(answer.status, 200);
    drop(idle);
}
