//! The boot parameter `workers=`: threads that share the port (`SO_REUSEPORT`) and the zones, and nothing else.
use airglow::{
    device::Tcp,
    platform::{HostTcp, HostUdp, Reactor, SystemClock},
    runtime::{Either, block_on, for_each_connection, join, select, sleep},
};
use airglow_dns::{
    server::{Config, Key, Prefix, Server, Traffic, Zones},
    shell::{Limits, serve_stream, serve_udp},
    zone::Zone,
};
use std::{
    cell::RefCell,
    string::{String, ToString},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
    vec::Vec,
};

/// How often a worker looks whether there is another zone or secret, and says what it has done.
const TURN: Duration = Duration::from_millis(100);

/// What a worker is told.
#[derive(Clone)]
enum Order {
    Insert(Arc<Zone>),
    RotateCookieSecret([u8; 16]),
}

#[derive(Default)]
struct Desk {
    orders: Mutex<Vec<Order>>,
    traffic: Mutex<Option<Traffic>>,
    failed: Mutex<Option<String>>,
}

/// The threads that answer.
#[derive(Default)]
pub(crate) struct Workers(Vec<Arc<Desk>>);

impl Workers {
    /// Starts `count` threads; when this returns, all of them listen.
    pub(crate) fn start(count: usize, port: u16, zones: &Zones, config: &Config<'_>) -> Result<Self, String> {
        // The threads live as long as the process.
        let nsid: &[u8] = Vec::leak(config.nsid.to_vec());
        let allow: &[Prefix] = Vec::leak(config.allow.to_vec());
        let transfers: &[Prefix] = Vec::leak(config.transfers.to_vec());
        let keys: &[Key] = Vec::leak(config.keys.to_vec());
        let (udp_payload, precomputed) = (config.udp_payload, config.precomputed);
        let (cookies, rate_limit, idle) = (config.cookies, config.rate_limit, config.idle);
        let own = move || Config {
            nsid,
            allow,
            transfers,
            keys,
            notified: None,
            udp_payload,
            precomputed,
            cookies,
            rate_limit,
            idle,
        };
        let (ready, wait) = channel();
        let mut desks = Vec::new();
        for _ in 0..count {
            let desk = Arc::new(Desk::default());
            desks.push(desk.clone());
            let (zones, ready) = (zones.clone(), ready.clone());
            thread::spawn(move || {
                let failed = work(port, zones, own(), &desk, &ready);
                let _ = ready.send(Err(failed.clone()));
                *desk.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
            });
        }
        for _ in 0..count {
            wait.recv().map_err(|_| "a worker ended".to_string())??;
        }
        Ok(Self(desks))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn order(&self, order: &Order) {
        for desk in &self.0 {
            desk.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order.clone());
        }
    }

    pub(crate) fn insert(&self, zone: &Arc<Zone>) {
        self.order(&Order::Insert(zone.clone()));
    }

    pub(crate) fn rotate_cookie_secret(&self, secret: [u8; 16]) {
        self.order(&Order::RotateCookieSecret(secret));
    }

    /// What all of them have done.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        let mut all: Option<Traffic> = None;
        for desk in &self.0 {
            let own = desk.traffic.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match (&mut all, own) {
                (Some(all), Some(own)) => all.add(&own),
                (None, own) => all = own,
                _ => {}
            }
        }
        all
    }

    /// Why one of them has ended, if one has.
    pub(crate) fn failed(&self) -> Option<String> {
        self.0.iter().find_map(|desk| desk.failed.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Answers until that fails; says why.
fn work(
    port: u16,
    zones: Zones,
    config: Config<'static>,
    desk: &Desk,
    ready: &Sender<Result<(), String>>,
) -> String {
    let reactor = match Reactor::new() {
        Ok(reactor) => reactor,
        Err(error) => return error.to_string(),
    };
    let (tcp, udp) =
        (HostTcp::new(&reactor).with_reuse_port(true), HostUdp::new(&reactor).with_reuse_port(true));
    let server = RefCell::new(Server::new(zones, config));
    block_on(&reactor, async {
        let listener = match tcp.listen(port).await {
            Ok(listener) => listener,
            Err(error) => return format!("TCP port {port}: {error}"),
        };
        let limits = Limits::default();
        let streams = for_each_connection::<{ super::CONNECTIONS }, _>(&listener, &reactor, async |stream| {
            let _ = serve_stream(stream, &server, &reactor, &SystemClock, &limits).await;
        });
        let desk_work = async {
            let _ = ready.send(Ok(()));
            loop {
                sleep(&reactor, TURN).await;
                let orders =
                    core::mem::take(&mut *desk.orders.lock().unwrap_or_else(PoisonError::into_inner));
                for order in orders {
                    match order {
                        Order::Insert(zone) => drop(server.borrow_mut().insert(zone)),
                        Order::RotateCookieSecret(secret) => server.borrow_mut().rotate_cookie_secret(secret),
                    }
                }
                let traffic = server.borrow().traffic().clone();
                *desk.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Some(traffic);
            }
        };
        let datagrams = serve_udp(&udp, port, &server, &reactor, &SystemClock);
        match select(datagrams, join(streams, desk_work)).await {
            Either::Left(Ok(never)) => match never {},
            Either::Left(Err(error)) => format!("UDP port {port}: {error}"),
            Either::Right((never, ())) => match never {},
        }
    })
}
