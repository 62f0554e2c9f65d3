//! Streams to other name servers, plain ones and such over TLS.
use super::{Ended, Limits, framed, read_exact, write};
use crate::NameServer;
use airglow_device::{Stream, Tcp, Timer};
use airglow_runtime::timeout;
use alloc::{boxed::Box, string::String, vec::Vec};
use core::{fmt, net::SocketAddr, time::Duration};

/// How streams to other name servers are opened. Every [`Tcp`] opens plain ones; an application that has TLS too implements
/// this over both, for protocols know nothing of one another.
#[allow(async_fn_in_trait, reason = "one thread")]
pub trait Dial {
    /// A plain stream.
    type Plain<'a>: Stream
    where
        Self: 'a;
    /// A stream over TLS.
    type Secure<'a>: Stream
    where
        Self: 'a;

    /// Opens a connection.
    ///
    /// # Errors
    /// Nobody takes it.
    async fn plain(&self, to: SocketAddr) -> Result<Self::Plain<'_>, DialError>;
    /// Opens one over TLS to a server that shows a good certificate for `name` and knows the protocol `dot`
    /// (RFC 9103 section 7.1).
    ///
    /// # Errors
    /// Nobody takes it, or not so.
    async fn secure<'a>(&'a self, to: SocketAddr, name: &'a str) -> Result<Self::Secure<'a>, DialError>;
}

/// Why there is no stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody answers, or not in time.
    Silent,
    /// There is no TLS, for this reason.
    Insecure(String),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it does not answer"),
            Self::Insecure(why) => write!(f, "no TLS with it: {why}"),
        }
    }
}
impl core::error::Error for DialError {}

impl<T: Tcp> Dial for T {
    type Plain<'a>
        = T::Stream<'a>
    where
        T: 'a;
    type Secure<'a>
        = T::Stream<'a>
    where
        T: 'a;

    async fn plain(&self, to: SocketAddr) -> Result<Self::Plain<'_>, DialError> {
        self.connect(to).await.map_err(|_| DialError::Silent)
    }
    async fn secure<'a>(&'a self, _: SocketAddr, _: &'a str) -> Result<Self::Secure<'a>, DialError> {
        Err(DialError::Insecure("this program has none".into()))
    }
}

/// What one connection is for, whatever stream it is.
pub(super) trait Talk {
    /// What it comes to.
    type Outcome;
    /// Why it comes to nothing.
    type Error: From<DialError>;
    async fn talk(self, stream: impl Stream) -> Result<Self::Outcome, Self::Error>;
}

/// Opens a stream to `server` within `patience`, over TLS if that is how it is spoken to, and talks.
pub(super) async fn talk<T: Talk>(
    dial: &impl Dial,
    server: &NameServer,
    timer: &(impl Timer + ?Sized),
    patience: Duration,
    talk: T,
) -> Result<T::Outcome, T::Error> {
    let late = |_| DialError::Silent;
    match &server.tls {
        None => {
            let stream = timeout(timer, patience, dial.plain(server.address)).await.map_err(late)??;
            talk.talk(stream).await
        }
        // TLS has much to remember: not in the future of everybody who might need it.
        Some(name) => {
            let secure = async {
                let stream = timeout(timer, patience, dial.secure(server.address, name));
                talk.talk(stream.await.map_err(late)??).await
            };
            Box::pin(secure).await
        }
    }
}

/// One message out and one in, each within `patience`.
pub(super) struct Exchange<'e, T: ?Sized> {
    pub(super) query: &'e [u8],
    pub(super) timer: &'e T,
    pub(super) patience: Duration,
}

/// Why an exchange failed.
pub(super) enum Unanswered {
    /// Nobody took the connection, or not as it has to be.
    NotReached,
    /// Somebody did, and perhaps the message too.
    Ended,
}

impl From<DialError> for Unanswered {
    fn from(_: DialError) -> Self {
        Self::NotReached
    }
}

impl From<Ended> for Unanswered {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl<T: Timer + ?Sized> Talk for Exchange<'_, T> {
    type Outcome = Vec<u8>;
    type Error = Unanswered;
    async fn talk(self, mut stream: impl Stream) -> Result<Vec<u8>, Unanswered> {
        let limits = Limits { idle: self.patience, write: self.patience, ..Limits::default() };
        stream.set_nodelay(true);
        write(&mut stream, &framed(self.query).ok_or(Ended::NoQuery)?, self.timer, &limits).await?;
        let mut reply = Vec::new();
        read_message(&mut stream, &mut reply, self.timer, &limits).await?;
        let _ = stream.close().await;
        Ok(reply)
    }
}

/// The next message of a stream, whole, in the place of what `message` holds.
pub(super) async fn read_message(
    stream: &mut impl Stream,
    message: &mut Vec<u8>,
    timer: &(impl Timer + ?Sized),
    limits: &Limits,
) -> Result<(), Ended> {
    let mut length = [0; 2];
    if !read_exact(stream, &mut length, timer, limits).await? {
        return Err(Ended::Broken);
    }
    message.resize(usize::from(u16::from_be_bytes(length)), 0);
    match read_exact(stream, message, timer, limits).await? {
        true => Ok(()),
        false => Err(Ended::Broken),
    }
}
