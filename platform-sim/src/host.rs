//! Hosts: built, switched on, cut off, switched off, and on again.
use crate::{Cable, Disk, Machine, SLOTS, Segment, SimStack, Simulation, VirtualClock};
use airglow_device::{Caps, Entropy, Impairments, MacAddr, Parameters, RamDisk, SeededEntropy};
use airglow_net::{
    InterfaceConfig, IpCidr, Limits, RouteEntry, Stack,
    tcp::{Config, Heap, HeapLimits},
};
use airglow_runtime::{TaskSet, refuse_unknown};
use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write as _},
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// How an application ends, its error in words.
pub type Outcome = Result<(), String>;

/// A host of a [`Simulation`]: a name, cards, disks and an application, and a power switch.
///
/// Whoever holds it may keep any number of copies. Cards, routes and limits count from the next time it is switched on.
#[derive(Clone, Copy)]
pub struct Host<'s, 'a> {
    simulation: &'s Simulation<'a>,
    index: usize,
}

/// All that stays when the power goes.
pub(crate) struct Chassis<'a> {
    name: Rc<str>,
    words: Rc<str>,
    cards: Vec<Card>,
    routes: Vec<(IpCidr, IpAddr)>,
    forwarding: bool,
    disks: Vec<Disk>,
    tcp: Config,
    limits: HeapLimits,
    boots: u64,
    application: Option<Rc<dyn Fn(Boot) -> Life<'a> + 'a>>,
    power: Option<Rc<Power<'a>>>,
    running: Rc<Running>,
}

#[derive(Clone)]
struct Card {
    cable: Cable,
    caps: Caps,
    config: InterfaceConfig,
}

type Life<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A host that is on; without the future it is being switched off.
struct Power<'a> {
    life: RefCell<Option<Life<'a>>>,
    off: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// What can be seen of a host from outside.
#[derive(Default)]
pub(crate) struct Running {
    stack: RefCell<Option<Rc<SimStack>>>,
    outcome: RefCell<Option<Outcome>>,
    waiters: RefCell<Vec<Waker>>,
    trace: RefCell<String>,
}

impl<'a> Chassis<'a> {
    pub(crate) fn new(name: &str, words: &str) -> Self {
        Self {
            name: name.into(),
            words: format!("net=sim {words}").into(),
            cards: Vec::new(),
            routes: Vec::new(),
            forwarding: false,
            disks: Vec::new(),
            tcp: Config::default(),
            limits: HeapLimits::default(),
            boots: 0,
            application: None,
            power: None,
            running: Rc::default(),
        }
    }
}

impl<'s, 'a> Host<'s, 'a> {
    pub(crate) fn new(simulation: &'s Simulation<'a>, index: usize) -> Self {
        Self { simulation, index }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Chassis<'a>) -> R) -> R {
        f(&mut self.simulation.hosts.borrow_mut()[self.index])
    }

    /// The name.
    pub fn name(&self) -> Rc<str> {
        self.with(|host| Rc::clone(&host.name))
    }

    /// Builds in a card and plugs it into `segment`. `words` are addresses, as every platform's boot parameters have them (`ipv4=10.0.0.2/24
    /// gateway=10.0.0.1`, `dhcp`, `ipv6=fd00::2/64`, ...), what the cable does to frames, as in [`Impairments`] (`delay=20ms loss=2% rate=100mbit`;
    /// each direction draws numbers of its own), and these:
    ///
    /// | word | meaning |
    /// |---|---|
    /// | `card-mtu=1500` | what the card takes; `mtu=` is the cable's, which swallows what is larger without a word |
    /// | `offload=on` | the card does checksums and cuts large segments; they are cut before they are on the cable |
    ///
    /// # Panics
    /// When a word is wrong, or the host has eight cards already.
    pub fn plug(&self, segment: &Segment, words: &str) -> Cable {
        let wrong = |error: airglow_device::ParameterError<'_>| -> ! { panic!("{}: {error}", self.name()) };
        let parameters = Parameters::new(words);
        let config = InterfaceConfig::from_parameters(&parameters).unwrap_or_else(|e| wrong(e));
        let mut impairments = Impairments::read(&parameters).unwrap_or_else(|e| wrong(e));
        let mtu = parameters.get("card-mtu", "a number of bytes, as in 1500").unwrap_or_else(|e| wrong(e));
        let offload = parameters.switch("offload").unwrap_or_else(|e| wrong(e)).unwrap_or(false);
        if let Some(word) = parameters.unknown() {
            panic!("{}: a cable or a card knows no `{word}`", self.name());
        }
        if parameters.text("seed").is_none() {
            impairments.seed = self.simulation.draw();
        }
        let mut caps = Caps::new(mtu.unwrap_or(1500));
        if offload {
            caps = caps.with_checksums(true, true).with_tso(65_000, 65_000);
        }
        let (cable, clock) = self.with(|host| {
            assert!(host.cards.len() < SLOTS, "{} has {SLOTS} cards already", host.name);
            let [high, low] = (self.index as u16).to_be_bytes();
            let mac = MacAddr([2, 0, 0, high, low, host.cards.len() as u8 + 1]);
            let cable = Cable::new(format!("{}/{}", host.name, segment.name()), mac, impairments);
            host.cards.push(Card { cable: cable.clone(), caps, config });
            (cable, self.simulation.clock().clone())
        });
        let plain = Caps::new(caps.mtu);
        let far = segment.ethernet().join(cable.mac(), plain);
        if let Some(recording) = self.simulation.recording() {
            self.simulation.spawn(recording.observe(&cable, plain, clock.clone()));
        }
        let near = cable.near().join(MacAddr([2, 0, 0, 0, 0, 0xfe]), plain).promiscuous();
        self.simulation.spawn(cable.clone().relay(clock, near, far));
        cable
    }

    /// Packets to `network` go over the router at `gateway`, which is in the network of one of the cards.
    ///
    /// # Panics
    /// When one of the two is not what it should be.
    pub fn route(&self, network: &str, gateway: &str) -> Self {
        let route = network.parse().ok().zip(gateway.parse().ok());
        let route = route.unwrap_or_else(|| {
            panic!("a route is `10.0.2.0/24` over `10.0.1.1`, not {network} over {gateway}")
        });
        self.with(|host| host.routes.push(route));
        *self
    }

    /// The host is a router: it forwards packets between its cards.
    pub fn forwarding(&self) -> Self {
        self.with(|host| host.forwarding = true);
        *self
    }

    /// TCP's times and choices on this host.
    pub fn tcp_config(&self, config: Config) -> Self {
        self.with(|host| host.tcp = config);
        *self
    }
    /// The bounds of TCP's memory on this host.
    pub fn tcp_limits(&self, limits: HeapLimits) -> Self {
        self.with(|host| host.limits = limits);
        *self
    }

    /// Builds in a disk. The application finds it as [`Machine::disk`], by the order in which disks were built in.
    pub fn disk(&self, disk: RamDisk) -> Disk {
        let disk = Disk::new(disk);
        self.with(|host| host.disks.push(disk.clone()));
        disk
    }

    /// Installs `application` and switches the host on. It starts anew whenever the host is switched on again. When it ends the host
    /// stays on and goes on delivering what was written; [`ended`](Self::ended) tells how it ended.
    ///
    /// The application reads its boot parameters before it first waits; words that nobody has asked for by then are refused.
    pub fn run<A>(&self, application: A) -> Self
    where
        A: AsyncFn(&Machine<'_>) -> Outcome + 'a,
    {
        let application = Rc::new(application);
        let boot = move |boot: Boot| -> Life<'a> {
            let application = Rc::clone(&application);
            Box::pin(async move { boot.live(&*application).await })
        };
        self.with(|host| host.application = Some(Rc::new(boot)));
        self.power_off();
        self.power_on();
        *self
    }

    /// A host that does nothing but answer pings and, if it is [`forwarding`](Self::forwarding), forward.
    pub fn idle(&self) -> Self {
        self.run(async |_| Ok(()))
    }

    /// It is on.
    pub fn is_on(&self) -> bool {
        self.with(|host| host.power.is_some())
    }

    /// Pulls the power: the host is gone in this instant, without a word to anybody. Of what was written to its disks and not flushed each
    /// sector is there or not, as the seed decides.
    pub fn power_off(&self) {
        let Some(power) = self.with(|host| host.power.take()) else { return };
        power.off.set(true);
        // One that switches itself off is still being polled: then its task does it.
        if let Ok(mut life) = power.life.try_borrow_mut() {
            drop(life.take());
        }
        if let Some(waker) = power.waker.take() {
            waker.wake();
        }
        let (running, disks) = self.with(|host| (Rc::clone(&host.running), host.disks.clone()));
        drop(running.stack.take());
        running.waiters.borrow_mut().drain(..).for_each(Waker::wake);
        for disk in disks {
            let seed = self.simulation.draw();
            disk.with(|disk| disk.crash(seed));
        }
    }

    /// Switches the host on: its application starts, with the disks as they are. Nothing happens if it is on.
    ///
    /// # Panics
    /// When no application was installed with [`run`](Self::run), or an address does not fit.
    pub fn power_on(&self) {
        if self.is_on() {
            return;
        }
        let clock = self.simulation.clock().clone();
        let seed = self.simulation.seed();
        let power = self.with(|host| {
            let mix = (self.index as u64) << 32 | host.boots;
            let entropy = SeededEntropy::predictable(SeededEntropy::predictable(seed).u64() ^ mix);
            host.running = Rc::default();
            let boot = Boot {
                name: Rc::clone(&host.name),
                words: Rc::clone(&host.words),
                cards: host.cards.clone(),
                routes: host.routes.clone(),
                forwarding: host.forwarding,
                disks: host.disks.clone(),
                tcp: host.tcp,
                limits: host.limits,
                boots: host.boots,
                entropy,
                clock,
                running: Rc::clone(&host.running),
            };
            host.boots += 1;
            let Some(application) = &host.application else { panic!("{} has no application", host.name) };
            let life = RefCell::new(Some(application(boot)));
            let power = Rc::new(Power { life, off: Cell::new(false), waker: RefCell::new(None) });
            host.power = Some(Rc::clone(&power));
            power
        });
        self.simulation.spawn(poll_fn(move |cx| power.poll(cx)));
    }

    /// Off and on again.
    pub fn reboot(&self) {
        self.power_off();
        self.power_on();
    }

    /// How the application ended; `None` while it runs.
    pub fn outcome(&self) -> Option<Outcome> {
        self.with(|host| host.running.outcome.borrow().clone())
    }

    /// Waits until the application has ended, and says how. If the host is switched off before, that is an error.
    pub async fn ended(&self) -> Outcome {
        let running = self.with(|host| Rc::clone(&host.running));
        poll_fn(|cx| {
            if let Some(outcome) = &*running.outcome.borrow() {
                return Poll::Ready(outcome.clone());
            }
            if !self.is_on() || !Rc::ptr_eq(&running, &self.with(|host| Rc::clone(&host.running))) {
                return Poll::Ready(Err(format!("{}: switched off", self.name())));
            }
            running.waiters.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Calls `f` with the host's stack, to look at its counters; `None` when the host is off.
    pub fn with_stack<R>(&self, f: impl FnOnce(&SimStack) -> R) -> Option<R> {
        let stack = self.with(|host| host.running.stack.borrow().clone())?;
        Some(f(&stack))
    }

    /// What was traced of its connections ([`set_trace`](airglow_net::socket::tcp::Stream::set_trace)) since it was switched on, one sample a
    /// line: what `cargo airglow trace` draws.
    pub fn trace(&self) -> String {
        self.with(|host| host.running.trace.borrow().clone())
    }
}

impl Power<'_> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.off.get() {
            drop(self.life.take());
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        let polled = self.life.borrow_mut().as_mut().map_or(Poll::Ready(()), |life| life.as_mut().poll(cx));
        if self.off.get() {
            drop(self.life.take());
            return Poll::Ready(());
        }
        polled
    }
}

/// What a host has when it is switched on.
struct Boot {
    name: Rc<str>,
    words: Rc<str>,
    cards: Vec<Card>,
    routes: Vec<(IpCidr, IpAddr)>,
    forwarding: bool,
    disks: Vec<Disk>,
    tcp: Config,
    limits: HeapLimits,
    boots: u64,
    entropy: SeededEntropy,
    clock: VirtualClock,
    running: Rc<Running>,
}

impl Boot {
    fn stack(&self) -> SimStack {
        let devices = self.cards.iter().map(|card| card.cable.card(card.caps));
        let (limits, storage) = (Limits::default(), Heap::new(self.limits));
        let stack =
            Stack::with_tcp_config(devices, self.clock.clone(), &self.entropy, limits, storage, self.tcp);
        for (number, card) in self.cards.iter().enumerate() {
            if let Err(error) = stack.configure(number, &card.config) {
                panic!("{}: {error}", card.cable.name());
            }
        }
        for (network, gateway) in &self.routes {
            let reaches = |card: &Card| {
                let v4 = card.config.ipv4.is_some_and(|v4| IpCidr::from(v4.address).contains(*gateway));
                v4 || card.config.ipv6.is_some_and(|v6| IpCidr::from(v6.address).contains(*gateway))
            };
            let Some(interface) = self.cards.iter().position(reaches) else {
                panic!("{}: no card is in the network of the router {gateway}", self.name);
            };
            if let Err(error) = stack.add_route(RouteEntry::new(*network, *gateway, interface)) {
                panic!("{}: {error}", self.name);
            }
        }
        stack.set_forwarding(self.forwarding);
        stack
    }

    /// The stack and the application side by side, for ever.
    async fn live(self, application: &impl AsyncFn(&Machine<'_>) -> Outcome) {
        let stack = Rc::new(self.stack());
        *self.running.stack.borrow_mut() = Some(Rc::clone(&stack));
        let entropy = SeededEntropy::predictable(self.entropy.u64());
        let machine = Machine {
            name: &self.name,
            stack,
            clock: self.clock.clone(),
            entropy,
            parameters: Parameters::new(&self.words),
            disks: &self.disks,
            boots: self.boots,
        };
        machine.parameters.text("net");
        let tasks = TaskSet::new(2);
        let _ = tasks.spawn(drive(&machine.stack, &self.running.trace));
        let _ = tasks.spawn(async {
            let outcome = refuse_unknown(application(&machine), &machine.parameters).await;
            *self.running.outcome.borrow_mut() = Some(outcome);
            self.running.waiters.borrow_mut().drain(..).for_each(Waker::wake);
        });
        (&tasks).await;
    }
}

/// The stack's task; what its traces have is written down in every turn.
async fn drive(stack: &SimStack, trace: &RefCell<String>) {
    let mut run = pin!(stack.run());
    poll_fn(|cx| {
        let _ = run.as_mut().poll(cx).map(|never| match never {});
        while let Some(sample) = stack.next_sample() {
            // Writing to a string does not fail.
            let _ = writeln!(trace.borrow_mut(), "{sample}");
        }
        Poll::Pending
    })
    .await
}

impl fmt::Debug for Host<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.name()).field("on", &self.is_on()).finish()
    }
}
