//! The client of xenstore (`io/xs_wire.h`), the small tree of names by which domains meet: message codec and sans-IO core.
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{
    fmt,
    sync::atomic::{AtomicU8, AtomicU32, Ordering, fence},
};

/// The page that xenstore's daemon shares with the guest.
#[repr(C)]
pub struct Interface {
    req: [AtomicU8; RING],
    rsp: [AtomicU8; RING],
    req_cons: AtomicU32,
    req_prod: AtomicU32,
    rsp_cons: AtomicU32,
    rsp_prod: AtomicU32,
    server_features: AtomicU32,
    connection: AtomicU32,
    error: AtomicU32,
}

const RING: usize = 1024;

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interface")
            .field("req_prod", &self.req_prod)
            .field("rsp_prod", &self.rsp_prod)
            .finish_non_exhaustive()
    }
}

/// The largest payload of a message (`XENSTORE_PAYLOAD_MAX`).
pub const PAYLOAD: usize = 4096;
const HEADER: usize = 16;
/// Watch events kept for a reader that does not come; older ones go first.
const EVENTS: usize = 64;
/// Requests without an answer, and answers that nobody has taken.
const REQUESTS: usize = 64;

/// What is asked (`enum xsd_sockmsg_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum Operation {
    Directory = 1,
    Read = 2,
    GetPermissions = 3,
    Watch = 4,
    Unwatch = 5,
    TransactionStart = 6,
    TransactionEnd = 7,
    GetDomainPath = 10,
    Write = 11,
    MakeDirectory = 12,
    Remove = 13,
    SetPermissions = 14,
    ResetWatches = 21,
}

const WATCH_EVENT: u32 = 15;
const ERROR: u32 = 16;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no such node.
    NotFound,
    /// The permissions forbid it.
    PermissionDenied,
    /// It is there already.
    Exists,
    /// The transaction met another one: do it again.
    Again,
    /// The daemon finds the request wrong.
    Invalid,
    /// The domain's quota is used up.
    Quota,
    /// The daemon says something else.
    Other,
    /// The request is too long, or too many wait.
    Full,
    /// The daemon broke the protocol; the connection is closed.
    Protocol,
}

impl Error {
    fn of(name: &[u8]) -> Self {
        match name.split(|&b| b == 0).next().unwrap_or_default() {
            b"ENOENT" => Self::NotFound,
            b"EACCES" | b"EPERM" => Self::PermissionDenied,
            b"EEXIST" => Self::Exists,
            b"EAGAIN" => Self::Again,
            b"EINVAL" => Self::Invalid,
            b"EQUOTA" | b"ENOSPC" | b"E2BIG" => Self::Quota,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "xenstore has no such node",
            Self::PermissionDenied => "xenstore does not permit it",
            Self::Exists => "the xenstore node exists",
            Self::Again => "the xenstore transaction met another one",
            Self::Invalid => "xenstore finds the request invalid",
            Self::Quota => "this domain's xenstore quota is used up",
            Self::Other => "xenstore failed",
            Self::Full => "too much is asked of xenstore at once",
            Self::Protocol => "xenstore breaks its protocol",
        })
    }
}
impl core::error::Error for Error {}

/// A request that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u32);

/// A node that changed, and the token of the watch that saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The node.
    pub path: String,
    /// As given to the watch.
    pub token: String,
}

/// A transaction; 0 is none.
pub type TransactionId = u32;

enum Pending {
    Waiting,
    Abandoned,
    Answered(Result<Vec<u8>, Error>),
}

/// The sans-IO core: requests in, answers and events out, over the shared page.
pub struct Client<'p> {
    page: &'p Interface,
    out: Vec<u8>,
    header: [u8; HEADER],
    have: usize,
    body: Vec<u8>,
    next_id: u32,
    // A few at a time, so that looking through them is quick.
    requests: Vec<(u32, Pending)>,
    events: Vec<Event>,
    lost_events: u64,
    broken: bool,
}

impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("requests", &self.requests.len())
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

fn word(bytes: &[u8; HEADER], at: usize) -> u32 {
    match bytes.get(at..at + 4).and_then(|b| b.try_into().ok()) {
        Some(b) => u32::from_le_bytes(b),
        None => 0,
    }
}

impl<'p> Client<'p> {
    /// A client over the daemon's page.
    pub fn new(page: &'p Interface) -> Self {
        Self {
            page,
            out: Vec::new(),
            header: [0; HEADER],
            have: 0,
            body: Vec::new(),
            next_id: 1,
            requests: Vec::new(),
            events: Vec::new(),
            lost_events: 0,
            broken: false,
        }
    }

    /// Makes a request of `parts`, one after the other as the operation wants them (with their zero bytes), and
    /// keeps it until [`poll`](Self::poll) finds room for it.
    ///
    /// # Errors
    /// [`Error::Full`] when it is too long or too many requests wait, [`Error::Protocol`] when the connection is closed.
    pub fn request(
        &mut self,
        operation: Operation,
        transaction: TransactionId,
        parts: &[&[u8]],
    ) -> Result<RequestId, Error> {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        if self.broken {
            return Err(Error::Protocol);
        }
        if len > PAYLOAD || self.requests.len() >= REQUESTS {
            return Err(Error::Full);
        }
        let id = self.next_id;
        // Zero is what watch events carry.
        self.next_id = self.next_id.wrapping_add(1).max(1);
        for word in [operation as u32, id, transaction, len as u32] {
            self.out.extend_from_slice(&word.to_le_bytes());
        }
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.requests.push((id, Pending::Waiting));
        Ok(RequestId(id))
    }

    /// Moves bytes both ways. `true`: it moved some, so ring the daemon.
    pub fn poll(&mut self) -> bool {
        let mut moved = false;
        while !self.broken && (self.send() | self.receive()) {
            moved = true;
        }
        moved
    }

    fn send(&mut self) -> bool {
        let producer = self.page.req_prod.load(Ordering::Relaxed);
        let waiting = producer.wrapping_sub(self.page.req_cons.load(Ordering::Acquire));
        let room = RING.saturating_sub(waiting as usize);
        let count = room.min(self.out.len());
        for (i, byte) in self.out.drain(..count).enumerate() {
            let at = producer.wrapping_add(i as u32) as usize % RING;
            self.page.req[at].store(byte, Ordering::Relaxed);
        }
        if count > 0 {
            self.page.req_prod.store(producer.wrapping_add(count as u32), Ordering::Release);
            fence(Ordering::SeqCst);
        }
        count > 0
    }

    fn receive(&mut self) -> bool {
        let consumer = self.page.rsp_cons.load(Ordering::Relaxed);
        let producer = self.page.rsp_prod.load(Ordering::Acquire);
        let waiting = producer.wrapping_sub(consumer) as usize;
        if waiting > RING {
            self.fail();
            return false;
        }
        for i in 0..waiting {
            let at = consumer.wrapping_add(i as u32) as usize % RING;
            self.take(self.page.rsp[at].load(Ordering::Relaxed));
            if self.broken {
                return false;
            }
        }
        if waiting > 0 {
            self.page.rsp_cons.store(producer, Ordering::Release);
            fence(Ordering::SeqCst);
        }
        waiting > 0
    }

    fn take(&mut self, byte: u8) {
        if let Some(slot) = self.header.get_mut(self.have) {
            *slot = byte;
            self.have += 1;
        } else {
            self.body.push(byte);
        }
        if self.have < HEADER {
            return;
        }
        let len = word(&self.header, 12) as usize;
        if len > PAYLOAD {
            self.fail();
        } else if self.body.len() == len {
            let body = core::mem::take(&mut self.body);
            self.have = 0;
            self.message(word(&self.header, 0), word(&self.header, 4), body);
        }
    }

    fn message(&mut self, kind: u32, id: u32, body: Vec<u8>) {
        if kind == WATCH_EVENT {
            let mut parts = body.split(|&b| b == 0).map(|part| core::str::from_utf8(part));
            if let (Some(Ok(path)), Some(Ok(token))) = (parts.next(), parts.next()) {
                if self.events.len() == EVENTS {
                    self.events.remove(0);
                    self.lost_events += 1;
                }
                self.events.push(Event { path: path.to_string(), token: token.to_string() });
            }
            return;
        }
        let at = self.place(id);
        match at.and_then(|at| self.requests.get_mut(at)) {
            Some((_, pending @ Pending::Waiting)) => {
                let answer = if kind == ERROR { Err(Error::of(&body)) } else { Ok(body) };
                *pending = Pending::Answered(answer);
            }
            Some((_, Pending::Abandoned)) => {
                at.map(|at| self.requests.swap_remove(at));
            }
            // An answer to nothing, or a second one.
            Some((_, Pending::Answered(_))) | None => self.fail(),
        }
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.requests.iter().position(|(other, _)| *other == id)
    }

    fn fail(&mut self) {
        self.broken = true;
        self.out.clear();
        for (_, pending) in &mut self.requests {
            if !matches!(pending, Pending::Answered(_)) {
                *pending = Pending::Answered(Err(Error::Protocol));
            }
        }
    }

    /// The answer to `request`, once.
    pub fn answer(&mut self, request: RequestId) -> Option<Result<Vec<u8>, Error>> {
        let at = self.place(request.0)?;
        self.requests.get(at).filter(|(_, pending)| matches!(pending, Pending::Answered(_)))?;
        match self.requests.swap_remove(at) {
            (_, Pending::Answered(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Nobody will take the answer to `request`.
    pub fn abandon(&mut self, request: RequestId) {
        let Some(at) = self.place(request.0) else { return };
        match self.requests.get_mut(at) {
            Some((_, pending @ Pending::Waiting)) => *pending = Pending::Abandoned,
            _ => drop(self.requests.swap_remove(at)),
        }
    }

    /// Takes the oldest event whose token is `token`.
    pub fn event(&mut self, token: &str) -> Option<Event> {
        let at = self.events.iter().position(|event| event.token == token)?;
        Some(self.events.remove(at))
    }

    /// Events dropped because nobody took them.
    pub fn lost_events(&self) -> u64 {
        self.lost_events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Interface {
        Interface {
            req: [const { AtomicU8::new(0) }; RING],
            rsp: [const { AtomicU8::new(0) }; RING],
            req_cons: AtomicU32::new(0),
            req_prod: AtomicU32::new(0),
            rsp_cons: AtomicU32::new(0),
            rsp_prod: AtomicU32::new(0),
            server_features: AtomicU32::new(0),
            connection: AtomicU32::new(0),
            error: AtomicU32::new(0),
        }
    }

    /// The daemon's end.
    fn requests(page: &Interface) -> Vec<u8> {
        let (from, to) = (page.req_cons.load(Ordering::Relaxed), page.req_prod.load(Ordering::Relaxed));
        let bytes = (from..to).map(|i| page.req[i as usize % RING].load(Ordering::Relaxed)).collect();
        page.req_cons.store(to, Ordering::Relaxed);
        bytes
    }
    fn respond(page: &Interface, bytes: &[u8]) {
        let at = page.rsp_prod.load(Ordering::Relaxed);
        for (i, byte) in bytes.iter().enumerate() {
            page.rsp[at.wrapping_add(i as u32) as usize % RING].store(*byte, Ordering::Relaxed);
        }
        page.rsp_prod.store(at.wrapping_add(bytes.len() as u32), Ordering::Relaxed);
    }
    fn message(kind: u32, id: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            [kind, id, 0, body.len() as u32].iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_request_is_answered() {
        let page = page();
        let mut client = Client::new(&page);
        let id = client.request(Operation::Read, 0, &[b"domid\0"]).unwrap();
        assert!(client.poll());
        assert!(!client.poll());
        assert_eq!(requests(&page), message(2, 1, b"domid\0"));
        respond(&page, &message(2, 1, b"7"));
        assert_eq!(client.answer(id), None);
        assert!(client.poll());
        assert_eq!(client.answer(id), Some(Ok(b"7".to_vec())));
        assert_eq!(client.answer(id), None);
    }

    #[test]
    fn long_messages_go_through_in_pieces() {
        let page = page();
        let mut client = Client::new(&page);
        let value = [b'x'; 3000];
        let write = client.request(Operation::Write, 5, &[b"data/long\0", &value]).unwrap();
        let mut sent = Vec::new();
        while client.poll() {
            sent.extend(requests(&page));
        }
        assert_eq!(sent.len(), 16 + 10 + 3000);
        assert_eq!(&sent[8..12], &[5, 0, 0, 0]);
        for piece in message(2, 1, &value).chunks(700) {
            respond(&page, piece);
            client.poll();
        }
        assert_eq!(client.answer(write), Some(Ok(value.to_vec())));
        assert_eq!(client.request(Operation::Write, 0, &[&[0; PAYLOAD + 1]]), Err(Error::Full));
    }

    #[test]
    fn errors_have_names_and_events_have_tokens() {
        let page = page();
        let mut client = Client::new(&page);
        let id = client.request(Operation::Read, 0, &[b"nothing\0"]).unwrap();
        client.poll();
        respond(&page, &message(WATCH_EVENT, 0, b"control/shutdown\0power\0"));
        respond(&page, &message(ERROR, 1, b"ENOENT\0"));
        client.poll();
        assert_eq!(client.answer(id), Some(Err(Error::NotFound)));
        assert_eq!(client.event("other"), None);
        assert_eq!(client.event("power").unwrap().path, "control/shutdown");
        assert_eq!(client.event("power"), None);
    }

    #[test]
    fn a_dropped_request_leaves_nothing() {
        let page = page();
        let mut client = Client::new(&page);
        let id = client.request(Operation::Read, 0, &[b"a\0"]).unwrap();
        client.poll();
        client.abandon(id);
        respond(&page, &message(2, 1, b"late"));
        client.poll();
        assert!(client.requests.is_empty() && !client.broken);
    }

    #[test]
    fn a_daemon_that_breaks_the_rules_loses_its_client() {
        let absurd: [&dyn Fn(&Interface); 4] = [
            &|page| page.rsp_prod.store(1025, Ordering::Relaxed),
            &|page| respond(page, &message(2, 99, b"")),
            &|page| respond(page, &[message(2, 1, b""), message(2, 1, b"")].concat()),
            &|page| respond(page, &[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
        ];
        for attack in absurd {
            let page = page();
            let mut client = Client::new(&page);
            let id = client.request(Operation::Read, 0, &[b"a\0"]).unwrap();
            client.poll();
            attack(&page);
            client.poll();
            assert!(client.broken);
            assert!(matches!(client.answer(id), Some(Err(Error::Protocol) | Ok(_))));
            assert_eq!(client.request(Operation::Read, 0, &[b"a\0"]), Err(Error::Protocol));
        }
    }

    #[test]
    fn events_are_bounded() {
        let page = page();
        let mut client = Client::new(&page);
        for _ in 0..EVENTS + 5 {
            respond(&page, &message(WATCH_EVENT, 0, b"a\0t\0"));
            client.poll();
        }
        assert_eq!((client.events.len(), client.lost_events()), (EVENTS, 5));
    }
}
