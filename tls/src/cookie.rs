//! What a server asks a client to bring back instead of remembering it: RFC 8446 section 4.2.2.
use crate::{
    Alert,
    crypto::{CipherSuite, Hash, NamedGroup, Provider, Secret},
    wire::{NoRoom, Reader, Writer},
};
use airglow_device::{Clock, Entropy, Instant};
use core::{fmt, time::Duration};

/// Most bytes of a cookie: suite, group, time, a hash, a MAC.
pub(crate) const MAX_COOKIE: usize = 2 + 2 + 8 + 48 + 32;

/// What makes a server's cookies and knows them again: its own key, which authenticates them, and a clock.
///
/// A server with one answers every first ClientHello with a HelloRetryRequest, whose cookie holds what it must know of
/// that hello, and keeps nothing: a second hello may even come over another connection. It costs clients a round trip and
/// early data. A cookie is good for hellos with the same `random`, for as long as it was told to be, and any number of
/// times: what it saves is memory and the key exchange, for those who do not hear what they are answered.
/// GnuTLS 3.7 refuses a cookie that comes without a group, as it does here when the client's first share was good.
pub struct CookieKey<'c> {
    key: Secret,
    clock: &'c dyn Clock,
    lifetime: Duration,
}

impl fmt::Debug for CookieKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieKey").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// What a cookie says of the first ClientHello.
pub(crate) struct Remembered {
    pub(crate) suite: CipherSuite,
    /// The group that was asked for.
    pub(crate) group: Option<NamedGroup>,
    /// Its hash.
    pub(crate) hello: Secret,
}

impl<'c> CookieKey<'c> {
    /// A new key; its cookies are good for `lifetime`, which should be longer than a round trip.
    pub fn new(entropy: &dyn Entropy, clock: &'c dyn Clock, lifetime: Duration) -> Self {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        entropy.fill(&mut *key);
        Self { key: Secret::new(&*key), clock, lifetime }
    }

    pub(crate) fn issue<P: Provider>(
        &self,
        provider: &P,
        remembered: &Remembered,
        random: &[u8; 32],
        out: &mut Writer<'_>,
    ) -> Result<(), NoRoom> {
        let start = out.len();
        out.u16(remembered.suite.0)?;
        out.u16(remembered.group.map_or(0, |group| group.0))?;
        out.bytes(&self.clock.now().as_nanos().to_be_bytes())?;
        out.bytes(&remembered.hello)?;
        let mac = provider.hmac(Hash::Sha256, &self.key, &[out.since(start), random]);
        out.bytes(&mac)
    }

    /// What our cookie says.
    ///
    /// # Errors
    /// `illegal_parameter`: it is none of ours, too old, or another hello's.
    pub(crate) fn redeem<P: Provider>(
        &self,
        provider: &P,
        cookie: &[u8],
        random: &[u8; 32],
    ) -> Result<Remembered, Alert> {
        let (content, mac) = cookie.split_last_chunk::<32>().ok_or(Alert::ILLEGAL_PARAMETER)?;
        if !provider.hmac(Hash::Sha256, &self.key, &[content, random]).matches(mac) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let mut reader = Reader::new(content);
        let (suite, group) = (CipherSuite(reader.u16()?), reader.u16()?);
        let issued = Instant::from_nanos(u64::from_be_bytes(*reader.array()?));
        if self.clock.now().since(issued) > self.lifetime {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let group = Some(NamedGroup(group)).filter(|_| group != 0);
        Ok(Remembered { suite, group, hello: Secret::new(reader.rest()) })
    }
}
