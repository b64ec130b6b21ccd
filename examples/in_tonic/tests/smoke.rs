//! Cargo, through the program.

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http2, header::CONTENT_TYPE};
use hyper_util::rt::{TokioExecutor, TokioIo};
use real_cargo::{Program, smoke_test};
use tokio::net::TcpStream;

#[test]
fn cargo_publishes_to_it_and_builds_from_it() {
    smoke_test(&Program::start(env!("CARGO_BIN_EXE_in_tonic")));
}

#[tokio::test]
async fn grpc_is_answered_beside_it() {
    let program = Program::start(env!("CARGO_BIN_EXE_in_tonic"));
    let stream = TcpStream::connect(program.address()).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // How all of the server is: an empty message, not compressed, of no bytes.
    let request =
        Request::post(format!("http://{}/grpc.health.v1.Health/Check", program.address()))
            .header(CONTENT_TYPE, "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(&[0; 5])));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = answer.into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    // `SERVING` as the field `status`. Source: grpc/health/v1/health.proto.
    assert_eq!(answer.to_bytes().as_ref(), [0, 0, 0, 0, 2, 8, 1]);
}
