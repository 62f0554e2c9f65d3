//! A fixed number of futures side by side, without an allocator.
use crate::{
    sync::{AtomicUsize, Ordering, constructor, table},
    waker::{ParentWaker, Wake, element, integer_waker},
};
use core::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

/// Children in one group: the bits of a word.
const GROUP: usize = usize::BITS as usize;
/// Groups that all pools of a program share: 8,192 children in 5 KiB on 64 bits, 512 children in 320 bytes on 32.
const GROUPS: usize = if usize::BITS >= 64 { 128 } else { 16 };
/// Where the lease's number starts in a waker's number; below it stands which child.
const LEASE_SHIFT: u32 = 16;

/// Up to [`GROUP`] children of one pool: who was woken, and whom to tell.
///
/// Groups are static, so that a child's waker can be a number and outlive its pool. A waker from an earlier lease is
/// recognised by the lease's number; if that has wrapped around, it wakes a child that had not asked, which is harmless.
struct Group {
    /// Odd while the group is leased; counts up with every lease and every return.
    lease: AtomicUsize,
    woken: AtomicUsize,
    parent: ParentWaker,
}

impl Group {
    constructor! {
        /// A group that nobody has leased.
        fn new() -> Self {
            Self { lease: AtomicUsize::new(0), woken: AtomicUsize::new(0), parent: ParentWaker::new() }
        }
    }
}

table! { fn table() -> &'static [Group; GROUPS] }

impl Group {
    fn claim(&self) -> bool {
        let lease = self.lease.load(Ordering::Relaxed);
        lease.is_multiple_of(2)
            && self
                .lease
                .compare_exchange(lease, lease.wrapping_add(1), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }
    fn release(&self) {
        self.parent.close();
        self.lease.fetch_add(1, Ordering::AcqRel);
    }
}

/// The wakers of a pool's children.
enum Child {}

impl Wake for Child {
    fn wake(number: usize) {
        let child = number & ((1 << LEASE_SHIFT) - 1);
        let Some(group) = table().get(child / GROUP) else { return };
        if (group.lease.load(Ordering::Acquire) ^ (number >> LEASE_SHIFT)) << LEASE_SHIFT != 0 {
            return; // The pool is gone.
        }
        // Who set the first bit tells the parent, for all that follow until the pool has looked.
        if group.woken.fetch_or(1 << (child % GROUP), Ordering::AcqRel) == 0 {
            group.parent.wake();
        }
    }
}

/// A run of groups that belongs to one pool until it is dropped.
struct Lease {
    first: usize,
    groups: &'static [Group],
}

impl Lease {
    /// Groups for `children`, none of them woken; `None` when there is no such run left.
    fn new(children: usize) -> Option<Self> {
        let count = children.div_ceil(GROUP);
        for (first, groups) in table().windows(count.max(1)).enumerate() {
            match groups.iter().position(|group| !group.claim()) {
                None => {
                    for group in groups {
                        group.woken.store(0, Ordering::Relaxed);
                    }
                    return Some(Self { first, groups });
                }
                Some(taken) => groups.iter().take(taken).for_each(Group::release),
            }
        }
        None
    }

    /// The waker of `child`.
    fn waker(&self, child: usize) -> core::task::Waker {
        let lease = self.groups.get(child / GROUP).map_or(0, |group| group.lease.load(Ordering::Relaxed));
        integer_waker::<Child>(lease << LEASE_SHIFT | (self.first * GROUP + child))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.groups.iter().for_each(Group::release);
    }
}

/// Makes a child in its place. In a frame of its own: a child may be large, and what made it must not lie on the stack for as long
/// as the pool runs.
#[inline(never)]
fn start<F>(mut child: Pin<&mut Option<F>>, make: impl FnOnce() -> F) {
    child.set(Some(make()));
}

/// Runs the `N` futures `make(0)`, `make(1)`, ... side by side until all have ended, without an allocator: a server with
/// `N` connections.
///
/// Each has its own waker and is polled only when it was woken (and once at the start); one that has ended is
/// dropped at once. The memory of all `N` is part of this future.
///
/// All pools of a program together have wakers for 8,192 futures (512 where a pointer has 32 bits), handed out by the 64 (32). A
/// pool that finds none left works all the same, but polls all of its futures whenever one is woken.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use airglow_runtime::{block_on, pool, yield_now, ThreadPark};
/// use core::cell::Cell;
///
/// let done = Cell::new(0);
/// block_on(&ThreadPark::new(), pool::<8, _>(async |index| {
///     for _ in 0..index { yield_now().await }
///     done.set(done.get() + 1);
/// }));
/// assert_eq!(done.get(), 8);
/// # }
/// ```
pub async fn pool<const N: usize, F: Future<Output = ()>>(mut make: impl FnMut(usize) -> F) {
    // Dropped in reverse: the children before their wakers.
    let lease = Lease::new(N);
    // Made one by one where they stay: the array as a whole never lies on the stack.
    let mut children = pin!([const { None::<F> }; N]);
    for index in 0..N {
        if let Some(child) = element(children.as_mut(), index) {
            start(child, || make(index));
        }
    }
    let mut live = N;
    let mut started = false;
    poll_fn(|cx| {
        let mut poll_child = |index: usize, cx: &mut Context<'_>| {
            let Some(mut child) = element(children.as_mut(), index) else { return };
            if child.as_mut().as_pin_mut().is_some_and(|future| future.poll(cx).is_ready()) {
                child.set(None);
                live -= 1;
            }
        };
        match &lease {
            Some(lease) => {
                for (number, group) in lease.groups.iter().enumerate() {
                    // First the parent, then the bits: a child that is woken in between is not missed.
                    group.parent.register(cx.waker());
                    let mut woken = group.woken.swap(0, Ordering::AcqRel);
                    if !started {
                        woken = usize::MAX;
                    }
                    while woken != 0 {
                        let child = number * GROUP + woken.trailing_zeros() as usize;
                        woken &= woken - 1;
                        if child < N {
                            poll_child(child, &mut Context::from_waker(&lease.waker(child)));
                        }
                    }
                }
            }
            None => (0..N).for_each(|index| poll_child(index, cx)),
        }
        started = true;
        if live == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
