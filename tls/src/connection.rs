//! One end of a TLS connection: bytes in, bytes out.
mod exporter;
mod late;
#[cfg(feature = "tls12")]
mod tls12;

pub use exporter::Exporter;
use late::MAX_IDLE_MESSAGES;

#[cfg(feature = "post-handshake-authentication")]
use crate::crypto::Secret;
use crate::{
    Alert, Error,
    buffer::Buffer,
    config::EARLY_DATA,
    crypto::Provider,
    incoming::Incoming,
    outgoing::Outgoing,
    protection::Protection,
    wire::{ContentType, Message, RECORD_HEADER, RecordOverflow},
};

/// What a handshake message led to.
pub enum Step<P: Provider> {
    /// More messages under the same keys.
    Continue,
    /// The peer's next record is under these keys.
    Keys(Protection<P>),
    /// As [`Keys`](Self::Keys), and the handshake is done.
    Connected(Protection<P>),
    /// The handshake is done, under keys that came with a ChangeCipherSpec.
    #[cfg(feature = "tls12")]
    Finished,
}

/// A side of the handshake: [`Server`](crate::Server) or [`Client`](crate::Client).
pub trait Role<P: Provider> {
    #[doc(hidden)]
    fn provider(&self) -> &P;
    #[doc(hidden)]
    fn takes_tickets(&self) -> bool;
    /// Bytes of early data, sent unasked, that may still be passed over (RFC 8446 section 4.2.10).
    #[doc(hidden)]
    fn early_data(&mut self) -> &mut usize;
    /// So many bytes of early data have come.
    #[doc(hidden)]
    fn take_early_data(&mut self, len: usize) -> Result<(), Alert> {
        let _ = len;
        Err(Alert::UNEXPECTED_MESSAGE)
    }
    #[doc(hidden)]
    fn early_data_accepted(&self) -> bool {
        false
    }
    /// Whether the application takes early data as it takes other data.
    #[doc(hidden)]
    fn early_data_is_replayable(&self) -> bool {
        false
    }
    /// Whether data may be sent before the peer's Finished has come.
    #[doc(hidden)]
    fn may_write(&self) -> bool {
        false
    }
    #[doc(hidden)]
    fn early_exporter(&self) -> Option<&Exporter> {
        None
    }
    /// A NewSessionTicket's body.
    #[doc(hidden)]
    fn ticket(&mut self, body: &[u8]) -> Result<(), Alert>;
    #[doc(hidden)]
    fn exporter(&self) -> Option<&Exporter>;
    #[doc(hidden)]
    fn resumed(&self) -> bool;
    #[doc(hidden)]
    fn peer(&self) -> Option<&[u8; 32]>;
    /// The protocol that both sides chose (RFC 7301).
    #[doc(hidden)]
    fn protocol(&self) -> Option<&[u8]>;
    /// A whole message after the handshake, while what the client says is protected with `client` at a server: whether it is
    /// one of those by which clients show who they are.
    #[cfg(feature = "post-handshake-authentication")]
    #[doc(hidden)]
    fn late(&mut self, message: Message<'_>, client: Option<&Secret>) -> Result<bool, Alert>;
    /// A server: whether part of a client's answer has come, in whose midst nothing else may.
    #[doc(hidden)]
    fn is_answered(&self) -> bool {
        false
    }
    /// A client: whether it was asked and has not answered.
    #[doc(hidden)]
    fn owes_answer(&self) -> bool {
        false
    }
    /// Answers.
    #[cfg(feature = "post-handshake-authentication")]
    #[doc(hidden)]
    fn answer<B: AsRef<[u8]> + AsMut<[u8]>>(&mut self, _: &mut Flight<'_, P, B>) -> Result<(), Alert> {
        Ok(())
    }
    /// A ChangeCipherSpec: the peer's next record is under these keys, if it means anything (RFC 5246 section 7.1).
    #[cfg(feature = "tls12")]
    #[doc(hidden)]
    fn change_cipher_spec(&mut self) -> Result<Option<Protection<P>>, Alert>;
    /// Whether a CertificateStatus may come behind the Certificate that is awaited (RFC 6066 section 8).
    #[cfg(feature = "tls12")]
    #[doc(hidden)]
    fn awaits_status(&self) -> bool {
        false
    }
    #[doc(hidden)]
    fn handle<B: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        message: Message<'_>,
        room: usize,
        out: &mut Flight<'_, P, B>,
    ) -> Result<Step<P>, Alert>;
}

/// Where a handshake puts what it sends.
pub struct Flight<'o, P: Provider, B>(pub(crate) &'o mut Outgoing<P, B>);

/// What [`Connection::process`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Event {
    /// Nothing until more bytes come.
    Idle,
    /// [`Connection::plaintext`] has more than before.
    Data,
    /// A server: [`Connection::early_data`] has more than before. Only where the configuration accepts it.
    EarlyData,
    /// The peer has closed its direction.
    Closed,
}

/// A TLS connection as a state machine: it knows no socket, no clock and no allocator.
///
/// Feed it with [`space`](Self::space) and [`received`](Self::received), turn it with
/// [`process`](Self::process), and send what [`output`](Self::output) has whenever it has something, after an
/// error too: the alert is in there. `B` are the caller's two buffers.
pub struct Connection<R, P: Provider, B: AsMut<[u8]>> {
    pub(crate) role: R,
    pub(crate) incoming: Incoming<B>,
    pub(crate) outgoing: Outgoing<P, B>,
    read: Option<Protection<P>>,
    /// Bytes of early data before the handshake's messages in what `incoming` holds opened.
    early: usize,
    opened: bool,
    started: bool,
    connected: bool,
    received_close: bool,
    sent_close: bool,
    failed: Option<Error>,
    late: [u8; 5],
    late_len: usize,
    late_skip: usize,
    idle_messages: u8,
}

enum Fault {
    Alert(Alert),
    Peer(Alert),
}

impl<T: Into<Alert>> From<T> for Fault {
    fn from(alert: T) -> Self {
        Self::Alert(alert.into())
    }
}

impl From<RecordOverflow> for Alert {
    fn from(_: RecordOverflow) -> Self {
        Self::RECORD_OVERFLOW
    }
}

impl<R: Role<P>, P: Provider, B: AsRef<[u8]> + AsMut<[u8]>> Connection<R, P, B> {
    pub(crate) const fn new(role: R, incoming: B, outgoing: B) -> Self {
        Self {
            role,
            incoming: Incoming::new(incoming),
            outgoing: Outgoing::new(outgoing),
            read: None,
            early: 0,
            opened: false,
            started: false,
            connected: false,
            received_close: false,
            sent_close: false,
            failed: None,
            late: [0; 5],
            late_len: 0,
            late_skip: 0,
            idle_messages: 0,
        }
    }

    /// A client has said hello before anything came.
    pub(crate) fn started(mut self) -> Self {
        self.started = true;
        self
    }

    /// Whether the handshake is done.
    pub const fn is_connected(&self) -> bool {
        self.connected
    }
    /// Whether both sides know what they agreed on: once connected, or when a server has accepted early data.
    pub(crate) fn is_agreed(&self) -> bool {
        self.connected || self.role.may_write()
    }
    /// The application protocol that both sides chose (RFC 7301), once connected or when a server has accepted early data.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.role.protocol().filter(|_| self.is_agreed())
    }
    /// Whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.is_agreed() && self.role.resumed()
    }
    /// Whether the server has accepted the client's early data: a server knows when it has heard the hello, a client
    /// when it is connected. What a client sent early and the server did not accept has reached nobody.
    pub fn early_data_accepted(&self) -> bool {
        self.is_agreed() && self.role.early_data_accepted()
    }
    /// SHA-256 of the SubjectPublicKeyInfo with which the peer has shown who it is, in this connection or in the
    /// one that is resumed; a client that resumes does not know. While a server has early data and no whole handshake it is
    /// whose session that is, and not yet who sends.
    pub fn peer(&self) -> Option<&[u8; 32]> {
        self.role.peer().filter(|_| self.is_agreed())
    }
    /// Room for bytes from the peer; empty when [`plaintext`](Self::plaintext) must be used up first.
    pub fn space(&mut self) -> &mut [u8] {
        self.incoming.space()
    }
    /// The peer's next `len` bytes are in [`space`](Self::space).
    pub fn received(&mut self, len: usize) {
        self.incoming.filled(len);
    }
    /// The peer's stream has ended.
    ///
    /// # Errors
    /// [`Error::Truncated`] when it did so without a close_notify.
    pub fn received_end(&mut self) -> Result<(), Error> {
        if self.received_close {
            return Ok(());
        }
        Err(*self.failed.get_or_insert(Error::Truncated))
    }
    /// The application's bytes that were opened and not yet [consumed](Self::consume).
    pub fn plaintext(&mut self) -> &mut [u8] {
        if self.connected { self.incoming.content_mut() } else { &mut [] }
    }
    /// A server, before the handshake is done: bytes that the client sent before it heard from us (0-RTT), opened and
    /// not yet [consumed](Self::consume); `EarlyData` says what they are worth. What is left of them when the
    /// handshake is done is [`plaintext`](Self::plaintext): then it is known that nobody has replayed it.
    pub fn early_data(&mut self) -> &mut [u8] {
        let early = self.early();
        self.incoming.content_mut().get_mut(..early).unwrap_or_default()
    }
    /// Bytes of early data in front of the handshake's messages.
    const fn early(&self) -> usize {
        if EARLY_DATA { self.early } else { 0 }
    }
    /// The first `len` bytes of [`plaintext`](Self::plaintext) or [`early_data`](Self::early_data) are used up.
    pub fn consume(&mut self, len: usize) {
        if self.connected {
            self.incoming.consume(len);
        } else {
            let len = len.min(self.early());
            self.early -= len;
            self.incoming.consume(len);
        }
    }
    /// What to send to the peer.
    pub fn output(&self) -> &[u8] {
        self.outgoing.pending()
    }
    /// The first `len` bytes of [`output`](Self::output) were sent.
    pub fn sent(&mut self, len: usize) {
        self.outgoing.sent(len);
    }
    /// Protects the front of `bytes` as one record; how many it took. 0 means that
    /// [`output`](Self::output) must be sent first, or that the handshake is not done; a server that accepts early data
    /// may write before, as its answer.
    ///
    /// # Errors
    /// The connection has failed, or was closed.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.check_open()?;
        if !self.is_agreed() {
            return Ok(0);
        }
        #[cfg(feature = "post-handshake-authentication")]
        self.answer().map_err(|alert| self.fail(alert))?;
        if self.role.owes_answer() {
            return Ok(0);
        }
        let written = self.outgoing.write(self.role.provider(), bytes);
        written.map_err(|alert| self.fail(alert))
    }
    /// Whether anything may still be sent.
    pub(crate) const fn check_open(&self) -> Result<(), Error> {
        match self.failed {
            Some(error) => Err(error),
            None if self.sent_close => Err(Error::Closed),
            None => Ok(()),
        }
    }
    /// Ends this side's direction with a close_notify; reading goes on.
    pub fn close(&mut self) {
        if !self.sent_close && self.failed.is_none() {
            self.sent_close = true;
            self.outgoing.alert(Alert::CLOSE_NOTIFY);
        }
    }

    /// Bytes of the two buffers.
    pub(crate) fn capacity(&self) -> [usize; 2] {
        [self.incoming.capacity(), self.outgoing.capacity()]
    }
    /// Gives memory back if nothing is under way, but for what the beginning of a record takes.
    pub(crate) fn rest(&mut self, len: usize)
    where
        B: Buffer,
    {
        if self.connected
            && self.outgoing.pending().is_empty()
            && let Some(incoming) = self.incoming.memory()
        {
            incoming.shrink(len);
            self.outgoing.memory().shrink(0);
        }
    }
    /// Has the memory of `capacity` again.
    pub(crate) fn wake(&mut self, [incoming, outgoing]: [usize; 2])
    where
        B: Buffer,
    {
        self.incoming.growing().grow(incoming);
        self.outgoing.memory().grow(outgoing);
    }

    pub(crate) fn fail(&mut self, alert: Alert) -> Error {
        if !self.sent_close {
            self.outgoing.alert(alert);
        }
        *self.failed.insert(Error::Sent(alert))
    }

    /// Works on what came until there is something for the application or nothing left to do. Call it after
    /// every [`received`](Self::received), and again after [`Event::Data`] and [`Event::EarlyData`].
    ///
    /// # Errors
    /// Why the connection failed; from then on always the same.
    pub fn process(&mut self) -> Result<Event, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.advance().map_err(|fault| match fault {
            Fault::Alert(alert) => self.fail(alert),
            Fault::Peer(alert) => *self.failed.insert(Error::Received(alert)),
        })
    }

    fn advance(&mut self) -> Result<Event, Fault> {
        loop {
            if self.received_close {
                return Ok(Event::Closed);
            }
            if !self.connected {
                self.messages()?;
                if EARLY_DATA && self.connected && core::mem::take(&mut self.early) > 0 {
                    return Ok(Event::Data);
                }
            }
            let Some((header, whole)) = self.incoming.next()? else { break };
            // Something that is no TLS at all is told at once, not after the length that it seems to announce.
            if !(ContentType::CHANGE_CIPHER_SPEC.0..=ContentType::APPLICATION_DATA.0)
                .contains(&header.content_type.0)
            {
                return Err(Alert::UNEXPECTED_MESSAGE.into());
            }
            if !whole {
                // A record must fit behind the part of a message that waits for it; data can be used up first.
                let waits = self.early() > 0 || self.connected && !self.incoming.content().is_empty();
                if !waits && self.incoming.fits(header.len).is_err() {
                    return Err(Alert::RECORD_OVERFLOW.into());
                }
                break;
            }
            match (header.content_type, &mut self.read) {
                //= https://www.rfc-editor.org/rfc/rfc8446#section-5
                //# An implementation may receive an unencrypted record of type
                //# change_cipher_spec consisting of the single byte value 0x01 at any
                //# time after the first ClientHello message has been sent or received
                //# and before the peer's Finished message has been received and MUST
                //# simply drop it without further processing.
                (ContentType::CHANGE_CIPHER_SPEC, _) => {
                    let one = self.incoming.record(header.len).get(RECORD_HEADER..) == Some(&[1]);
                    if !one || self.connected || !self.started {
                        return Err(Alert::UNEXPECTED_MESSAGE.into());
                    }
                    self.incoming.skip(header.len);
                    #[cfg(feature = "tls12")]
                    self.change_cipher_spec()?;
                }
                #[cfg(feature = "tls12")]
                (_, Some(keys)) if keys.is_tls12() => {
                    if self.open_tls12(header)? {
                        return Ok(Event::Data);
                    }
                }
                // A peer that could not make out our hello has no keys to protect its alert with.
                (ContentType::ALERT, keys) if keys.is_none() || !(self.opened || self.connected) => {
                    self.content(ContentType::ALERT, header.len, header.len)?;
                }
                (ContentType::HANDSHAKE, None) => {
                    self.content(ContentType::HANDSHAKE, header.len, header.len)?;
                }
                (ContentType::APPLICATION_DATA, None) if *self.role.early_data() > header.len => {
                    *self.role.early_data() -= header.len;
                    self.incoming.skip(header.len);
                }
                (ContentType::APPLICATION_DATA, Some(keys)) => {
                    match keys.open(self.incoming.record(header.len)) {
                        Ok((content_type, len)) => {
                            self.opened = true;
                            *self.role.early_data() = 0;
                            if self.content(content_type, header.len, len)? {
                                return Ok(if self.connected { Event::Data } else { Event::EarlyData });
                            }
                        }
                        Err(Alert::BAD_RECORD_MAC) if *self.role.early_data() > header.len => {
                            *self.role.early_data() -= header.len;
                            self.incoming.skip(header.len);
                        }
                        Err(alert) => return Err(alert.into()),
                    }
                }
                _ => return Err(Alert::UNEXPECTED_MESSAGE.into()),
            }
        }
        self.outgoing.refresh(self.role.provider())?;
        #[cfg(feature = "post-handshake-authentication")]
        self.answer()?;
        Ok(Event::Idle)
    }

    /// Takes the whole handshake messages that wait.
    fn messages(&mut self) -> Result<(), Fault> {
        while let Some(message) =
            Message::parse(self.incoming.content().get(self.early()..).unwrap_or_default())
        {
            #[cfg(feature = "tls12")]
            let message = match self.role.awaits_status() {
                true => tls12::with_status(message, self.incoming.content()),
                false => Some(message),
            };
            #[cfg(feature = "tls12")]
            let Some(message) = message else { break };
            let len = message.whole.len();
            let room = self.incoming.capacity();
            let step = self.role.handle(message, room, &mut Flight(&mut self.outgoing))?;
            self.started = true;
            self.incoming.cut(self.early(), len);
            let (keys, connected) = match step {
                Step::Continue => continue,
                Step::Keys(keys) => (Some(keys), false),
                Step::Connected(keys) => (Some(keys), true),
                #[cfg(feature = "tls12")]
                Step::Finished => (None, true),
            };
            //= https://www.rfc-editor.org/rfc/rfc8446#section-5.1
            //# Handshake messages MUST NOT span key changes.
            if self.incoming.content().len() > self.early() {
                return Err(Alert::UNEXPECTED_MESSAGE.into());
            }
            self.read = keys.or_else(|| self.read.take());
            if connected {
                self.connected = true;
                break;
            }
        }
        let announced = Message::announced(self.incoming.content().get(self.early()..).unwrap_or_default());
        let room = self.incoming.capacity().saturating_sub(self.early());
        if !self.connected && announced.is_some_and(|len| len + RECORD_HEADER > room) {
            return Err(Alert::ILLEGAL_PARAMETER.into());
        }
        Ok(())
    }

    /// The next record, of `record` bytes, was opened and holds `len` bytes of content; whether there are more data.
    fn content(&mut self, content_type: ContentType, record: usize, len: usize) -> Result<bool, Fault> {
        let interleaved = match self.connected {
            true => self.late_len > 0 || self.late_skip > 0 || self.role.is_answered(),
            false => self.incoming.content().len() > self.early(),
        };
        match content_type {
            //= https://www.rfc-editor.org/rfc/rfc8446#section-5.1
            //# Implementations MUST NOT send
            //# zero-length fragments of Handshake types, even if those fragments
            //# contain padding.
            ContentType::HANDSHAKE if len == 0 => Err(Alert::UNEXPECTED_MESSAGE.into()),
            ContentType::HANDSHAKE if self.connected => {
                let mut at = 0;
                while at < len {
                    #[cfg(feature = "tls12")]
                    if self.is_tls12() {
                        at = self.renegotiation(record, at, len)?;
                        continue;
                    }
                    #[cfg(feature = "post-handshake-authentication")]
                    if let Some(next) = self.authentication(record, at, len)? {
                        at = next;
                        continue;
                    }
                    self.whole_ticket(record, at, len)?;
                    at = self.late_message(record, at, len)?;
                }
                self.incoming.skip(record);
                Ok(false)
            }
            ContentType::HANDSHAKE => {
                self.incoming.keep(record, len);
                Ok(false)
            }
            ContentType::APPLICATION_DATA if self.connected && !interleaved => {
                if len > 0 {
                    self.idle_messages = 0;
                    self.incoming.keep(record, len);
                } else {
                    self.incoming.skip(record);
                }
                Ok(len > 0)
            }
            ContentType::APPLICATION_DATA if !self.connected && !interleaved => {
                self.role.take_early_data(len)?;
                match len {
                    0 => self.incoming.skip(record),
                    _ => self.incoming.keep(record, len),
                }
                self.early += len;
                Ok(len > 0)
            }
            ContentType::ALERT => {
                let alert = self.incoming.record(record).get(RECORD_HEADER..RECORD_HEADER + len);
                let Some(&[level, alert]) = alert else { return Err(Alert::DECODE_ERROR.into()) };
                self.incoming.skip(record);
                match Alert(alert) {
                    // Before the handshake is done there is nothing that could end.
                    Alert::CLOSE_NOTIFY if self.connected => self.received_close = true,
                    Alert::USER_CANCELED if self.idle_messages < MAX_IDLE_MESSAGES => self.idle_messages += 1,
                    _ if level == 1 && self.is_tls12() => self.count_message()?,
                    alert => return Err(Fault::Peer(alert)),
                }
                Ok(false)
            }
            _ => Err(Alert::UNEXPECTED_MESSAGE.into()),
        }
    }

    fn is_tls12(&self) -> bool {
        self.read.as_ref().is_some_and(Protection::is_tls12)
    }
    #[cfg(test)]
    pub(crate) fn wear(&mut self, sequence: u64) {
        if let Some(keys) = &mut self.read {
            keys.wear(sequence);
        }
    }
}
