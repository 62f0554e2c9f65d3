//! The authoritative server: a query in, a reply out, no I/O.
mod access;
mod answer;
mod cookie;
mod denial;
mod notification;
mod precomputed;
mod rate_limit;
mod traffic;
mod transfer;
mod tsig;
mod update;
mod zones;

pub use access::{NoPrefix, Prefix};
pub use cookie::CookieSecrets;
pub use notification::{Notification, Notified};
pub use rate_limit::RateLimit;
pub use traffic::Traffic;
pub use transfer::Transfer;
pub use tsig::{Exchange, Key, NoKey, Unbelieved};
pub use update::UpdateRequest;
pub use zones::{Mirror, Zones};

use crate::{
    wire::{
        Builder, Class, Edns, Flags, HEADER, Message, Name, Opcode, Question, Rcode, RecordType, Section,
        option,
    },
    zone::Zone,
};
use airglow_device::Instant;
use alloc::{sync::Arc, vec::Vec};
use answer::Answer;
use cookie::Offered;
use core::{net::IpAddr, time::Duration};
use precomputed::{Plain, Precomputed};
use rate_limit::{RateLimiter, Verdict};
use tsig::{Checked, Signer};
use zones::Absent;

/// How a query came, which decides how long the reply may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram: at most what the client offers and [`Config::udp_payload`] allows.
    Udp,
    /// A stream: at most 65,535 bytes.
    Tcp,
    /// An encrypted stream (RFC 7858): the same, and who pads gets a padded reply (RFC 8467).
    Tls,
}

/// What the server is to say of itself and how far it goes.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// Longest UDP reply, and the size offered to clients. 1,232 by default, which no path has to fragment.
    pub udp_payload: u16,
    /// Longest reply over a stream: 65,535 by default, and less where memory is little. What does not fit is truncated.
    pub stream_payload: u16,
    /// Answer to the NSID option (RFC 5001); none is given when empty.
    pub nsid: &'a [u8],
    /// Bytes of memory for replies kept ready; 0 keeps none. Not all of it is taken at the start.
    pub precomputed: usize,
    /// Who may ask; empty: everybody. Others are refused.
    pub allow: &'a [Prefix],
    /// Who may have whole zones; empty: nobody.
    pub transfers: &'a [Prefix],
    /// Secrets shared with clients (RFC 8945). What is signed with one is answered, and whole zones given, wherever it comes
    /// from. They need a time of day.
    pub keys: &'a [Key],
    /// What makes server cookies (RFC 7873); none are given when `None`.
    pub cookies: Option<CookieSecrets>,
    /// Response-rate limiting over UDP; off when `None`. A client with a good cookie is exempt.
    pub rate_limit: Option<RateLimit>,
    /// What clients over a stream are told of how long it may be idle (RFC 7828): as the shell's `Limits::idle`.
    pub idle: Duration,
    /// Who hears that a zone has changed elsewhere (RFC 1996); NOTIMP when `None`.
    pub notified: Option<&'a dyn Notified>,
    /// Who hears which zones come and go after the start.
    pub mirror: Option<&'a dyn Mirror>,
}

/// What the clocks say. Read only when a query needs it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic clock.
    pub monotonic: Instant,
    /// The time of day, since 1970; `None` where nobody told the platform.
    pub unix: Option<Duration>,
}

/// Where a query comes from and when.
#[derive(Clone, Copy)]
pub struct Origin<'o> {
    /// The client's address; `None` where the transport has none: then neither lists nor limits apply, and no transfer is given.
    pub peer: Option<IpAddr>,
    /// How the query came.
    pub transport: Transport,
    /// The clocks.
    pub now: &'o dyn Fn() -> Now,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self {
            udp_payload: 1232,
            stream_payload: u16::MAX,
            nsid: b"",
            precomputed: 16 << 20,
            allow: &[],
            transfers: &[],
            keys: &[],
            cookies: None,
            rate_limit: None,
            idle: Duration::from_secs(10),
            notified: None,
            mirror: None,
        }
    }
}

/// Counters, by what became of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams or stream messages that came.
    pub received: u64,
    /// Replies with NOERROR, the truncated ones too.
    pub answered: u64,
    /// Replies with NXDOMAIN.
    pub nxdomain: u64,
    /// Replies with REFUSED.
    pub refused: u64,
    /// Replies with FORMERR.
    pub formerr: u64,
    /// Replies with NOTIMP.
    pub notimp: u64,
    /// Replies with any other code.
    pub other: u64,
    /// Replies that did not fit and said so.
    pub truncated: u64,
    /// Replies that were ready.
    pub precomputed: u64,
    /// Messages that were no query at all (too short, or replies) and got none.
    pub dropped: u64,
    /// Replies that the rate limit held back or cut to a truncated one.
    pub rate_limited: u64,
    /// Queries with a server cookie that was right.
    pub cookies: u64,
}

/// EDNS errors of RFC 8914 that this server sends.
mod extended_error {
    pub const NOT_READY: u16 = 14;
    pub const PROHIBITED: u16 = 18;
    pub const NOT_AUTHORITATIVE: u16 = 20;
    pub const NOT_SUPPORTED: u16 = 21;
}

/// An authoritative name server over a table of zones. Synchronous; any shell may drive it.
pub struct Server<'a> {
    zones: Zones,
    absent: Absent,
    precomputed: Precomputed,
    rate_limiter: Option<RateLimiter>,
    /// Room for the longest reply, made when the first stream asks.
    scratch: Vec<u8>,
    config: Config<'a>,
    traffic: Traffic,
}

/// What the queries' EDNS asked for.
#[derive(Clone, Copy, Default)]
struct Asked {
    edns: bool,
    dnssec: bool,
    nsid: bool,
    keepalive: bool,
    padding: bool,
    payload: u16,
    cookie: Option<Offered>,
}

/// The length that padded replies are a multiple of (RFC 8467 section 4.1).
const PADDED: usize = 468;

/// A reply that was written: its length, and how much of its end is the options of an OPT record.
#[derive(Clone, Copy)]
struct Written {
    length: usize,
    options: Option<usize>,
    cookie: Option<Offered>,
    /// The query was padded, and the transport is encrypted.
    padding: bool,
}

impl<'a> Server<'a> {
    /// A server for `zones`.
    pub fn new(zones: Zones, config: Config<'a>) -> Self {
        Self {
            zones,
            absent: Absent::default(),
            precomputed: Precomputed::new(config.precomputed),
            rate_limiter: config.rate_limit.as_ref().map(RateLimiter::new),
            scratch: Vec::new(),
            config,
            traffic: Traffic::new(),
        }
    }

    /// Counters since the start.
    pub const fn stats(&self) -> &Stats {
        &self.traffic.stats
    }

    /// The same, and what was asked for, and how long replies took.
    pub const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Says how long one reply took; a shell does that for some of them.
    pub fn observe(&mut self, spent: Duration) {
        self.traffic.observe(spent);
    }

    /// The zones that are served.
    pub const fn zones(&self) -> &Zones {
        &self.zones
    }

    /// Adds a zone, or puts it in the place of the one of its name, which is returned: the next reply comes from it.
    /// Transfers under way go on with the zone they began with.
    pub fn insert(&mut self, zone: impl Into<Arc<Zone>>) -> Option<Arc<Zone>> {
        let zone = zone.into();
        if let Some(mirror) = self.config.mirror {
            mirror.insert(&zone);
        }
        self.precomputed.forget(zone.apex().name());
        self.absent.remove(zone.apex().name());
        self.zones.insert(zone)
    }

    /// Takes a zone away that this server should have: until it comes again, questions about it are answered with SERVFAIL
    /// (RFC 1034 section 4.3.5 calls it expired), and not with a referral from the zone above.
    pub fn set_absent(&mut self, apex: Name<'_>) -> Option<Arc<Zone>> {
        if let Some(mirror) = self.config.mirror {
            mirror.set_absent(apex);
        }
        self.precomputed.forget(apex);
        self.absent.insert(apex);
        self.zones.remove(apex)
    }

    /// Takes a zone away.
    pub fn remove(&mut self, apex: Name<'_>) -> Option<Arc<Zone>> {
        if let Some(mirror) = self.config.mirror {
            mirror.remove(apex);
        }
        self.precomputed.forget(apex);
        self.absent.remove(apex);
        self.zones.remove(apex)
    }

    /// Makes cookies with another secret from now on; those of the secret before still hold.
    /// RFC 7873 section 7.1 wants it within 36 days at most, and about once a day.
    pub const fn rotate_cookie_secret(&mut self, secret: [u8; 16]) {
        if let Some(cookies) = &mut self.config.cookies {
            cookies.rotate(secret);
        }
    }

    /// Whether `peer` may have whole zones without a signature.
    pub fn may_transfer(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.config.transfers.iter().any(|prefix| prefix.contains(peer)))
    }

    /// The transfer that `query` asks for, if it asks for one that its sender may have. Otherwise [`Self::respond_to`] has
    /// the reply.
    pub fn transfer(&self, origin: &Origin<'_>, query: &[u8]) -> Option<Transfer> {
        if !crate::TRANSFERS {
            return None;
        }
        let transfer = Transfer::start(&self.zones, query)?;
        match tsig::check(query, self.config.keys, origin.now).0 {
            Checked::Unsigned => self.may_transfer(origin.peer).then_some(transfer),
            Checked::Signed(signer) if signer.is_good() => Some(transfer.signed(signer)),
            _ => None,
        }
    }

    /// Writes the reply to `query` into `reply` and returns its length; `None` when there is none to send: the message is
    /// too short to answer or is itself a reply. From nobody in particular: see [`Self::respond_to`].
    ///
    /// `reply` should have room for [`Config::udp_payload`] bytes (at least 512) over UDP and for 65,535 over TCP.
    pub fn respond(&mut self, query: &[u8], transport: Transport, reply: &mut [u8]) -> Option<usize> {
        let now = || Now { monotonic: Instant::ZERO, unix: None };
        self.respond_to(&Origin { peer: None, transport, now: &now }, query, reply)
    }

    /// As [`Self::respond`], with what depends on who asks: access, cookies, rate limits. `None` also when the rate limit
    /// holds the reply back.
    pub fn respond_to(&mut self, origin: &Origin<'_>, query: &[u8], reply: &mut [u8]) -> Option<usize> {
        self.traffic.stats.received += 1;
        let allow = self.config.allow;
        let denied = !allow.is_empty()
            && origin.peer.is_some_and(|peer| !allow.iter().any(|prefix| prefix.contains(peer)));
        let udp_payload = (origin.transport == Transport::Udp).then_some(self.config.udp_payload);
        let cookies = self.config.cookies.is_some() && origin.peer.is_some();
        let plain = if denied { None } else { Plain::read(query, udp_payload, cookies) };
        if let Some(rtype) = plain.as_ref().and_then(Plain::rtype) {
            self.traffic.count_type(rtype);
        }
        let ready = plain.as_ref().and_then(|plain| self.precomputed.reply(plain, reply));
        if let Some(written) = &ready
            && written.cookie.is_none()
            && self.rate_limiter.is_none()
        {
            self.traffic.stats.precomputed += 1;
            self.count(Message::new(reply).ok()?.flags());
            return Some(written.length);
        }
        self.respond_in_full(origin, query, plain.as_ref(), ready, denied, reply)
    }

    /// What [`Self::respond_to`] does when there is more to do than to copy. Apart from it, so that the usual case stays short.
    #[inline(never)]
    fn respond_in_full(
        &mut self,
        origin: &Origin<'_>,
        query: &[u8],
        plain: Option<&Plain<'_>>,
        ready: Option<Written>,
        mut denied: bool,
        reply: &mut [u8],
    ) -> Option<usize> {
        let cookies = self.config.cookies.is_some() && origin.peer.is_some();
        let mut signer = None;
        let mut whole = Vec::new();
        let mut query = query;
        if cfg!(feature = "tsig") && plain.is_none() {
            let (checked, signed) = tsig::check(query, self.config.keys, origin.now);
            match checked {
                Checked::Unsigned => {}
                Checked::Broken(rcode) => {
                    let length = question_only(query, reply, Flags(rcode.0))?;
                    self.count(Flags(rcode.0));
                    return Some(length);
                }
                Checked::Signed(mut refused) if !refused.is_good() => {
                    let length = tsig::refuse(query, &mut refused, reply)?;
                    self.count(Flags(Rcode::NOTAUTH.0));
                    return Some(length);
                }
                Checked::Signed(good) => {
                    // The rest of the work sees the request as it was before it was signed.
                    whole.extend_from_slice(query.get(..signed)?);
                    let count = u16::from_be_bytes([whole[10], whole[11]]).wrapping_sub(1);
                    whole[10..12].copy_from_slice(&count.to_be_bytes());
                    query = &whole;
                    denied = false;
                    signer = Some(good);
                }
            }
        }
        if plain.is_none()
            && let Some((question, _)) = Message::new(query).ok().and_then(|message| message.question().ok())
        {
            self.traffic.count_type(question.rtype);
        }
        let mut written = match ready {
            Some(written) => {
                self.traffic.stats.precomputed += 1;
                written
            }
            None => {
                let message = Message::new(query).ok().filter(|message| !message.flags().has(Flags::QR));
                let written = message.and_then(|message| {
                    self.reply(&message, origin, denied, cookies, signer.as_deref(), reply)
                });
                let Some(written) = written else {
                    self.traffic.stats.dropped += 1;
                    return None;
                };
                if let (Some(plain), Some(bytes)) = (plain, reply.get(..written.length)) {
                    self.precomputed.keep(plain, bytes, written.options);
                }
                written
            }
        };
        let mut trusted = false;
        if let (Some(offered), Some(secrets), Some(peer)) =
            (&written.cookie, &self.config.cookies, origin.peer)
        {
            let now = (origin.now)();
            // Without a time of day the time since boot does: the secret is no older.
            let seconds = now.unix.map_or(now.monotonic.as_millis() / 1000, |unix| unix.as_secs());
            let (cookie, good) = secrets.answer(offered, peer.to_canonical(), seconds as u32);
            trusted = good;
            self.traffic.stats.cookies += u64::from(good);
            written.append_option(reply, option::COOKIE, &cookie);
        }
        if written.padding {
            let length = written.length + 4 + signer.as_deref().map_or(0, Signer::size);
            written.append_option(
                reply,
                option::PADDING,
                &[0; PADDED][..length.next_multiple_of(PADDED) - length],
            );
        }
        if let (Some(limiter), Some(peer), Transport::Udp) =
            (&mut self.rate_limiter, origin.peer, origin.transport)
            && !trusted
            && signer.is_none()
        {
            let rcode = Message::new(reply).ok()?.flags().rcode();
            let verdict = limiter.judge(peer, rcode, (origin.now)().monotonic);
            self.traffic.stats.rate_limited += u64::from(verdict != Verdict::Send);
            match verdict {
                Verdict::Send => {}
                Verdict::Slip => written.length = question_only(query, reply, Flags(Flags::TC | rcode.0))?,
                Verdict::Drop => return None,
            }
        }
        if let Some(mut signer) = signer {
            written.length = signer.sign(reply, written.length)?;
        }
        self.count(Message::new(reply).ok()?.flags());
        Some(written.length)
    }

    /// The reply to a query that came over a stream, behind its two bytes of length (RFC 1035 section 4.2.2).
    pub fn respond_framed(&mut self, origin: &Origin<'_>, query: &[u8]) -> Option<Vec<u8>> {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.resize(2 + usize::from(self.config.stream_payload), 0);
        let framed = self.respond_to(origin, query, &mut scratch[2..]).map(|length| {
            scratch[..2].copy_from_slice(&(length as u16).to_be_bytes());
            scratch[..2 + length].to_vec()
        });
        self.scratch = scratch;
        framed
    }

    /// Bytes that the replies kept ready take now.
    pub const fn precomputed_bytes(&self) -> usize {
        self.precomputed.bytes()
    }

    fn count(&mut self, flags: Flags) {
        let counter = match flags.rcode() {
            Rcode::NOERROR => &mut self.traffic.stats.answered,
            Rcode::NXDOMAIN => &mut self.traffic.stats.nxdomain,
            Rcode::REFUSED => &mut self.traffic.stats.refused,
            Rcode::FORMERR => &mut self.traffic.stats.formerr,
            Rcode::NOTIMP => &mut self.traffic.stats.notimp,
            _ => &mut self.traffic.stats.other,
        };
        *counter += 1;
        self.traffic.stats.truncated += u64::from(flags.has(Flags::TC));
    }

    /// Writes the reply but for the cookie, for which it leaves room.
    fn reply(
        &self,
        message: &Message<'_>,
        origin: &Origin<'_>,
        denied: bool,
        cookies: bool,
        signer: Option<&Signer>,
        reply: &mut [u8],
    ) -> Option<Written> {
        let transport = origin.transport;
        // RFC 1035 section 4.1.1: id, opcode and RD come back as they came.
        let flags = Flags(message.flags().0 & (0x7800 | Flags::RD) | Flags::QR);
        let id = message.id();
        let reserved = signer.map_or(0, Signer::size);
        if crate::TRANSFERS
            && let (Opcode::NOTIFY, Some(notified)) = (message.flags().opcode(), self.config.notified)
        {
            return notification::answer(message, origin, signer, notified, reply);
        }
        if message.flags().opcode() != Opcode::QUERY {
            return header_only(reply, id, flags, Rcode::NOTIMP);
        }
        if message.question_count() > 1 {
            return header_only(reply, id, flags, Rcode::FORMERR);
        }
        let (asked, failed) = match read_edns(message, cookies) {
            Ok(read) => read,
            Err(()) => return header_only(reply, id, flags, Rcode::FORMERR),
        };
        let question = match message.question() {
            Ok((question, end)) if message.question_count() == 1 && end <= message.as_bytes().len() => {
                Some(question)
            }
            //= https://www.rfc-editor.org/rfc/rfc7873#section-5.4
            //# For servers with DNS Cookies enabled, the QUERY opcode behavior is
            //# extended to support queries with an empty Question Section (a QDCOUNT
            //# of zero (0)), provided that an OPT record is present with a COOKIE
            //# option.
            _ if message.question_count() == 0 && asked.cookie.is_some() => None,
            _ => return header_only(reply, id, flags, Rcode::FORMERR),
        };
        let limit = match transport {
            Transport::Tcp | Transport::Tls => usize::from(self.config.stream_payload.max(512)),
            // RFC 6891 section 6.2.3: values below 512 count as 512.
            Transport::Udp if asked.edns => {
                usize::from(asked.payload.clamp(512, self.config.udp_payload.max(512)))
            }
            Transport::Udp => 512,
        };
        let limit = limit.min(reply.len());
        let reply = &mut reply[..limit];
        let mut builder = Builder::new(reply, id, flags).ok()?;
        if let Some(question) = &question {
            builder.question(question.name.as_name(), question.rtype, question.class).ok()?;
        }
        let mut tail = Tail { options: [0; 128], length: 0, asked, payload: self.config.udp_payload };
        if asked.nsid && !self.config.nsid.is_empty() {
            tail.option(option::NSID, &[self.config.nsid]);
        }
        if asked.keepalive && transport != Transport::Udp {
            let units = u16::try_from(self.config.idle.as_millis() / 100).unwrap_or(u16::MAX);
            tail.option(option::TCP_KEEPALIVE, &[&units.to_be_bytes()]);
        }
        // The cookie comes last, when the reply is whole.
        let transfers = signer.is_some() || self.may_transfer(origin.peer);
        let kept = reserved + tail.size() + if asked.cookie.is_some() { 4 + cookie::LENGTH } else { 0 };
        builder.set_limit(limit.saturating_sub(kept));
        let rcode = match (failed, &question) {
            (Some(rcode), _) => rcode,
            (None, Some(_)) if denied => {
                tail.option(option::EXTENDED_ERROR, &[&extended_error::PROHIBITED.to_be_bytes()]);
                Rcode::REFUSED
            }
            (None, Some(question)) => {
                self.look_up(question, asked, transport, transfers, &mut builder, &mut tail)
            }
            (None, None) => Rcode::NOERROR,
        };
        builder.set_limit(limit - kept.min(limit) + tail.size());
        let mut written = tail.finish(builder, rcode);
        written.padding = asked.padding && transport == Transport::Tls;
        Some(written)
    }

    fn look_up(
        &self,
        question: &Question,
        asked: Asked,
        transport: Transport,
        transfers: bool,
        builder: &mut Builder<'_>,
        tail: &mut Tail,
    ) -> Rcode {
        if question.class != Class::IN && question.class != Class::ANY {
            tail.option(option::EXTENDED_ERROR, &[&extended_error::NOT_AUTHORITATIVE.to_be_bytes()]);
            return Rcode::REFUSED;
        }
        match question.rtype {
            // Over UDP one SOA says which version there is: whoever wants it comes over TCP (RFC 1995 section 2).
            RecordType::IXFR if transport == Transport::Udp && transfers => {
                return self.current_soa(question.name.as_name(), builder);
            }
            // A transfer that may be given starts in `Transfer`; what comes here may not.
            RecordType::AXFR | RecordType::IXFR => return Rcode::REFUSED,
            // MAILB, MAILA and the other pseudo types but ANY; OPT and TSIG are no questions.
            rtype if rtype.is_meta() && rtype != RecordType::ANY => {
                tail.option(option::EXTENDED_ERROR, &[&extended_error::NOT_SUPPORTED.to_be_bytes()]);
                return Rcode::NOTIMP;
            }
            _ => {}
        }
        let zone = self.zones.covering(question.name.as_name(), question.rtype);
        let depth = zone.map_or(0, |zone| zone.apex().name().len());
        if self.absent.covers(question.name.as_name(), depth) {
            tail.option(option::EXTENDED_ERROR, &[&extended_error::NOT_READY.to_be_bytes()]);
            return Rcode::SERVFAIL;
        }
        let Some(zone) = zone else {
            tail.option(option::EXTENDED_ERROR, &[&extended_error::NOT_AUTHORITATIVE.to_be_bytes()]);
            return Rcode::REFUSED;
        };
        Answer {
            zone,
            question,
            dnssec: asked.dnssec,
            udp: transport == Transport::Udp,
            builder,
            rcode: Rcode::NOERROR,
        }
        .write()
    }

    fn current_soa(&self, apex: Name<'_>, builder: &mut Builder<'_>) -> Rcode {
        let Some(zone) = self.zones.get(apex) else { return Rcode::NOTAUTH };
        let Some(soa) = zone.apex().set(RecordType::SOA) else { return Rcode::SERVFAIL };
        builder.set_flags(Flags::AA);
        for data in soa.data() {
            let written = builder.record(Section::Answer, apex, RecordType::SOA, Class::IN, soa.ttl, data);
            if written.is_err() {
                builder.set_flags(Flags::TC);
            }
        }
        Rcode::NOERROR
    }
}

/// Reads the OPT record, if there is one. The second value is the rcode that it forces.
fn read_edns(message: &Message<'_>, cookies: bool) -> Result<(Asked, Option<Rcode>), ()> {
    let mut asked = Asked::default();
    let mut failed = None;
    for record in message.records() {
        let record = record.map_err(|_| ())?;
        if record.rtype != RecordType::OPT {
            continue;
        }
        //= https://www.rfc-editor.org/rfc/rfc6891#section-6.1.1
        //# If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST
        //# be returned.
        if asked.edns {
            return Err(());
        }
        let edns = Edns::from_record(&record).map_err(|_| ())?;
        let cookie = match edns.option(option::COOKIE).filter(|_| cookies) {
            Some(value) => Some(Offered::read(value).ok_or(())?),
            None => None,
        };
        asked = Asked {
            edns: true,
            cookie,
            dnssec: edns.dnssec_ok,
            nsid: edns.option(option::NSID).is_some(),
            keepalive: edns.option(option::TCP_KEEPALIVE).is_some(),
            padding: edns.option(option::PADDING).is_some(),
            payload: edns.udp_payload,
        };
        if edns.version != 0 {
            failed = Some(Rcode::BADVERS);
        }
    }
    Ok((asked, failed))
}

/// A reply of nothing but a header: the question could not be read or is not to be repeated.
fn header_only(reply: &mut [u8], id: u16, flags: Flags, rcode: Rcode) -> Option<Written> {
    let length = Builder::new(reply, id, Flags(flags.0 | rcode.0)).ok()?.finish();
    Some(Written { length, options: None, cookie: None, padding: false })
}

/// A reply of header and question with these flags: "come back over TCP", or an error.
fn question_only(query: &[u8], reply: &mut [u8], flags: Flags) -> Option<usize> {
    let message = Message::new(query).ok()?;
    let flags = Flags(message.flags().0 & (0x7800 | Flags::RD) | Flags::QR | flags.0);
    let mut builder = Builder::new(reply, message.id(), flags).ok()?;
    if let Ok((question, _)) = message.question() {
        builder.question(question.name.as_name(), question.rtype, question.class).ok()?;
    }
    Some(builder.finish())
}

impl Written {
    /// Adds an option to the OPT record at the reply's end, if there is one and the buffer has room.
    fn append_option(&mut self, reply: &mut [u8], code: u16, value: &[u8]) {
        let Some(options) = self.options else { return };
        let size = 4 + value.len();
        let Some(head) = (self.length - options).checked_sub(2).filter(|at| *at >= HEADER) else { return };
        let Some(bytes) = reply.get_mut(head..self.length + size) else { return };
        bytes[..2].copy_from_slice(&((options + size) as u16).to_be_bytes());
        let option = &mut bytes[2 + options..];
        option[..2].copy_from_slice(&code.to_be_bytes());
        option[2..4].copy_from_slice(&(value.len() as u16).to_be_bytes());
        option[4..].copy_from_slice(value);
        self.length += size;
        self.options = Some(options + size);
    }
}

/// What comes last: the OPT record, for which room was kept.
struct Tail {
    options: [u8; 128],
    length: usize,
    asked: Asked,
    payload: u16,
}

impl Tail {
    /// Adds an option, if it fits; options that explain come after the answer was written and may find no room.
    fn option(&mut self, code: u16, value: &[&[u8]]) {
        let size: usize = value.iter().map(|part| part.len()).sum();
        let Some(room) = self.options.get_mut(self.length..self.length + 4 + size) else { return };
        room[..2].copy_from_slice(&code.to_be_bytes());
        room[2..4].copy_from_slice(&(size as u16).to_be_bytes());
        let mut at = 4;
        for part in value {
            room[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.length += 4 + size;
    }

    const fn size(&self) -> usize {
        if self.asked.edns { 11 + self.length } else { 0 }
    }

    fn finish(self, mut builder: Builder<'_>, rcode: Rcode) -> Written {
        builder.set_flags(rcode.0 & 15);
        let mut options = None;
        if self.asked.edns {
            let edns = Edns {
                udp_payload: self.payload,
                version: 0,
                extended_rcode: (rcode.0 >> 4) as u8,
                dnssec_ok: self.asked.dnssec,
                options: &self.options[..self.length],
            };
            if builder.edns(&edns).is_ok() {
                options = Some(self.length);
            } else if builder.edns(&Edns { options: &[], ..edns }).is_ok() {
                options = Some(0);
            }
        }
        Written { length: builder.finish(), options, cookie: self.asked.cookie, padding: false }
    }
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod tests;
