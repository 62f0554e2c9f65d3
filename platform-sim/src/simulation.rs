//! The whole: hosts, networks, one clock, one seed.
use crate::{Host, Recording, Segment, VirtualClock, host::Chassis};
use airglow_device::{Clock, Entropy, Instant, SeededEntropy};
use airglow_runtime::{TaskSet, sleep};
use std::{
    cell::{Cell, RefCell},
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Polls in one instant after which somebody is taken to wake himself for ever.
const TURNS: u64 = 10_000_000;
/// Virtual time after which a scenario is taken to have no end.
const LIMIT: Duration = Duration::from_secs(30 * 86_400);

/// Hosts and networks in one process, with a virtual clock.
///
/// All that is random follows from the seed, and all that happens follows from what is random: two runs of the same program with
/// the same seed are the same, byte for byte.
///
/// Nothing moves but in [`block_on`](Self::block_on) and [`run_for`](Self::run_for). `'a`: what applications may borrow.
pub struct Simulation<'a> {
    tasks: TaskSet<'a>,
    pub(crate) hosts: RefCell<Vec<Chassis<'a>>>,
    clock: VirtualClock,
    seed: u64,
    /// For cables and disks.
    own: SeededEntropy,
    /// For the scenario.
    entropy: SeededEntropy,
    recording: RefCell<Option<Recording>>,
    limit: Cell<Duration>,
}

impl<'a> Simulation<'a> {
    /// Nobody and nothing, at time zero.
    pub fn new(seed: u64) -> Self {
        Self {
            tasks: TaskSet::new(TaskSet::MAX),
            hosts: RefCell::default(),
            clock: VirtualClock::default(),
            seed,
            own: SeededEntropy::predictable(!seed),
            entropy: SeededEntropy::predictable(seed),
            recording: RefCell::default(),
            limit: Cell::new(LIMIT),
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }
    /// The clock of all hosts.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }
    /// The present instant.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }
    /// Random numbers for the scenario, which follow from the seed.
    pub fn entropy(&self) -> &SeededEntropy {
        &self.entropy
    }
    /// A random number below `bound` for the scenario; 0 when that is 0.
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.entropy.u64()) * u128::from(bound)) >> 64) as u64
    }
    /// A random number for what is built in.
    pub(crate) fn draw(&self) -> u64 {
        self.own.u64()
    }

    /// A new network that nobody is plugged into.
    pub fn segment(&self, name: &str) -> Segment {
        Segment::new(name)
    }

    /// A new host without cards, switched off. `words` are the boot parameters of its application.
    pub fn host<'s>(&'s self, name: &str, words: &str) -> Host<'s, 'a> {
        let mut hosts = self.hosts.borrow_mut();
        hosts.push(Chassis::new(name, words));
        Host::new(self, hosts.len() - 1)
    }

    /// Records what passes all cards that are plugged in from now on.
    pub fn record(&self) -> Recording {
        self.recording.borrow_mut().get_or_insert_default().clone()
    }
    pub(crate) fn record_to(&self, recording: Recording) {
        *self.recording.borrow_mut() = Some(recording);
    }
    pub(crate) fn recording(&self) -> Option<Recording> {
        self.recording.borrow().clone()
    }

    /// The virtual time after which [`block_on`](Self::block_on) gives up: 30 days at first.
    pub fn set_limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// Waits, in a scenario.
    pub async fn sleep(&self, time: Duration) {
        sleep(&self.clock, time).await;
    }

    /// A task beside the hosts, in the simulation's time.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'a) {
        // The set takes as many as there may be.
        let _ = self.tasks.spawn(task);
    }

    /// Lets `time` pass.
    pub fn run_for(&self, time: Duration) {
        self.block_on(self.sleep(time));
    }

    /// Lets time pass until `scenario` ends.
    ///
    /// # Panics
    /// When nothing will ever happen any more, when somebody wakes himself again and again without end, or when the scenario
    /// goes on beyond the limit.
    pub fn block_on<F: Future>(&self, scenario: F) -> F::Output {
        let (main, others) = (Flag::raised(), Flag::raised());
        let (main_waker, others_waker): (Waker, Waker) = (main.clone().into(), others.clone().into());
        let mut scenario = pin!(scenario);
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(
                turns < TURNS,
                "seed {}: at {:?} somebody wakes himself without end",
                self.seed,
                self.now()
            );
            if main.take()
                && let Poll::Ready(output) = scenario.as_mut().poll(&mut Context::from_waker(&main_waker))
            {
                return output;
            }
            if others.take() {
                let _ = self.tasks.poll_tasks(&mut Context::from_waker(&others_waker));
                continue;
            }
            if main.is_raised() {
                continue;
            }
            let Some(next) = self.clock.next() else {
                panic!("seed {}: at {:?} everybody waits for ever", self.seed, self.now());
            };
            let limit = self.limit.get();
            assert!(
                next <= Instant::ZERO + limit,
                "seed {}: the scenario has no end in {limit:?}",
                self.seed
            );
            if next > self.now() {
                turns = 0;
            }
            self.clock.jump(next);
        }
    }
}

struct Flag(AtomicBool);

impl Flag {
    fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Simulation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.seed)
            .field("now", &self.now())
            .field("hosts", &self.hosts.borrow().len())
            .finish_non_exhaustive()
    }
}
