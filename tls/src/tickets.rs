//! What a server remembers of a session: nothing, the client carries it, sealed (RFC 8446 sections 4.6.1 and 8.1).
use crate::{
    crypto::{Aead, CipherSuite, Provider, Secret},
    wire::{Reader, Writer},
};
use airglow_device::{Clock, Entropy, Instant};
use core::{cell::RefCell, fmt, time::Duration};
use zeroize::Zeroizing;

/// Most bytes of one of our tickets.
pub const MAX_SERVER_TICKET: usize = 4 + 4 + STATE + 16;
/// Suite, length of the secret, the secret, what hides the age, time of issue, peer, protocol, early data, name.
const STATE: usize = 2 + 1 + 48 + 4 + 8 + 1 + 32 + 1 + 4 + 16;

/// What a ticket holds.
#[derive(Clone, Debug)]
pub struct Resumption {
    /// The suite of the session; another of the same hash will do. Sessions of TLS 1.2 (RFC 5077) are told by it: their
    /// suites have numbers of that version's, and only the same will do.
    pub suite: CipherSuite,
    /// The pre-shared key; in TLS 1.2 the master secret.
    pub psk: Secret,
    /// Added to the age that the client tells, so that nobody else learns it.
    pub age_add: u32,
    /// Since the ticket was issued; of no meaning to [`Tickets::issue`].
    pub age: Duration,
    /// SHA-256 of the client's SubjectPublicKeyInfo, if it has shown a certificate.
    pub peer: Option<[u8; 32]>,
    /// Which of the configuration's protocols was chosen.
    pub protocol: Option<u8>,
    /// Bytes of early data that the client may send with the ticket.
    pub max_early_data: u32,
    /// The first half of the SHA-256 of the host that the client asked for, zeros when there was none: early data are
    /// for that host alone, and so are sessions of TLS 1.2.
    pub server_name: [u8; 16],
}

/// Makes and takes a server's tickets.
pub trait Tickets {
    /// Writes a ticket to the front of `out`: its length and for how long it is good. `None`: there is none this time.
    fn issue(&self, session: &Resumption, out: &mut [u8]) -> Option<(usize, Duration)>;
    /// What the ticket holds, if it is ours, in time, and not [spent](Self::spend).
    fn open(&self, ticket: &[u8]) -> Option<Resumption>;
    /// Makes the ticket good for nothing; whether it was good until now.
    fn spend(&self, ticket: &[u8]) -> bool;
    /// A number nobody can guess, for [`Resumption::age_add`].
    fn age_add(&self) -> u32;
}

struct Key<P: Provider, const WORDS: usize> {
    name: [u8; 4],
    aead: P::Aead,
    since: Instant,
    issued: u32,
    spent: [u32; WORDS],
}

impl<P: Provider, const WORDS: usize> Key<P, WORDS> {
    fn is_spent(&self, number: u32) -> bool {
        let word = self.spent.get(number as usize / 32).copied().unwrap_or(u32::MAX);
        number >= self.issued || word >> (number % 32) & 1 == 1
    }
}

fn nonce(number: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (place, byte) in nonce.iter_mut().zip(number.to_be_bytes()) {
        *place = byte;
    }
    nonce
}

/// Tickets that are sealed with keys of this machine's memory and good once.
///
/// A key serves for `lifetime` and for `WORDS * 32` tickets, whichever ends first; then it opens the tickets it made
/// until the next key's time is over too. Each ticket has a number under its key and the key a bit for each number,
/// so that a ticket used twice is told exactly, in `WORDS * 8` bytes for the two keys (RFC 8446 section 8.1). After
/// a restart all tickets are void, as they must be for that.
pub struct TicketKeys<'c, P: Provider, const WORDS: usize = 256> {
    provider: P,
    clock: &'c dyn Clock,
    entropy: &'c dyn Entropy,
    lifetime: Duration,
    keys: RefCell<[Option<Key<P, WORDS>>; 2]>,
}

impl<P: Provider, const WORDS: usize> fmt::Debug for TicketKeys<'_, P, WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl<'c, P: Provider, const WORDS: usize> TicketKeys<'c, P, WORDS> {
    /// Tickets good for `lifetime`, of which RFC 8446 allows at most a week.
    pub fn new(provider: P, clock: &'c dyn Clock, entropy: &'c dyn Entropy, lifetime: Duration) -> Self {
        let lifetime = lifetime.min(Duration::from_secs(604_800));
        Self { provider, clock, entropy, lifetime, keys: RefCell::new([None, None]) }
    }

    fn key(&self, now: Instant) -> Option<Key<P, WORDS>> {
        let suite = *self.provider.cipher_suites().first()?;
        let mut bytes = Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *bytes);
        let mut name = [0; 4];
        self.entropy.fill(&mut name);
        let aead = self.provider.aead(suite, bytes.get(..suite.key_len())?)?;
        Some(Key { name, aead, since: now, issued: 0, spent: [0; WORDS] })
    }

    /// Does `f` with the key that a ticket names, and with its number.
    fn with<R>(
        &self,
        ticket: &[u8],
        f: impl FnOnce(&mut Key<P, WORDS>, u32, &[u8]) -> Option<R>,
    ) -> Option<R> {
        let (name, rest) = ticket.split_first_chunk::<4>()?;
        let (number, sealed) = rest.split_first_chunk::<4>()?;
        let mut keys = self.keys.borrow_mut();
        let key = keys.iter_mut().flatten().find(|key| key.name == *name)?;
        f(key, u32::from_be_bytes(*number), sealed)
    }
}

impl<P: Provider, const WORDS: usize> Tickets for TicketKeys<'_, P, WORDS> {
    fn issue(&self, session: &Resumption, out: &mut [u8]) -> Option<(usize, Duration)> {
        let now = self.clock.now();
        let mut keys = self.keys.borrow_mut();
        let [current, previous] = &mut *keys;
        let serves =
            |key: &Key<P, WORDS>| now.since(key.since) < self.lifetime && (key.issued as usize) < WORDS * 32;
        if !current.as_ref().is_some_and(serves) {
            *previous = current.replace(self.key(now)?);
        }
        let key = current.as_mut()?;
        let mut state = Zeroizing::new([0; STATE]);
        let mut writer = Writer::new(&mut *state);
        writer.u16(session.suite.0).ok()?;
        writer.u8(session.psk.len() as u8).ok()?;
        writer.bytes(&session.psk).ok()?;
        writer.room(48_usize.checked_sub(session.psk.len())?).ok()?;
        writer.bytes(&session.age_add.to_be_bytes()).ok()?;
        writer.bytes(&now.as_nanos().to_be_bytes()).ok()?;
        writer.u8(session.peer.is_some().into()).ok()?;
        writer.bytes(&session.peer.unwrap_or_default()).ok()?;
        writer.u8(session.protocol.unwrap_or(u8::MAX)).ok()?;
        writer.bytes(&session.max_early_data.to_be_bytes()).ok()?;
        writer.bytes(&session.server_name).ok()?;
        let number = key.issued;
        let mut writer = Writer::new(out);
        writer.bytes(&key.name).ok()?;
        writer.bytes(&number.to_be_bytes()).ok()?;
        let tag = key.aead.seal(&nonce(number), &key.name, &mut *state)?;
        writer.bytes(&*state).ok()?;
        writer.bytes(&tag).ok()?;
        key.issued += 1;
        Some((writer.len(), self.lifetime))
    }

    fn open(&self, ticket: &[u8]) -> Option<Resumption> {
        let now = self.clock.now();
        self.with(ticket, |key, number, sealed| {
            let (sealed, tag) = sealed.split_last_chunk::<16>()?;
            let mut state = Zeroizing::new(*<&[u8; STATE]>::try_from(sealed).ok()?);
            key.aead.open(&nonce(number), &key.name, &mut *state, tag)?;
            if key.is_spent(number) {
                return None;
            }
            let mut reader = Reader::new(&*state);
            let suite = CipherSuite(reader.u16().ok()?);
            let len = usize::from(reader.u8().ok()?);
            let psk = Secret::new(reader.take(48).ok()?.get(..len)?);
            let age_add = u32::from_be_bytes(*reader.array().ok()?);
            let issued = u64::from_be_bytes(*reader.array().ok()?);
            let shown = reader.u8().ok()? == 1;
            let peer = Some(*reader.array().ok()?).filter(|_| shown);
            let protocol = Some(reader.u8().ok()?).filter(|index| *index != u8::MAX);
            let max_early_data = u32::from_be_bytes(*reader.array().ok()?);
            let server_name = *reader.array().ok()?;
            let age = Duration::from_nanos(now.as_nanos().saturating_sub(issued));
            (age <= self.lifetime).then_some(Resumption {
                suite,
                psk,
                age_add,
                age,
                peer,
                protocol,
                max_early_data,
                server_name,
            })
        })
    }

    fn spend(&self, ticket: &[u8]) -> bool {
        let spent = self.with(ticket, |key, number, _| {
            if key.is_spent(number) {
                return None;
            }
            *key.spent.get_mut(number as usize / 32)? |= 1 << (number % 32);
            Some(())
        });
        spent.is_some()
    }

    fn age_add(&self) -> u32 {
        self.entropy.u64() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RustCrypto;
    use airglow_device::SeededEntropy;
    use core::cell::Cell;

    #[derive(Debug)]
    struct At(Cell<Instant>);
    impl Clock for At {
        fn now(&self) -> Instant {
            self.0.get()
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    fn session() -> Resumption {
        Resumption {
            suite: CipherSuite::TLS_AES_256_GCM_SHA384,
            psk: Secret::new(&[7; 48]),
            age_add: 0x1234_5678,
            age: Duration::ZERO,
            peer: Some([3; 32]),
            protocol: Some(1),
            max_early_data: 0x0102_0304,
            server_name: [5; 16],
        }
    }

    #[test]
    fn a_ticket_is_good_once_and_in_time() {
        let (clock, entropy) = (At(Cell::new(Instant::from_nanos(0))), SeededEntropy::predictable(1));
        let tickets = TicketKeys::<_, 2>::new(RustCrypto, &clock, &entropy, HOUR);
        let mut out = [0; MAX_SERVER_TICKET];
        let (len, lifetime) = tickets.issue(&session(), &mut out).unwrap();
        assert_eq!((len, lifetime), (MAX_SERVER_TICKET, HOUR));
        clock.0.set(clock.0.get() + HOUR / 2);
        let found = tickets.open(&out).unwrap();
        assert_eq!((found.suite, &*found.psk, found.age_add), (session().suite, &[7; 48][..], 0x1234_5678));
        assert_eq!((found.age, found.peer, found.protocol), (HOUR / 2, Some([3; 32]), Some(1)));
        assert_eq!((found.max_early_data, found.server_name), (0x0102_0304, [5; 16]));
        // Every changed byte.
        for index in 0..out.len() {
            let mut other = out;
            other[index] ^= 1;
            assert!(tickets.open(&other).is_none(), "{index}");
        }
        assert!(tickets.open(&out[..len - 1]).is_none() && tickets.open(&[]).is_none());
        assert!(tickets.spend(&out));
        assert!(!tickets.spend(&out) && tickets.open(&out).is_none());

        tickets.issue(&session(), &mut out).unwrap();
        clock.0.set(clock.0.get() + HOUR);
        assert!(tickets.open(&out).is_some());
        clock.0.set(clock.0.get() + Duration::from_nanos(1));
        assert!(tickets.open(&out).is_none());
    }

    #[test]
    fn keys_follow_one_another() {
        let (clock, entropy) = (At(Cell::new(Instant::from_nanos(0))), SeededEntropy::predictable(1));
        let tickets = TicketKeys::<_, 2>::new(RustCrypto, &clock, &entropy, HOUR);
        let issue = || {
            let mut out = [0; MAX_SERVER_TICKET];
            tickets.issue(&session(), &mut out).unwrap();
            out
        };
        // 64 tickets for one key, and no ticket like another.
        let first: std::vec::Vec<_> = (0..64).map(|_| issue()).collect();
        assert!(first.iter().all(|ticket| ticket[..4] == first[0][..4]));
        let second = issue();
        assert_ne!(second[..4], first[0][..4]);
        assert!(
            tickets.spend(&first[63])
                && tickets.open(&first[62]).is_some()
                && tickets.open(&second).is_some()
        );
        // Time changes the key too, and what came before the one before is gone.
        clock.0.set(clock.0.get() + HOUR);
        let third = issue();
        assert!(tickets.open(&first[62]).is_none() && tickets.open(&second).is_some());
        assert!(tickets.spend(&third) && tickets.spend(&second) && !tickets.spend(&first[62]));
        // A number that was never given out.
        let mut forged = third;
        forged[7] = 9;
        assert!(!tickets.spend(&forged));
    }
}
