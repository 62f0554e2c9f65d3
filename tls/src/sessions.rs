//! What a client keeps of a session, to resume it (RFC 8446 section 4.6.1).
use crate::crypto::{CipherSuite, Secret};
use core::{fmt, time::Duration};

/// Longest ticket that is kept; longer ones are passed over.
pub const MAX_TICKET: usize = 768;

/// A ticket and what belongs to it.
#[derive(Clone)]
pub struct Session {
    /// The suite of the session; another of the same hash will do. Sessions of TLS 1.2 (RFC 5077) are told by it: their
    /// suites have numbers of that version's.
    pub suite: CipherSuite,
    /// The pre-shared key; in TLS 1.2 the master secret.
    pub psk: Secret,
    /// Added to the age that is told.
    pub age_add: u32,
    /// For how long it is good from now on.
    pub lifetime: Duration,
    /// Since it came: what [`Sessions::take`] says.
    pub age: Duration,
    /// Bytes of early data that the server says it would take.
    pub max_early_data: u32,
    /// Most content of one record that the server took; early data keep to it.
    pub(crate) record_limit: u16,
    /// Which of the configuration's protocols was chosen.
    pub(crate) protocol: Option<u8>,
    pub(crate) ticket: [u8; MAX_TICKET],
    pub(crate) ticket_len: u16,
}

/// RFC 8446 section 4.6.1: nothing is for more than a week.
pub(crate) const LONGEST: Duration = Duration::from_secs(604_800);

impl Session {
    /// One with a ticket, unless that is too long to be kept.
    pub(crate) fn new(suite: CipherSuite, psk: Secret, lifetime: Duration, ticket: &[u8]) -> Option<Self> {
        let mut kept = [0; MAX_TICKET];
        kept.get_mut(..ticket.len())?.copy_from_slice(ticket);
        Some(Self {
            suite,
            psk,
            age_add: 0,
            lifetime,
            age: Duration::ZERO,
            max_early_data: 0,
            record_limit: 0,
            protocol: None,
            ticket: kept,
            ticket_len: ticket.len() as u16,
        })
    }
    /// What the server wants to see.
    pub fn ticket(&self) -> &[u8] {
        self.ticket.get(..self.ticket_len.into()).unwrap_or_default()
    }
    /// Whether it is one of TLS 1.2.
    pub(crate) fn is_tls12(&self) -> bool {
        #[cfg(feature = "tls12")]
        return crate::tls12::suite_of(self.suite.0).is_some();
        #[cfg(not(feature = "tls12"))]
        false
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// Where a client keeps its sessions. Those of different configurations, whose verifiers trust different servers,
/// must be kept apart.
pub trait Sessions {
    /// Keeps a session with a server; may forget others.
    fn put(&self, server_name: &str, session: Session);
    /// Gives a session with that server away: each is used once (RFC 8446 appendix C.4).
    fn take(&self, server_name: &str) -> Option<Session>;
}

#[cfg(feature = "alloc")]
pub use cache::SessionCache;

#[cfg(feature = "alloc")]
mod cache {
    use super::{Session, Sessions};
    use airglow_device::{Clock, Instant};
    use alloc::{borrow::ToOwned, collections::VecDeque, string::String};
    use core::{cell::RefCell, fmt};

    /// At most so many sessions in memory, about 900 bytes each; the oldest goes first.
    pub struct SessionCache<'c> {
        clock: &'c dyn Clock,
        most: usize,
        sessions: RefCell<VecDeque<(String, Instant, Session)>>,
    }

    impl<'c> SessionCache<'c> {
        /// Keeps at most `most` sessions.
        pub const fn new(clock: &'c dyn Clock, most: usize) -> Self {
            Self { clock, most, sessions: RefCell::new(VecDeque::new()) }
        }
        /// How many there are.
        pub fn len(&self) -> usize {
            self.sessions.borrow().len()
        }
        /// Whether there is none.
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    impl fmt::Debug for SessionCache<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("SessionCache").field("len", &self.len()).finish_non_exhaustive()
        }
    }

    impl Sessions for SessionCache<'_> {
        fn put(&self, server_name: &str, session: Session) {
            let mut sessions = self.sessions.borrow_mut();
            while sessions.len() >= self.most.max(1) {
                sessions.pop_front();
            }
            if self.most > 0 {
                sessions.push_back((server_name.to_owned(), self.clock.now(), session));
            }
        }
        fn take(&self, server_name: &str) -> Option<Session> {
            let now = self.clock.now();
            let mut sessions = self.sessions.borrow_mut();
            sessions.retain(|(_, since, session)| now.since(*since) < session.lifetime);
            let index = sessions.iter().rposition(|(name, ..)| name == server_name)?;
            let (_, since, mut session) = sessions.remove(index)?;
            session.age = now.since(since);
            Some(session)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::crypto::{CipherSuite, Secret};
        use core::{cell::Cell, time::Duration};

        struct At(Cell<Instant>);
        impl Clock for At {
            fn now(&self) -> Instant {
                self.0.get()
            }
        }

        #[test]
        fn sessions_are_given_away_and_grow_old() {
            let clock = At(Cell::new(Instant::from_nanos(0)));
            let cache = SessionCache::new(&clock, 2);
            let session = |age_add| Session {
                suite: CipherSuite::TLS_AES_128_GCM_SHA256,
                psk: Secret::new(&[1; 32]),
                age_add,
                lifetime: Duration::from_secs(10),
                age: Duration::ZERO,
                max_early_data: 0,
                record_limit: 0,
                protocol: None,
                ticket: [0; super::super::MAX_TICKET],
                ticket_len: 0,
            };
            for (name, number) in [("a", 1), ("a", 2), ("b", 3)] {
                cache.put(name, session(number));
            }
            assert_eq!(cache.len(), 2);
            clock.0.set(clock.0.get() + Duration::from_secs(3));
            let found = cache.take("a").unwrap();
            assert_eq!((found.age_add, found.age), (2, Duration::from_secs(3)));
            assert!(cache.take("a").is_none());
            clock.0.set(clock.0.get() + Duration::from_secs(7));
            assert!(cache.take("b").is_none() && cache.is_empty());
        }
    }
}
