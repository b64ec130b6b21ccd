//! Whom the server takes for the client when somebody stands between them.

use crate::common::{CrateFile, Outcome, Server, axum_server};

/// Who is said to have asked for `/main/me` with these headers.
fn client(server: &Server, headers: &[(&str, &str)]) -> String {
    assert_eq!(server.client().get_with("/main/me", headers).status, 200);
    server.requests().pop().unwrap().client
}

#[test]
fn a_listed_proxy_says_who_the_client_is() {
    let server = Server::start_with(&["--trusted-proxy", "127.0.0.0/8,10.0.0.0/8"]);
    let forwarded = ("x-forwarded-for", "203.0.113.66, 198.51.100.7, 10.0.0.2");
    assert_eq!(client(&server, &[forwarded]), "198.51.100.7");
    // Only in the header that it is said to write.
    assert_eq!(client(&server, &[("forwarded", "for=198.51.100.7")]), "127.0.0.1");
    assert_eq!(client(&server, &[]), "127.0.0.1");

    let flags = ["--trusted-proxy", "127.0.0.1", "--forwarded-by", "forwarded"];
    let server = Server::start_with(&flags);
    let headers = [("forwarded", "for=\"[2001:db8::1]:4711\""), forwarded];
    assert_eq!(client(&server, &headers), "2001:db8::1");
}

#[test]
fn nobody_else_says_who_the_client_is() {
    for flags in [&[][..], &["--trusted-proxy", "10.0.0.0/8"]] {
        let server = Server::start_with(flags);
        let headers = [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.7")];
        assert_eq!(client(&server, &headers), "127.0.0.1");
    }
}

const USER: (&str, &str) = ("x-forwarded-user", "alice");

fn proxied(proxy: &str) -> Server {
    let groups = ["--proxy-groups-header", "X-Forwarded-Groups"];
    let user = ["--private", "--proxy-user-header", "X-Forwarded-User", "--trusted-proxy", proxy];
    Server::start_with(&[&user[..], &groups].concat())
}

#[test]
fn a_listed_proxy_says_who_the_user_is() {
    let server = proxied("127.0.0.0/8");
    let hello = CrateFile::library("hello", "1.0.0", b"");
    let (client, path) = (server.client(), hello.index_path());
    let publish = |headers: &[(&str, &str)], version| {
        let frame = CrateFile::library("hello", version, b"").frame();
        client.send("PUT", "/main/api/v1/crates/new", headers, &frame).status
    };
    assert_eq!(publish(&[USER], "1.0.0"), 200);
    assert_eq!(client.get_with(&path, &[USER]).status, 200);
    assert_eq!(client.get(&path).status, 401);
    // As nobody: a proxy that asks nobody for a password says so by nothing.
    assert_eq!(client.get_with(&path, &[("x-forwarded-user", "")]).status, 401);
    // Who came once is a user, and may become an owner; a group publishes.
    let bob = ("x-forwarded-user", "bob");
    assert_eq!(publish(&[bob], "1.1.0"), 403);
    let group = Outcome::of(&mut server.command(["group", "create", "ui"]));
    group.success();
    let owners = "/main/api/v1/crates/hello/owners";
    let add = br#"{"users":["group:ui"]}"#;
    assert_eq!(client.send("PUT", owners, &[USER], add).status, 200);
    let groups = ("x-forwarded-groups", "ops, ui");
    assert_eq!(publish(&[bob, groups], "1.1.0"), 200);
    assert_eq!(client.send("PUT", owners, &[bob, groups], add).status, 403);
    let users = Outcome::of(&mut server.command(["user", "list"])).success();
    assert_eq!(users, "alice\tuser\t-\t-\nbob\tuser\t-\t-\n");

    for headers in [
        &[USER, USER][..],
        &[USER, ("x-forwarded-user", "root")],
        &[("x-forwarded-user", "alice bob")],
        &[("x-forwarded-user", "\u{e4}")],
        &[USER, ("x-forwarded-groups", "u i")],
        &[USER, groups, groups],
    ] {
        assert_eq!(client.get_with(&path, headers).status, 400, "{headers:?}");
    }
    // As users of identity providers and groups are called, nobody is at a proxy.
    for login in ["group:ui", "corp:alice"] {
        assert_eq!(client.get_with(&path, &[("x-forwarded-user", login)]).status, 401, "{login}");
    }
    // A page of somebody else's, in the browser of who is logged in there, changes nothing.
    let own = format!("http://{}", server.address());
    for (origin, status) in [("https://evil.example", 403), ("null", 403), (&*own, 200)] {
        let headers = [USER, ("origin", origin)];
        assert_eq!(client.send("PUT", owners, &headers, add).status, status, "{origin}");
        assert_eq!(client.get_with(&path, &headers).status, 200, "{origin}");
    }
    // A credential counts, and nothing else, so that a narrow or bad one gets no further.
    assert_eq!(client.with_token("nonsense").get_with(&path, &[USER]).status, 401);
    let mallory = server.client_of("mallory");
    let frame = CrateFile::library("hello", "1.2.0", b"").frame();
    assert_eq!(mallory.send("PUT", "/main/api/v1/crates/new", &[USER], &frame).status, 403);

    Outcome::of(&mut server.command(["user", "disable", "alice"])).success();
    assert_eq!(server.client().get_with(&path, &[USER]).status, 401);
}

#[test]
fn nobody_else_says_who_the_user_is() {
    let server = proxied("192.0.2.1");
    let hello = CrateFile::library("hello", "1.0.0", b"").index_path();
    assert_eq!(server.client().get_with(&hello, &[USER]).status, 401);
    // Not even by saying that they come from there.
    let forwarded = ("x-forwarded-for", "192.0.2.1");
    assert_eq!(server.client().get_with(&hello, &[USER, forwarded]).status, 401);
    // And where no header is named, none counts.
    let server = Server::start_with(&["--private", "--trusted-proxy", "127.0.0.1"]);
    assert_eq!(server.client().get_with(&hello, &[USER]).status, 401);
}

#[test]
fn a_user_header_needs_a_list_of_proxies() {
    let mut command = axum_server();
    command.args(["serve", "--listen", "127.0.0.1:0", "--proxy-user-header", "X-Forwarded-User"]);
    let refused = Outcome::of(&mut command).failure();
    assert!(refused.contains("--trusted-proxy <NET>"), "{refused}");
}
