//! The path of a question: a datagram or a stream comes in, what it asks goes to the server, to who makes updates, or on to
//! a primary, and the reply goes out.
use airglow::{
    device::{Listener, Platform, Stream, Tcp, Udp},
    runtime::{Either, for_each_connection, select},
};
#[cfg(feature = "replication")]
use airglow_dns::shell::{Replication, framed, serve_udp_forwarding};
#[cfg(unix)]
use airglow_dns::shell::{serve_stream_with_updates, serve_udp_with_updates};
use airglow_dns::{
    server::{Origin, Server},
    shell::{Dial, Limits, Reply, serve_stream_by, serve_udp},
};
use alloc::{format, string::String};
use core::{cell::RefCell, convert::Infallible};

/// TCP connections at once; more wait in the listener's backlog.
pub(crate) const CONNECTIONS: usize = 1024;

/// Changes that a disk of this platform keeps.
#[cfg(unix)]
pub(crate) type Updates<'u, P> =
    airglow_dns::shell::Updates<'u, airglow::platform::FileDisk, <P as Platform>::Entropy>;
#[cfg(not(unix))]
pub(crate) type Updates<'u, P> = core::marker::PhantomData<&'u P>;

/// Who hands updates on.
#[cfg(feature = "replication")]
pub(crate) type Forwarding<'f> = Option<&'f Replication<'f>>;
#[cfg(not(feature = "replication"))]
pub(crate) type Forwarding<'f> = Option<core::marker::PhantomData<&'f ()>>;

/// Who answers.
pub(crate) struct Service<'s, 'c, P: Platform, D> {
    pub(crate) platform: &'s P,
    #[cfg_attr(
        not(feature = "replication"),
        expect(dead_code, reason = "there is no other server to reach")
    )]
    pub(crate) dial: &'s D,
    pub(crate) server: &'s RefCell<Server<'c>>,
    pub(crate) updates: Option<&'s Updates<'s, P>>,
    pub(crate) forwarding: Forwarding<'s>,
}

impl<P: Platform, D: Dial> Service<'_, '_, P, D> {
    /// Answers on `port`, over UDP and TCP.
    pub(crate) async fn answer(&self, port: u16) -> Result<Infallible, String> {
        let listener = self.platform.tcp().listen(port).await;
        let listener = listener.map_err(|error| format!("TCP port {port}: {error}"))?;
        match select(self.datagrams(port), self.streams(&listener, false)).await {
            Either::Left(ended) => ended,
            Either::Right(never) => match never {},
        }
    }

    /// Answers datagrams on `port`.
    async fn datagrams(&self, port: u16) -> Result<Infallible, String> {
        let failed = |error: <P::Udp as Udp>::Error| format!("UDP port {port}: {error}");
        let (udp, server) = (self.platform.udp(), self.server);
        let (timer, wall_clock) = (self.platform.timer(), self.platform.wall_clock());
        #[cfg(unix)]
        if let Some(updates) = self.updates {
            let updating = serve_udp_with_updates(udp, port, server, updates, timer, wall_clock);
            return updating.await.map_err(failed);
        }
        #[cfg(feature = "replication")]
        if let Some(replication) = self.forwarding {
            let forwarding =
                serve_udp_forwarding(udp, port, server, replication, self.dial, timer, wall_clock);
            return forwarding.await.map_err(failed);
        }
        serve_udp(udp, port, server, timer, wall_clock).await.map_err(failed)
    }

    /// Answers what comes over the streams of `listener`.
    pub(crate) async fn streams<L: Listener>(&self, listener: &L, encrypted: bool) -> Infallible {
        let limits = Limits { encrypted, ..Limits::default() };
        let serve = async |stream: L::Stream<'_>| self.stream(stream, limits).await;
        for_each_connection::<CONNECTIONS, _>(listener, self.platform.timer(), serve).await
    }

    async fn stream(&self, stream: impl Stream, limits: Limits) {
        let (timer, wall_clock) = (self.platform.timer(), self.platform.wall_clock());
        // An update may be as long as a message can be.
        let long = self.updates.is_some() || self.forwarding.is_some();
        let limits = Limits { query: if long { usize::from(u16::MAX) } else { limits.query }, ..limits };
        #[cfg(unix)]
        if let Some(updates) = self.updates {
            let served =
                serve_stream_with_updates(stream, self.server, updates, timer, wall_clock, &limits).await;
            return log(served);
        }
        let respond = async |origin: &Origin<'_>, query: &[u8]| {
            #[cfg(feature = "replication")]
            if let Some(replication) = self.forwarding
                && replication.takes_update(query)
            {
                return framed(&replication.forward(self.dial, query).await?).map(Reply::Framed);
            }
            Reply::of(self.server, origin, query)
        };
        log(serve_stream_by(stream, respond, timer, wall_clock, &limits).await);
    }
}

fn log(served: Result<(), airglow_dns::shell::Ended>) {
    if let Err(ended) = served {
        log::debug!("a connection ended: {ended:?}");
    }
}
