//! Bugs that stay with the request that meets them.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use crate::respond::Error;

/// A bug in one request must not end the connection, let alone the server.
pub(crate) struct CatchPanic<F>(pub(crate) F);

impl<F, T> Future for CatchPanic<F>
where
    F: Future<Output = Result<T, Error>> + Unpin,
{
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Unwind safe: the future is not polled again, and what it shares with other requests is
        // behind locks of the backends.
        catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(cx))).unwrap_or_else(|panic| {
            Poll::Ready(Err(Error::Panic { message: panic_message(&*panic) }))
        })
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("not with a text").to_owned()
}
