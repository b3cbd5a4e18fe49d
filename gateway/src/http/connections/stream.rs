//! The byte stream of a connection: counts bytes, and ends a connection whose client stops reading, sends too much, or
//! is to be closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Slot;
use crate::platform::metrics::HttpLimit;

/// A connection to a client, with its slot among the open connections.
pub struct ClientStream<S> {
    stream: S,
    slot: Slot,
    /// Runs while the client reads nothing.
    stall: Option<Pin<Box<Sleep>>>,
    has_stalled: bool,
    /// Completes when the connection is to be closed. The HTTP task notices that by itself; a WebSocket's task does
    /// not.
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Wakes the reading task. Only that task notices that a WebSocket can no longer be written to.
    reader: Option<Waker>,
}

impl<S> ClientStream<S> {
    pub fn new(stream: S, slot: Slot) -> Self {
        Self {
            stream,
            closing: Box::pin(slot.connection().closing().clone().cancelled_owned()),
            slot,
            stall: None,
            has_stalled: false,
            reader: None,
        }
    }

    /// Checks the result of a write: an error if the client has read nothing for too long.
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.slot.stall_limit();
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        if stall.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if !std::mem::replace(&mut self.has_stalled, true) {
            self.slot.note_limit(HttpLimit::WriteStall);
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_stalled {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let connection = self.slot.connection();
        if read.is_pending() {
            if connection.is_upgraded() && self.closing.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.reader = Some(context.waker().clone());
        } else if let bytes @ 1.. = buffer.filled().len() - before
            && connection.note_read(bytes).is_err()
        {
            self.slot.note_limit(HttpLimit::LiveInput);
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.slot.connection().note_written(bytes);
        }
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.slot.connection().note_written(bytes);
        }
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::{ClientAddress, ConnectionLimits, Connections};
    use super::*;
    use crate::platform::metrics::Metrics;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_disconnected_even_if_it_keeps_sending() {
        let limits = ConnectionLimits {
            stall: Duration::from_secs(1),
            ..ConnectionLimits::new(1_024)
        };
        let connections = Connections::new(limits, Arc::new(Metrics::new().unwrap()));
        let address = ClientAddress::new(Ipv4Addr::LOCALHOST.into());
        let slot = connections.admit(address).unwrap();
        let (stream, mut client) = tokio::io::duplex(100);
        let connection = Arc::clone(slot.connection());
        let (mut reader, mut writer) = tokio::io::split(ClientStream::new(stream, slot));
        let reading = tokio::spawn(async move {
            loop {
                if let Err(error) = reader.read_u8().await {
                    return error.kind();
                }
            }
        });
        // Read in time.
        writer.write_all(&[0; 100]).await.unwrap();
        assert_eq!(connection.written(), 100);
        let taken = tokio::spawn(async move {
            client.read_exact(&mut [0; 100]).await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while client.write_all(b"3").await.is_ok() {
                ticks.tick().await;
            }
        });
        writer.write_all(&[0; 100]).await.unwrap();
        let error = writer.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(reading.await.unwrap(), io::ErrorKind::TimedOut);
        drop(writer);
        taken.await.unwrap();
    }
}
