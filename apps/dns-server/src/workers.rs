//! The boot parameter `workers=`: threads that share the port (`SO_REUSEPORT`) and the zones. The main thread changes
//! zones, and each worker takes a change before its next reply: who has heard of one finds it with all of them.
use super::{doorbell::Doorbell, letter::Letter, main_thread::MainThread};
use airglow::{
    device::{Tcp, Timer, Udp, UdpSocket},
    platform::{HostTcp, HostUdp, Reactor, SystemClock},
    runtime::{Either, TaskSet, block_on, for_each_connection, join, select, sleep, timeout},
};
use airglow_dns::{
    server::{Config, Key, Mirror, Origin, Prefix, Server, Traffic, Zones},
    shell::{Limits, Reply, answering, framed, serve_stream_by},
    wire::{Message, Name, Opcode, Rcode},
    zone::Zone,
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    string::{String, ToString},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    task::Poll,
    thread,
    time::Duration,
    vec,
    vec::Vec,
};

/// How often a worker that has nothing to answer looks whether it was told something, and all say what they have done.
const TURN: Duration = Duration::from_millis(100);
/// Bytes of the reply to an update.
const REPLY: usize = 4096;
/// How long a connection waits for the reply to an update; then it ends, and the client asks again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Updates in datagrams whose replies a worker waits for: more than the main thread takes. Beyond, clients ask again.
const UPDATES: usize = 512;

/// What a worker is told of a zone; the last counts.
#[derive(Clone)]
enum Order {
    Insert(Arc<Zone>),
    SetAbsent,
    Remove,
}

/// What waits for a worker.
#[derive(Default)]
struct Orders {
    zones: BTreeMap<Vec<u8>, Order>,
    cookie_secret: Option<[u8; 16]>,
}

#[derive(Default)]
struct Mailbox {
    orders: Mutex<Orders>,
    /// Whether there are any.
    waiting: AtomicBool,
    traffic: Mutex<Option<Traffic>>,
    failed: Mutex<Option<String>>,
}

impl core::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Mailbox").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Mailbox {
    fn order(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut orders);
        self.waiting.store(true, Ordering::Release);
    }

    /// Does what was ordered.
    fn obey(&self, server: &RefCell<Server<'_>>) {
        if !self.waiting.load(Ordering::Acquire) {
            return;
        }
        let mut waiting = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = core::mem::take(&mut *waiting);
        self.waiting.store(false, Ordering::Release);
        drop(waiting);
        let mut server = server.borrow_mut();
        for (apex, order) in orders.zones {
            let Ok(apex) = Name::parse(&apex) else { continue };
            match order {
                Order::Insert(zone) => drop(server.insert(zone)),
                Order::SetAbsent => drop(server.set_absent(apex)),
                Order::Remove => drop(server.remove(apex)),
            }
        }
        if let Some(secret) = orders.cookie_secret {
            server.rotate_cookie_secret(secret);
        }
    }
}

/// The threads that answer.
#[derive(Debug, Default)]
pub(crate) struct Workers(Vec<Arc<Mailbox>>);

impl Workers {
    /// Starts `count` threads; when this returns, all of them listen.
    pub(crate) fn start(
        count: usize,
        port: u16,
        zones: &Zones,
        config: &Config<'_>,
        main_thread: &Arc<MainThread>,
    ) -> Result<Self, String> {
        // The threads live as long as the process.
        let nsid: &[u8] = Vec::leak(config.nsid.to_vec());
        let allow: &[Prefix] = Vec::leak(config.allow.to_vec());
        let transfers: &[Prefix] = Vec::leak(config.transfers.to_vec());
        let keys: &[Key] = Vec::leak(config.keys.to_vec());
        let (udp_payload, stream_payload, precomputed) =
            (config.udp_payload, config.stream_payload, config.precomputed);
        let (cookies, rate_limit, idle) = (config.cookies, config.rate_limit, config.idle);
        let own = move || Config {
            nsid,
            allow,
            transfers,
            keys,
            notified: None,
            mirror: None,
            udp_payload,
            stream_payload,
            precomputed,
            cookies,
            rate_limit,
            idle,
        };
        let notified = config.notified.is_some();
        let (ready, wait) = channel();
        let mut mailboxes = Vec::new();
        for _ in 0..count {
            let mailbox = Arc::new(Mailbox::default());
            mailboxes.push(mailbox.clone());
            let (zones, ready, main_thread) = (zones.clone(), ready.clone(), main_thread.clone());
            let notified = notified.then_some(());
            thread::spawn(move || {
                let config = Config { notified: notified.map(|()| &*main_thread as _), ..own() };
                let failed = work(port, zones, config, &mailbox, &main_thread, &ready);
                let _ = ready.send(Err(failed.clone()));
                *mailbox.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
            });
        }
        for _ in 0..count {
            wait.recv().map_err(|_| "a worker ended".to_string())??;
        }
        Ok(Self(mailboxes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rotate_cookie_secret(&self, secret: [u8; 16]) {
        for mailbox in &self.0 {
            mailbox.order(|orders| orders.cookie_secret = Some(secret));
        }
    }

    fn order(&self, apex: Name<'_>, order: &Order) {
        for mailbox in &self.0 {
            let key = apex.as_bytes().to_ascii_lowercase();
            mailbox.order(|orders| drop(orders.zones.insert(key, order.clone())));
        }
    }

    /// What all of them have done.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        let mut all: Option<Traffic> = None;
        for mailbox in &self.0 {
            let own = mailbox.traffic.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match (&mut all, own) {
                (Some(all), Some(own)) => all.add(&own),
                (None, own) => all = own,
                _ => {}
            }
        }
        all
    }

    /// Waits until one of them ends, and says why.
    pub(crate) async fn watch(&self, timer: &impl Timer) -> Result<Infallible, String> {
        loop {
            sleep(timer, Duration::from_secs(1)).await;
            if let Some(failed) = self.failed() {
                return Err(failed);
            }
        }
    }

    fn failed(&self) -> Option<String> {
        self.0
            .iter()
            .find_map(|mailbox| mailbox.failed.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Mirror for Workers {
    fn insert(&self, zone: &Arc<Zone>) {
        self.order(zone.apex().name(), &Order::Insert(zone.clone()));
    }
    fn set_absent(&self, apex: Name<'_>) {
        self.order(apex, &Order::SetAbsent);
    }
    fn remove(&self, apex: Name<'_>) {
        self.order(apex, &Order::Remove);
    }
}

/// What becomes of an update.
enum Update {
    /// It is not signed as it must be: the reply.
    Refused(Vec<u8>),
    /// The main thread makes it: where its reply comes.
    Begun(Letter<Option<Vec<u8>>>),
    /// There is no reply.
    Dropped,
}

/// What becomes of `query` if that is an update.
fn update(
    server: &RefCell<Server<'_>>,
    main_thread: &MainThread,
    doorbell: &Arc<Doorbell>,
    origin: &Origin<'_>,
    query: &[u8],
) -> Option<Update> {
    let is_update = |message: Message<'_>| message.flags().opcode() == Opcode::UPDATE;
    if !main_thread.updates || !Message::new(query).is_ok_and(is_update) {
        return None;
    }
    let request = server.borrow_mut().update_request(origin, query)?;
    if request.signed_by().is_some() {
        return Some(main_thread.update(origin, query, doorbell).map_or(Update::Dropped, Update::Begun));
    }
    let mut reply = vec![0; REPLY];
    let length = server.borrow_mut().reply_to_update(request, Rcode::REFUSED, &mut reply);
    Some(length.map_or(Update::Dropped, |length| {
        reply.truncate(length);
        Update::Refused(reply)
    }))
}

/// Answers until that fails; says why.
fn work(
    port: u16,
    zones: Zones,
    config: Config<'_>,
    mailbox: &Mailbox,
    main_thread: &MainThread,
    ready: &Sender<Result<(), String>>,
) -> String {
    let reactor = match Reactor::new() {
        Ok(reactor) => reactor,
        Err(error) => return error.to_string(),
    };
    let (tcp, udp) =
        (HostTcp::new(&reactor).with_reuse_port(true), HostUdp::new(&reactor).with_reuse_port(true));
    let doorbell = match Doorbell::new() {
        Ok(doorbell) => Arc::new(doorbell),
        Err(error) => return error,
    };
    let server = RefCell::new(Server::new(zones, config));
    block_on(&reactor, async {
        let listener = match tcp.listen(port).await {
            Ok(listener) => listener,
            Err(error) => return format!("TCP port {port}: {error}"),
        };
        let query = if main_thread.updates { usize::from(u16::MAX) } else { Limits::default().query };
        let limits = Limits { query, ..Limits::default() };
        let respond = async |origin: &Origin<'_>, query: &[u8]| {
            mailbox.obey(&server);
            match update(&server, main_thread, &doorbell, origin, query) {
                Some(Update::Refused(reply)) => framed(&reply).map(Reply::Framed),
                Some(Update::Begun(letter)) => {
                    let reply = timeout(&reactor, PATIENCE, letter.read()).await.ok()???;
                    mailbox.obey(&server);
                    framed(&reply).map(Reply::Framed)
                }
                Some(Update::Dropped) => None,
                None => Reply::of(&server, origin, query),
            }
        };
        let streams =
            for_each_connection::<{ crate::service::CONNECTIONS }, _>(&listener, &reactor, async |stream| {
                let _ = serve_stream_by(stream, &respond, &reactor, &SystemClock, &limits).await;
            });
        let hearing = async {
            let _ = ready.send(Ok(()));
            loop {
                sleep(&reactor, TURN).await;
                mailbox.obey(&server);
                let traffic = server.borrow().traffic().clone();
                *mailbox.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Some(traffic);
            }
        };
        let socket = match udp.bind(port).await {
            Ok(socket) => socket,
            Err(error) => return format!("UDP port {port}: {error}"),
        };
        let (socket, server) = (&socket, &server);
        let updates = TaskSet::new(UPDATES);
        let respond = |peer: SocketAddr, origin: &Origin<'_>, query: &[u8], reply: &mut [u8]| {
            mailbox.obey(server);
            match update(server, main_thread, &doorbell, origin, query) {
                Some(Update::Refused(answer)) => {
                    reply.get_mut(..answer.len())?.copy_from_slice(&answer);
                    Some(answer.len())
                }
                // Others are answered meanwhile.
                Some(Update::Begun(letter)) => {
                    let _ = updates.spawn(async move {
                        if let Some(Some(reply)) = letter.read().await {
                            mailbox.obey(server);
                            let _ = socket.send_to(&reply, peer).await;
                        }
                    });
                    None
                }
                Some(Update::Dropped) => None,
                None => server.borrow_mut().respond_to(origin, query, reply),
            }
        };
        let datagrams = socket.respond(answering(server, respond, &reactor, &SystemClock));
        let updating = poll_fn(|cx| {
            let _ = updates.poll_tasks(cx);
            Poll::<Infallible>::Pending
        });
        let woken = doorbell.answer(&udp, async || {});
        let serving = select(select(datagrams, woken), join(join(streams, hearing), updating));
        match serving.await {
            Either::Left(Either::Left(Ok(never)) | Either::Right(Ok(never))) => match never {},
            Either::Left(Either::Left(Err(error))) => format!("UDP port {port}: {error}"),
            Either::Left(Either::Right(Err(error))) => error,
            Either::Right((never, _)) => match never.0 {},
        }
    })
}
