#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub(crate) mod azure;
pub(crate) mod proxy;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A name that nothing has yet.
pub(crate) fn unused() -> String {
    format!("{:016x}", getrandom::u64().unwrap())
}

/// The answer to a request without a body.
pub(crate) async fn http(address: &str, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}
