//! One end of a channel: bytes in and out, and who rings whom.
use crate::{
    error::Error,
    interface::{Header, Indices, NOTIFY_READ, NOTIFY_WRITE},
    ring,
    sync::{AtomicU64, Ordering, fence},
};
use core::task::Waker;

/// One end of an event channel, or of whatever wakes the other side.
pub trait Doorbell {
    /// Rings the other end.
    fn ring(&self);
    /// Wakes `waker` when the other end has rung; once.
    fn register(&self, waker: &Waker);
}

impl<D: Doorbell + ?Sized> Doorbell for &D {
    fn ring(&self) {
        (**self).ring();
    }
    fn register(&self, waker: &Waker) {
        (**self).register(waker);
    }
}

/// Which end this is. The server made the memory; beyond that they are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads left, writes right.
    Server,
    /// Writes left, reads right.
    Client,
}

/// Bytes that may wait to be lent by `read_with`.
pub(crate) const LENT: usize = 2048;

/// One end of a channel over memory that lives for `'m`.
///
/// The memory may belong to a hostile domain: every index is checked when it is read, bytes are copied once, and the worst
/// that the other end can do is to send nonsense or nothing.
#[derive(Debug)]
pub struct Channel<'m, D: Doorbell> {
    pub(crate) end: End<'m, D>,
    pub(crate) lent: [u8; LENT],
    pub(crate) lent_len: usize,
    // The last reader used none of what was lent and wants more.
    pub(crate) unused: bool,
}

/// The end itself, without what was read ahead.
#[derive(Debug)]
pub(crate) struct End<'m, D: Doorbell> {
    header: &'m Header,
    role: Role,
    read: &'m [AtomicU64],
    write: &'m [AtomicU64],
    doorbell: D,
    // Our own index of each ring: what is in the shared page is for the other end to read.
    taken: u32,
    put: u32,
    closed: bool,
    broken: bool,
}

impl<'m, D: Doorbell> Channel<'m, D> {
    /// This end of the channel in `header`, whose rings of a power of two of words each the caller has found: `left` from client to server,
    /// `right` from server to client. A client says here that it has come.
    pub fn new(
        header: &'m Header,
        role: Role,
        left: &'m [AtomicU64],
        right: &'m [AtomicU64],
        doorbell: D,
    ) -> Self {
        let (read, write) = match role {
            Role::Server => (left, right),
            Role::Client => (right, left),
        };
        debug_assert!(read.len().is_power_of_two() && write.len().is_power_of_two());
        let mut end =
            End { header, role, read, write, doorbell, taken: 0, put: 0, closed: false, broken: false };
        // A server that outlives its client goes on where the rings stand.
        end.taken = end.indices().0.cons.load(Ordering::Relaxed);
        end.put = end.indices().1.prod.load(Ordering::Relaxed);
        if role == Role::Client {
            header.srv_notify.store(NOTIFY_WRITE, Ordering::SeqCst);
            header.cli_live.store(1, Ordering::SeqCst);
            end.doorbell.ring();
        }
        Self { end, lent: [0; LENT], lent_len: 0, unused: false }
    }

    /// The other end is there, or is expected. A server that waits for its first client has an open channel.
    pub fn is_peer_open(&self) -> bool {
        self.end.is_peer_open()
    }

    /// A client has come; always so for a client.
    pub fn is_connected(&self) -> bool {
        self.end.role == Role::Client || self.end.header.cli_live.load(Ordering::Acquire) == 1
    }

    /// Takes what is there, up to `buffer`'s length; 0: nothing yet, and the doorbell will ring when there is more. What has come can be
    /// read after this end was closed.
    ///
    /// # Errors
    /// [`Error::PeerClosed`] when everything has been read and the other end or this one is gone, [`Error::BrokenRing`].
    pub fn try_read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.end.try_read(buffer)
    }

    /// Puts as much of `bytes` as there is room for into the ring; 0: no room yet, and the doorbell will ring when there is some.
    ///
    /// # Errors
    /// [`Error::PeerClosed`], [`Error::BrokenRing`], [`Error::Closed`].
    pub fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.end.try_write(bytes)
    }

    /// Closes this end, for both directions, and tells the other. What was written can still be read there. Closing twice does nothing.
    pub fn shut(&mut self) {
        self.end.shut();
    }
}

impl<'m, D: Doorbell> End<'m, D> {
    /// The indices of the ring that is read, and of the one that is written.
    fn indices(&self) -> (&'m Indices, &'m Indices) {
        match self.role {
            Role::Server => (&self.header.left, &self.header.right),
            Role::Client => (&self.header.right, &self.header.left),
        }
    }

    /// Asks the other end to ring at its next read or write.
    fn request(&self, what: u8) {
        let flags = match self.role {
            Role::Server => &self.header.cli_notify,
            Role::Client => &self.header.srv_notify,
        };
        flags.fetch_or(what, Ordering::SeqCst);
        // The look at the ring that follows must not come before it.
        fence(Ordering::SeqCst);
    }

    /// Rings the other end if it has asked for it.
    fn notify(&self, what: u8) {
        let flags = match self.role {
            Role::Server => &self.header.srv_notify,
            Role::Client => &self.header.cli_notify,
        };
        // The index that was just written must be seen by whoever asks from now on.
        fence(Ordering::SeqCst);
        if flags.fetch_and(!what, Ordering::SeqCst) & what != 0 {
            self.doorbell.ring();
        }
    }

    fn is_peer_open(&self) -> bool {
        let live = match self.role {
            Role::Server => &self.header.cli_live,
            Role::Client => &self.header.srv_live,
        };
        live.load(Ordering::Acquire) != 0
    }

    pub(crate) fn doorbell(&self) -> &D {
        &self.doorbell
    }

    /// Bytes that wait to be read.
    ///
    /// # Errors
    /// [`Error::BrokenRing`].
    fn waiting(&mut self) -> Result<usize, Error> {
        let waiting = self.indices().0.prod.load(Ordering::Acquire).wrapping_sub(self.taken) as usize;
        if self.broken || waiting > ring::capacity(self.read) {
            self.broken = true;
            return Err(Error::BrokenRing);
        }
        Ok(waiting)
    }

    /// Bytes that can be written.
    fn room(&mut self) -> Result<usize, Error> {
        let unread = self.put.wrapping_sub(self.indices().1.cons.load(Ordering::Acquire)) as usize;
        if self.broken || unread > ring::capacity(self.write) {
            self.broken = true;
            return Err(Error::BrokenRing);
        }
        Ok(ring::capacity(self.write) - unread)
    }

    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut waiting = self.waiting()?;
        if waiting == 0 {
            self.request(NOTIFY_WRITE);
            // Whether it is open is looked at before the ring, so that its last words are read.
            let open = self.is_peer_open();
            waiting = self.waiting()?;
            if waiting == 0 {
                return if open && !self.closed { Ok(0) } else { Err(Error::PeerClosed) };
            }
        }
        let count = waiting.min(buffer.len());
        ring::copy_out(self.read, self.taken, buffer.get_mut(..count).unwrap_or_default());
        self.taken = self.taken.wrapping_add(count as u32);
        self.indices().0.cons.store(self.taken, Ordering::Release);
        self.notify(NOTIFY_READ);
        Ok(count)
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        if !self.is_peer_open() {
            return Err(Error::PeerClosed);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut room = self.room()?;
        if room == 0 {
            self.request(NOTIFY_READ);
            room = self.room()?;
        }
        let count = room.min(bytes.len());
        if count == 0 {
            return Ok(0);
        }
        ring::copy_in(self.write, self.put, bytes.get(..count).unwrap_or_default());
        self.put = self.put.wrapping_add(count as u32);
        self.indices().1.prod.store(self.put, Ordering::Release);
        self.notify(NOTIFY_WRITE);
        Ok(count)
    }

    fn shut(&mut self) {
        if core::mem::replace(&mut self.closed, true) {
            return;
        }
        let live = match self.role {
            Role::Server => &self.header.srv_live,
            Role::Client => &self.header.cli_live,
        };
        live.store(0, Ordering::SeqCst);
        self.doorbell.ring();
    }
}

impl<D: Doorbell> Drop for End<'_, D> {
    fn drop(&mut self) {
        self.shut();
    }
}
