//! Whom the server takes for the client when somebody stands between them.

use crate::common::Server;

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
