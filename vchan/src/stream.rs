//! A channel as an asynchronous byte stream.
use crate::{
    channel::{Channel, Doorbell, LENT},
    error::Error,
};
use airglow_device::{ErrorType, Read, Stream, Write};
use core::{future::poll_fn, task::Poll};

impl<D: Doorbell> ErrorType for Channel<'_, D> {
    type Error = Error;
}

/// The end of a stream is no error where bytes are read.
fn or_end(result: Result<usize, Error>) -> Result<Option<usize>, Error> {
    match result {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(Error::PeerClosed) => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

impl<D: Doorbell> Read for Channel<'_, D> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.lent_len > 0 {
            let count = self.lent_len.min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..count), self.lent.get(..count)) {
                to.copy_from_slice(from);
            }
            self.use_up(count);
            return Ok(count);
        }
        poll_fn(|cx| {
            // First listen, then look: a ring in between wakes us.
            self.end.doorbell().register(cx.waker());
            match or_end(self.try_read(buf)).transpose() {
                Some(result) => Poll::Ready(result),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl<D: Doorbell> Write for Channel<'_, D> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        poll_fn(|cx| {
            self.end.doorbell().register(cx.waker());
            match self.try_write(buf) {
                Ok(0) => Poll::Pending,
                result => Poll::Ready(result),
            }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        // Everything written is in the ring already.
        Ok(())
    }
}

impl<D: Doorbell> Channel<'_, D> {
    fn use_up(&mut self, count: usize) {
        let count = count.min(self.lent_len);
        self.lent.copy_within(count..self.lent_len, 0);
        self.lent_len -= count;
    }

    /// Reads on behind what waits to be lent. `Some(0)`: the end.
    fn more(&mut self) -> Result<Option<usize>, Error> {
        let room = self.lent.get_mut(self.lent_len..).unwrap_or_default();
        let read = or_end(self.end.try_read(room))?;
        self.lent_len += read.unwrap_or_default();
        Ok(read)
    }

    /// Waits for a client: at once where one is, and for ever where none comes.
    pub async fn connected(&mut self) {
        poll_fn(|cx| {
            self.end.doorbell().register(cx.waker());
            if self.is_connected() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl<D: Doorbell> Stream for Channel<'_, D> {
    // The ring itself cannot be lent: the other end could change what was checked. So bytes are copied, once.
    async fn read_with<R>(&mut self, mut f: impl FnMut(&mut [u8]) -> (usize, R)) -> Result<R, Error> {
        if self.lent_len == 0 || self.unused {
            let full = self.lent_len == LENT;
            if !full {
                poll_fn(|cx| {
                    self.end.doorbell().register(cx.waker());
                    match self.more().transpose() {
                        Some(result) => Poll::Ready(result),
                        None => Poll::Pending,
                    }
                })
                .await?;
            }
        }
        let lent = self.lent.get_mut(..self.lent_len).unwrap_or_default();
        let (used, result) = f(lent);
        self.unused = used == 0;
        self.use_up(used);
        Ok(result)
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.shut();
        Ok(())
    }
}
