//! Transaction signatures: RFC 8945 with HMAC-SHA-256, 384 and 512.
#![cfg_attr(
    not(feature = "tsig"),
    allow(unused_variables, unreachable_code, reason = "without keys most of this cannot be reached")
)]
use super::Now;
use crate::wire::{Flags, HEADER, Message, Name, NameBuf, Rcode, Record, RecordType, Section, base64};
use alloc::{boxed::Box, vec::Vec};
use core::str::FromStr;
#[cfg(feature = "tsig")]
use hmac::{Hmac, KeyInit, Mac};
#[cfg(feature = "tsig")]
use sha2::{Sha256, Sha384, Sha512};

/// Seconds by which the clocks of the two sides may differ (RFC 8945 section 10 recommends 300).
const FUDGE: u16 = 300;

/// Codes of the TSIG record's error field.
const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
const BADTRUNC: u16 = 22;

/// Without the feature `tsig` there is none, so there are no keys, and the compiler leaves out what is done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    #[cfg(feature = "tsig")]
    Sha256,
    #[cfg(feature = "tsig")]
    Sha384,
    #[cfg(feature = "tsig")]
    Sha512,
}

impl Algorithm {
    fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            #[cfg(feature = "tsig")]
            "hmac-sha256" => Self::Sha256,
            #[cfg(feature = "tsig")]
            "hmac-sha384" => Self::Sha384,
            #[cfg(feature = "tsig")]
            "hmac-sha512" => Self::Sha512,
            _ => return None,
        })
    }
    /// The algorithm's name, in wire form.
    const fn name(self) -> &'static [u8] {
        match self {
            #[cfg(feature = "tsig")]
            Self::Sha256 => b"\x0bhmac-sha256\0",
            #[cfg(feature = "tsig")]
            Self::Sha384 => b"\x0bhmac-sha384\0",
            #[cfg(feature = "tsig")]
            Self::Sha512 => b"\x0bhmac-sha512\0",
        }
    }
    const fn size(self) -> usize {
        match self {
            #[cfg(feature = "tsig")]
            Self::Sha256 => 32,
            #[cfg(feature = "tsig")]
            Self::Sha384 => 48,
            #[cfg(feature = "tsig")]
            Self::Sha512 => 64,
        }
    }
    fn mac(self, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            #[cfg(feature = "tsig")]
            Self::Sha256 => mac::<Hmac<Sha256>>(secret, parts),
            #[cfg(feature = "tsig")]
            Self::Sha384 => mac::<Hmac<Sha384>>(secret, parts),
            #[cfg(feature = "tsig")]
            Self::Sha512 => mac::<Hmac<Sha512>>(secret, parts),
        }
    }
}

#[cfg(feature = "tsig")]
fn mac<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of every length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// A secret that two parties share, and its name. Written `name:algorithm:base64`, as `backup.example:hmac-sha256:c2VjcmV0`.
#[derive(Clone)]
pub struct Key {
    name: NameBuf,
    algorithm: Algorithm,
    secret: Vec<u8>,
}

/// The secret stays unseen.
impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Key {{ {}, {:?} }}", self.name, self.algorithm)
    }
}

/// The text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

impl core::fmt::Display for NoKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(
            "expected name:algorithm:base64, where the algorithm is hmac-sha256, hmac-sha384 or hmac-sha512",
        )
    }
}
impl core::error::Error for NoKey {}

impl Key {
    /// What the key is called.
    pub const fn name(&self) -> &NameBuf {
        &self.name
    }
}

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let (name, rest) = text.split_once(':').ok_or(NoKey)?;
        let (algorithm, secret) = rest.split_once(':').ok_or(NoKey)?;
        let mut name: NameBuf = name.parse().map_err(|_| NoKey)?;
        name.make_lowercase();
        let algorithm = Algorithm::from_text(algorithm).ok_or(NoKey)?;
        let mut bytes = alloc::vec![0; secret.len()];
        let length = base64(secret.as_bytes(), &mut bytes).map_err(|_| NoKey)?;
        bytes.truncate(length);
        if bytes.is_empty() { Err(NoKey) } else { Ok(Self { name, algorithm, secret: bytes }) }
    }
}

/// What a request's signature came to.
pub(super) enum Checked {
    /// It has none.
    Unsigned,
    /// The message is no good: FORMERR, or SERVFAIL where there is no time of day.
    Broken(Rcode),
    /// It has one, right or not: how the reply is to end.
    Signed(Box<Signer>),
}

/// Signs what goes back to a request: one reply, or the messages of a transfer one after the other.
#[derive(Clone)]
pub(super) struct Signer {
    key: Option<Key>,
    /// Name of the key and of the algorithm as they came, when there is no such key.
    name: NameBuf,
    algorithm: NameBuf,
    /// The request's MAC, then that of the message before.
    previous: Vec<u8>,
    original_id: u16,
    time: u64,
    now: u64,
    fudge: u16,
    error: u16,
    first: bool,
}

/// Looks at the signature of `query` and returns it with how many bytes of the message stand in front of it.
///
/// Without the feature `tsig` all requests are unsigned: the record is one of those at the end that a server does not know.
pub(super) fn check(query: &[u8], keys: &[Key], now: impl Fn() -> Now) -> (Checked, usize) {
    let whole = query.len();
    if !cfg!(feature = "tsig") {
        return (Checked::Unsigned, whole);
    }
    let broken = (Checked::Broken(Rcode::FORMERR), whole);
    let Ok(message) = Message::new(query) else { return (Checked::Unsigned, whole) };
    if message.flags().has(Flags::QR) {
        return (Checked::Unsigned, whole);
    }
    let mut found: Option<Record<'_>> = None;
    for record in message.records() {
        let Ok(record) = record else { return (Checked::Unsigned, whole) };
        //= https://www.rfc-editor.org/rfc/rfc8945#section-5.1
        //# If multiple TSIG records are detected or a TSIG record is present in any other position,
        //# the DNS message is dropped and a response with RCODE 1 (FORMERR) MUST be returned.
        if found.is_some() || record.rtype == RecordType::TSIG && record.section != Section::Additional {
            return broken;
        }
        if record.rtype == RecordType::TSIG {
            found = Some(record);
        }
    }
    let Some(record) = found else { return (Checked::Unsigned, whole) };
    match read(query, &record, keys, &now) {
        Some(checked) => (checked, record.offset),
        None => broken,
    }
}

fn read(query: &[u8], record: &Record<'_>, keys: &[Key], now: &impl Fn() -> Now) -> Option<Checked> {
    let Parts { mut algorithm, time, fudge, mac: theirs, original_id: [i0, i1], end, .. } =
        split(query, record)?;
    if record.class.0 != 255 || record.ttl != 0 {
        return None;
    }
    let Some(unix) = now().unix else { return Some(Checked::Broken(Rcode::SERVFAIL)) };
    let mut name = record.name;
    name.make_lowercase();
    algorithm.make_lowercase();
    let same = |key: &&Key| {
        key.name.as_name() == name.as_name() && key.algorithm.name() == algorithm.as_name().as_bytes()
    };
    let mut signer = Signer {
        key: keys.iter().find(same).cloned(),
        name,
        algorithm,
        previous: theirs.to_vec(),
        original_id: u16::from_be_bytes([i0, i1]),
        time,
        now: unix.as_secs(),
        fudge,
        error: 0,
        first: true,
    };
    let Some(key) = &signer.key else {
        signer.error = BADKEY;
        return Some(Checked::Signed(Box::new(signer)));
    };
    let size = key.algorithm.size();
    // Cut to less than half or to less than 10 bytes, or longer than the hash, it is no MAC (RFC 8945 section 5.2.2.1).
    if theirs.len() > size || theirs.len() < (size / 2).max(10) {
        return Some(Checked::Broken(Rcode::FORMERR));
    }
    let mut head = *query.first_chunk::<HEADER>()?;
    head[..2].copy_from_slice(&[i0, i1]);
    let additional = u16::from_be_bytes([head[10], head[11]]).wrapping_sub(1);
    head[10..].copy_from_slice(&additional.to_be_bytes());
    let mut variables = signer.variables(time, signer.fudge);
    variables.extend_from_slice(end);
    let ours = key.algorithm.mac(&key.secret, &[&head, query.get(HEADER..record.offset)?, &variables]);
    let differ = ours.iter().zip(theirs).fold(0, |all, (a, b)| all | (a ^ b));
    signer.error = match () {
        () if differ != 0 => BADSIG,
        () if signer.now.abs_diff(time) > u64::from(signer.fudge) => BADTIME,
        () if theirs.len() < size => BADTRUNC,
        () => 0,
    };
    Some(Checked::Signed(Box::new(signer)))
}

impl Signer {
    /// What the key is called.
    pub(super) fn key_name(&self) -> Name<'_> {
        self.name.as_name()
    }

    /// Whether the request is what it says.
    pub(super) const fn is_good(&self) -> bool {
        self.error == 0
    }

    /// Bytes that [`Self::sign`] adds at most.
    pub(super) fn size(&self) -> usize {
        let mac = self.key.as_ref().map_or(0, |key| key.algorithm.size());
        self.name.as_name().len() + 10 + self.algorithm.as_name().len() + 16 + mac + 6
    }

    fn variables(&self, time: u64, fudge: u16) -> Vec<u8> {
        variables(self.name.as_name(), self.algorithm.as_name().as_bytes(), time, fudge)
    }

    /// Adds the TSIG record to the message of `length` bytes in `out` and returns the new length; `None` without room.
    pub(super) fn sign(&mut self, out: &mut [u8], length: usize) -> Option<usize> {
        // What is wrong with the time is told with the client's own, and ours beside it (RFC 8945 section 5.2.3).
        let time = if self.error == BADTIME { self.time } else { self.now };
        let time_now = self.now.to_be_bytes();
        let other: &[u8] = if self.error == BADTIME { &time_now[2..] } else { &[] };
        let mut end = self.error.to_be_bytes().to_vec();
        end.extend_from_slice(&(other.len() as u16).to_be_bytes());
        end.extend_from_slice(other);
        let message = out.get_mut(..length)?;
        let id = [message[0], message[1]];
        // Neither is signed: who asked cannot check it, or has not shown that it could.
        let key = self.key.as_ref().filter(|_| self.error != BADSIG && self.error != BADKEY);
        let mac = key.map_or_else(Vec::new, |key| {
            message[..2].copy_from_slice(&self.original_id.to_be_bytes());
            let mut variables = self.variables(time, FUDGE);
            variables.extend_from_slice(&end);
            // Behind the first message of a stream only the time counts (RFC 8945 section 5.3.1).
            let skipped = if self.first { 0 } else { variables.len() - end.len() - 8 };
            let timers = if self.first { variables.len() } else { variables.len() - end.len() };
            let before = (self.previous.len() as u16).to_be_bytes();
            let variables = variables.get(skipped..timers).unwrap_or(&[]);
            key.algorithm.mac(&key.secret, &[&before, &self.previous, message, variables])
        });
        message[..2].copy_from_slice(&id);
        let algorithm = self.algorithm.as_name().as_bytes();
        let signature = Signature { time, mac: &mac, original_id: self.original_id, end: &end };
        let length = signature.append(self.name.as_name(), algorithm, out, length)?;
        self.previous = mac;
        self.first = false;
        Some(length)
    }
}

/// Key, class, TTL, algorithm, time and fudge, as the digest takes them (RFC 8945 section 4.3.3).
fn variables(name: Name<'_>, algorithm: &[u8], time: u64, fudge: u16) -> Vec<u8> {
    let mut variables = name.as_bytes().to_ascii_lowercase();
    variables.extend_from_slice(&[0, 255, 0, 0, 0, 0]);
    variables.extend_from_slice(algorithm);
    variables.extend_from_slice(&time.to_be_bytes()[2..]);
    variables.extend_from_slice(&fudge.to_be_bytes());
    variables
}

/// What a TSIG record says.
struct Signature<'s> {
    time: u64,
    mac: &'s [u8],
    original_id: u16,
    /// Error, and other data with their length.
    end: &'s [u8],
}

impl Signature<'_> {
    /// Adds the record to the message of `length` bytes in `out` and returns the new length; `None` without room.
    fn append(&self, name: Name<'_>, algorithm: &[u8], out: &mut [u8], length: usize) -> Option<usize> {
        let additional = u16::from_be_bytes([*out.get(10)?, *out.get(11)?]).checked_add(1)?;
        let mut record = name.as_bytes().to_vec();
        record.extend_from_slice(&[0, 250, 0, 255, 0, 0, 0, 0]);
        let size = algorithm.len() + 10 + self.mac.len() + 2 + self.end.len();
        record.extend_from_slice(&(size as u16).to_be_bytes());
        record.extend_from_slice(algorithm);
        record.extend_from_slice(&self.time.to_be_bytes()[2..]);
        record.extend_from_slice(&FUDGE.to_be_bytes());
        record.extend_from_slice(&(self.mac.len() as u16).to_be_bytes());
        record.extend_from_slice(self.mac);
        record.extend_from_slice(&self.original_id.to_be_bytes());
        record.extend_from_slice(self.end);
        out.get_mut(length..length + record.len())?.copy_from_slice(&record);
        out[10..12].copy_from_slice(&additional.to_be_bytes());
        Some(length + record.len())
    }
}

/// The client's side of a signed exchange: it signs the request and checks the messages that answer it, one after the other.
pub struct Exchange {
    key: Key,
    /// The request's MAC, then that of the last message that had one.
    previous: Vec<u8>,
    /// Messages since then, which the next MAC covers too, and how many.
    unsigned: (Vec<u8>, u32),
    first: bool,
}

/// Messages of an answer that may follow one another without a signature (RFC 8945 section 5.3.1).
const UNSIGNED: u32 = 99;

/// Why a message of an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unbelieved {
    /// It has no signature where there must be one, or one that cannot be read.
    Missing,
    /// The server says that our signature is wrong: the TSIG error field.
    Refused(u16),
    /// The signature is of another key, or wrong.
    Wrong,
    /// It was made at another time: the clocks differ too much.
    Time,
}

impl Exchange {
    /// Signs the request of `length` bytes in `out` at `now` (seconds since 1970); returns its new length. `None` without room.
    pub fn sign(key: &Key, now: u64, out: &mut [u8], length: usize) -> Option<(usize, Self)> {
        let message = out.get(..length).filter(|message| message.len() >= HEADER)?;
        let original_id = u16::from_be_bytes([message[0], message[1]]);
        let algorithm = key.algorithm.name();
        let end = [0; 4];
        let variables = variables(key.name.as_name(), algorithm, now, FUDGE);
        let mac = key.algorithm.mac(&key.secret, &[message, &variables, &end]);
        let signature = Signature { time: now, mac: &mac, original_id, end: &end };
        let length = signature.append(key.name.as_name(), algorithm, out, length)?;
        let exchange = Self { key: key.clone(), previous: mac, unsigned: (Vec::new(), 0), first: true };
        Some((length, exchange))
    }

    /// Checks the next message of the answer at `now`.
    ///
    /// # Errors
    /// Why the exchange is over.
    pub fn check(&mut self, message: &[u8], now: u64) -> Result<(), Unbelieved> {
        let head = *message.first_chunk::<HEADER>().ok_or(Unbelieved::Missing)?;
        let view = Message::new(message).map_err(|_| Unbelieved::Missing)?;
        let mut found: Option<Record<'_>> = None;
        for record in view.records() {
            let record = record.map_err(|_| Unbelieved::Missing)?;
            if found.is_some() {
                return Err(Unbelieved::Missing);
            }
            if record.rtype == RecordType::TSIG {
                found = Some(record);
            }
        }
        let Some(record) = found else {
            if self.first || self.unsigned.1 >= UNSIGNED {
                return Err(Unbelieved::Missing);
            }
            self.unsigned.0.extend_from_slice(message);
            self.unsigned.1 += 1;
            return Ok(());
        };
        let parts = split(message, &record).filter(|_| record.class.0 == 255 && record.ttl == 0);
        let parts = parts.ok_or(Unbelieved::Missing)?;
        let named = record.name == self.key.name
            && parts.algorithm.as_name().as_bytes().eq_ignore_ascii_case(self.key.algorithm.name());
        if matches!(parts.error, BADSIG | BADKEY) {
            return Err(Unbelieved::Refused(parts.error));
        }
        if !named || parts.mac.len() != self.key.algorithm.size() {
            return Err(Unbelieved::Wrong);
        }
        let mut head = head;
        head[..2].copy_from_slice(&parts.original_id);
        let additional = u16::from_be_bytes([head[10], head[11]]).wrapping_sub(1);
        head[10..].copy_from_slice(&additional.to_be_bytes());
        let rest = message.get(HEADER..record.offset).ok_or(Unbelieved::Missing)?;
        let mut signed =
            variables(self.key.name.as_name(), self.key.algorithm.name(), parts.time, parts.fudge);
        signed.extend_from_slice(parts.end);
        if !self.first {
            // Behind the first message only the time counts (RFC 8945 section 5.3.1).
            signed = parts.time.to_be_bytes()[2..].to_vec();
            signed.extend_from_slice(&parts.fudge.to_be_bytes());
        }
        let before = (self.previous.len() as u16).to_be_bytes();
        let mac = self
            .key
            .algorithm
            .mac(&self.key.secret, &[&before, &self.previous, &self.unsigned.0, &head, rest, &signed]);
        if mac.iter().zip(parts.mac).fold(0, |all, (a, b)| all | (a ^ b)) != 0 {
            return Err(Unbelieved::Wrong);
        }
        if parts.error != 0 {
            return Err(Unbelieved::Refused(parts.error));
        }
        if now.abs_diff(parts.time) > u64::from(parts.fudge) {
            return Err(Unbelieved::Time);
        }
        self.previous = mac;
        self.unsigned = (Vec::new(), 0);
        self.first = false;
        Ok(())
    }

    /// Whether the last message was signed, as the last of an answer must be.
    pub const fn is_complete(&self) -> bool {
        !self.first && self.unsigned.1 == 0
    }
}

/// The fields of a TSIG record.
struct Parts<'r> {
    algorithm: NameBuf,
    time: u64,
    fudge: u16,
    mac: &'r [u8],
    original_id: [u8; 2],
    error: u16,
    /// Error, and other data with their length.
    end: &'r [u8],
}

fn split<'r>(message: &[u8], record: &Record<'r>) -> Option<Parts<'r>> {
    let (algorithm, used) = NameBuf::from_message(message, record.rdata_offset).ok()?;
    let (&[t0, t1, t2, t3, t4, t5, f0, f1, m0, m1], rest) =
        record.rdata.get(used..)?.split_first_chunk::<10>()?;
    let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([m0, m1])))?;
    let (&[i0, i1], end) = rest.split_first_chunk::<2>()?;
    let &[e0, e1, o0, o1] = end.first_chunk::<4>()?;
    if end.len() != 4 + usize::from(u16::from_be_bytes([o0, o1])) {
        return None;
    }
    Some(Parts {
        algorithm,
        time: u64::from_be_bytes([0, 0, t0, t1, t2, t3, t4, t5]),
        fudge: u16::from_be_bytes([f0, f1]),
        mac,
        original_id: [i0, i1],
        error: u16::from_be_bytes([e0, e1]),
        end,
    })
}

/// The reply to a request whose signature is wrong: header and question, NOTAUTH.
pub(super) fn refuse(query: &[u8], signer: &mut Signer, reply: &mut [u8]) -> Option<usize> {
    let message = Message::new(query).ok()?;
    let flags = Flags(message.flags().0 & (0x7800 | Flags::RD) | Flags::QR | Rcode::NOTAUTH.0);
    let mut builder = crate::wire::Builder::new(reply, message.id(), flags).ok()?;
    if let Ok((question, _)) = message.question() {
        builder.question(question.name.as_name(), question.rtype, question.class).ok()?;
    }
    let length = builder.finish();
    signer.sign(reply, length)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Origin, Server, Transport, tests};
    use super::*;
    use airglow_device::Instant;
    use core::time::Duration;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    /// A signed query: its signature made at `time` and cut to `length` bytes.
    fn signed(key: &Key, time: u64, length: usize) -> Vec<u8> {
        let query = tests::query("web.example.com", RecordType::A, None);
        let mut out = alloc::vec![0; 512];
        out[..query.len()].copy_from_slice(&query);
        let (size, exchange) = Exchange::sign(key, time, &mut out, query.len()).unwrap();
        let mac = exchange.previous;
        let end = size - 6;
        let start = end - mac.len();
        out[start..end].copy_from_slice(&mac);
        out.copy_within(end..size, start + length);
        out.truncate(size - mac.len() + length);
        out[start - 2..start].copy_from_slice(&(length as u16).to_be_bytes());
        let data = query.len() + key.name.as_name().len() + 8;
        let rdata = (out.len() - data - 2) as u16;
        out[data..data + 2].copy_from_slice(&rdata.to_be_bytes());
        out
    }

    /// The code, the TSIG record's error and the length of its MAC.
    fn ask(query: &[u8], unix: Option<u64>) -> Option<(Rcode, Option<(u16, usize)>)> {
        let keys: [Key; 1] = [alloc::format!("k.example:hmac-sha256:{SECRET}").parse().unwrap()];
        let mut server = Server::new(tests::zones(tests::ZONE), Config { keys: &keys, ..Config::default() });
        let now = || Now { monotonic: Instant::ZERO, unix: unix.map(Duration::from_secs) };
        let mut reply = [0; 1232];
        let origin = Origin { peer: Some([192, 0, 2, 1].into()), transport: Transport::Udp, now: &now };
        let length = server.respond_to(&origin, query, &mut reply)?;
        let message = Message::new(&reply[..length]).unwrap();
        let tsig = message.records().map(Result::unwrap).find(|record| record.rtype == RecordType::TSIG);
        let tsig = tsig.map(|record| {
            let used = NameBuf::from_message(&reply, record.rdata_offset).unwrap().1;
            let mac = usize::from(u16::from_be_bytes([record.rdata[used + 8], record.rdata[used + 9]]));
            let error = used + 10 + mac + 2;
            (u16::from_be_bytes([record.rdata[error], record.rdata[error + 1]]), mac)
        });
        Some((message.flags().rcode(), tsig))
    }

    #[test]
    fn what_is_wrong_is_told_and_signed_where_it_may_be() {
        let key: Key = alloc::format!("K.Example:hmac-sha256:{SECRET}").parse().unwrap();
        let good = signed(&key, 1000, 32);
        assert_eq!(ask(&good, Some(1000)), Some((Rcode::NOERROR, Some((0, 32)))));
        assert_eq!(ask(&good, Some(1300)), Some((Rcode::NOERROR, Some((0, 32)))));
        assert_eq!(ask(&good, Some(1301)), Some((Rcode::NOTAUTH, Some((BADTIME, 32)))));
        assert_eq!(ask(&good, Some(699)), Some((Rcode::NOTAUTH, Some((BADTIME, 32)))));
        assert_eq!(ask(&good, None), Some((Rcode::SERVFAIL, None)));
        assert_eq!(ask(&signed(&key, 1000, 16), Some(1000)), Some((Rcode::NOTAUTH, Some((BADTRUNC, 32)))));
        assert_eq!(ask(&signed(&key, 1000, 15), Some(1000)), Some((Rcode::FORMERR, None)));
        let other: Key = "k.example:hmac-sha256:/w==".parse().unwrap();
        assert_eq!(ask(&signed(&other, 1000, 32), Some(1000)), Some((Rcode::NOTAUTH, Some((BADSIG, 0)))));
        for text in
            [alloc::format!("k.example:hmac-sha512:{SECRET}"), alloc::format!("j:hmac-sha256:{SECRET}")]
        {
            let key: Key = text.parse().unwrap();
            let query = signed(&key, 1000, 32);
            assert_eq!(ask(&query, Some(1000)), Some((Rcode::NOTAUTH, Some((BADKEY, 0)))));
        }
        // Every bit that is signed counts, and no damage is a panic; a reply is never answered.
        for at in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            let answer = ask(&damaged, Some(1000));
            // The id is free to change on the way, and the case of the names in the record is no part of them.
            let free = at / 8 < 2 || damaged.eq_ignore_ascii_case(&good);
            assert!(free || answer.is_none_or(|answer| answer.1 != Some((0, 32))), "bit {at}: {answer:?}");
            assert_eq!(answer.is_none(), damaged[2] & 0x80 != 0, "bit {at}");
        }
        for length in 0..good.len() {
            assert!(ask(&good[..length], Some(1000)).is_none_or(|answer| answer.1.is_none()));
        }
    }

    /// An answer of many messages, some without a signature, as a client checks it.
    #[test]
    fn a_client_checks_every_message_of_an_answer() {
        let key: Key = alloc::format!("K.Example:hmac-sha384:{SECRET}").parse().unwrap();
        let query = tests::query("web.example.com", RecordType::AXFR, None);
        let mut out = alloc::vec![0; 512];
        out[..query.len()].copy_from_slice(&query);
        let (length, exchange) = Exchange::sign(&key, 1000, &mut out, query.len()).unwrap();
        let now = || Now { monotonic: Instant::ZERO, unix: Some(Duration::from_secs(1010)) };
        let (Checked::Signed(signer), _) = check(&out[..length], core::slice::from_ref(&key), now) else {
            panic!("it is signed")
        };
        assert!(signer.is_good());
        // Messages 1, 4 and 5 are signed; the signature of 4 covers 2 and 3.
        let answer = |number: u8| {
            let mut message = alloc::vec![0, 99, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            message.extend(tests::query("x.example.com", RecordType(u16::from(number)), None).split_off(12));
            message[5] = 1;
            message
        };
        let mut signer = *signer;
        let mut messages = alloc::vec![];
        for number in 1..=5 {
            let mut bytes = answer(number);
            match number {
                2 | 3 => {}
                4 => {
                    // The server's `sign` knows no messages without a signature: their bytes go in front by hand.
                    let mut digest = (signer.previous.len() as u16).to_be_bytes().to_vec();
                    digest.extend(&signer.previous);
                    digest.extend([answer(2), answer(3), answer(4)].concat());
                    digest.extend_from_slice(&[0, 0, 0, 0, 3, 0xf2, 1, 44]);
                    let mac = key.algorithm.mac(&key.secret, &[&digest]);
                    let length = bytes.len();
                    bytes.resize(512, 0);
                    let signature = Signature { time: 1010, mac: &mac, original_id: 99, end: &[0; 4] };
                    let name = key.name;
                    let length = signature.append(name.as_name(), key.algorithm.name(), &mut bytes, length);
                    bytes.truncate(length.unwrap());
                    signer.previous = mac;
                }
                _ => {
                    let length = bytes.len();
                    bytes.resize(512, 0);
                    let length = signer.sign(&mut bytes, length).unwrap();
                    bytes.truncate(length);
                }
            }
            messages.push(bytes);
        }
        let believe = |messages: &[Vec<u8>], now: u64| {
            let mut exchange = Exchange {
                key: key.clone(),
                previous: exchange.previous.clone(),
                unsigned: (Vec::new(), 0),
                first: true,
            };
            messages
                .iter()
                .try_for_each(|message| exchange.check(message, now))
                .map(|()| exchange.is_complete())
        };
        assert_eq!(believe(&messages, 1010), Ok(true));
        assert_eq!(believe(&messages[..3], 1010), Ok(false));
        assert_eq!(believe(&messages, 1311), Err(Unbelieved::Time));
        assert_eq!(believe(&messages[1..], 1010), Err(Unbelieved::Missing));
        assert_eq!(believe(&[&messages[..1], &messages[2..]].concat(), 1010), Err(Unbelieved::Wrong));
        for (at, message) in messages.iter().enumerate() {
            for bit in 16..message.len() * 8 {
                let mut damaged = messages.clone();
                damaged[at][bit / 8] ^= 1 << (bit % 8);
                let same = damaged[at].eq_ignore_ascii_case(message) && bit / 8 > 30;
                assert!(same || believe(&damaged, 1010) != Ok(true), "message {at} bit {bit}");
            }
        }
        let many = |count: usize| {
            let mut all = alloc::vec![messages[0].clone()];
            all.extend((0..count).map(|_| answer(2)));
            believe(&all, 1010)
        };
        assert_eq!((many(99), many(100)), (Ok(false), Err(Unbelieved::Missing)));
    }

    #[test]
    fn keys_are_read() {
        for wrong in [
            "",
            "k",
            "k:hmac-sha256",
            "k:hmac-md5:AAAA",
            "k:hmac-sha256:",
            "k:hmac-sha256:A",
            "..:hmac-sha256:AAAA",
        ] {
            assert!(wrong.parse::<Key>().is_err(), "{wrong}");
        }
    }
}
