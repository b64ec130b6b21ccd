use crate::common::{Cargo, Server};

/// The list that people page through, and what `cargo search` prints, are one registry.
#[test]
fn a_list_of_the_crates_agrees_with_search() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    for (name, version) in [
        ("part-b", "1.0.0"),
        ("part-a", "0.1.0"),
        ("part-a", "0.2.0"),
        ("part-c", "3.0.0"),
        ("other", "1.0.0"),
    ] {
        cargo.publish_library(name, version);
    }
    cargo.run(["yank", "part-a@0.2.0", "--registry", "main"]).success();

    let client = server.client();
    let list = |query: &str| client.get(&format!("/main/api/v1/crates?{query}")).json();
    let page = list("prefix=part-");
    let crates = page["crates"].as_array().unwrap();
    let listed: Vec<_> = crates
        .iter()
        .map(|each| {
            let text = |key: &str| each[key].as_str().unwrap();
            format!("{} = \"{}\"    # {}", text("name"), text("max_version"), text("description"))
        })
        .collect();
    let found = cargo.run(["search", "part-", "--registry", "main"]).success();
    let found: Vec<_> = found.lines().take_while(|line| !line.starts_with("note: ")).collect();
    assert_eq!(listed, found);
    assert_eq!(found.len(), 3);

    let yanked = list("status=yanked");
    assert_eq!(yanked["meta"]["total"], 1);
    assert_eq!(yanked["crates"][0]["name"], "part-a");
    let versions = client.get("/main/api/v1/crates/part_a/versions").json();
    let shown: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| (each["num"].as_str().unwrap(), each["status"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("0.2.0", "yanked"), ("0.1.0", "published")]);
}
