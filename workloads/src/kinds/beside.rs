//! A connection that is polled by the task that uses it, beside the exchange itself: no task per connection, so that a
//! request costs no hop between tasks. An idle connection is polled by nobody; that the server has closed it is noticed
//! at the next use.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Moves the bytes of a connection when polled, until the connection ends; then says why. Boxed, because which runtime will
/// open it is not known when its client is made.
pub(crate) type Mover = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What an exchange gives while its connection moves, or why the connection ended before.
pub(crate) async fn beside<F: Future>(exchange: F, mover: &mut Mover) -> Result<F::Output, String> {
    Beside { exchange: pin!(exchange), mover }.await
}

struct Beside<'a, F> {
    exchange: Pin<&'a mut F>,
    mover: &'a mut Mover,
}

impl<F: Future> Future for Beside<'_, F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // One half wakes the other: the head of an answer first, its body after the exchange has asked for it. Taking
        // turns finishes an answer that is already here in one poll instead of three.
        for _ in 0..2 {
            if let Poll::Ready(answer) = self.exchange.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            if let Poll::Ready(end) = self.mover.as_mut().poll(cx) {
                // Nothing moves any more: what the exchange has not got by now, it will never get.
                return Poll::Ready(match self.exchange.as_mut().poll(cx) {
                    Poll::Ready(answer) => Ok(answer),
                    Poll::Pending => Err(end.err().unwrap_or_else(|| "the connection was closed".to_owned())),
                });
            }
        }
        self.exchange.as_mut().poll(cx).map(Ok)
    }
}
