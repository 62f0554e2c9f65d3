//! The clock of the embassy project's drivers: the platform's own, in microseconds.
use super::kernel::kernel;
use airglow_device::{Clock, Instant, Timer};
use core::{task::Waker, time::Duration};

struct Driver;

embassy_time_driver::time_driver_impl!(static DRIVER: Driver = Driver);

impl embassy_time_driver::Driver for Driver {
    fn now(&self) -> u64 {
        kernel().now().as_micros()
    }
    fn schedule_wake(&self, at: u64, waker: &Waker) {
        kernel().wake_at(Instant::ZERO + Duration::from_micros(at), waker);
    }
}

const _: () = assert!(embassy_time_driver::TICK_HZ == 1_000_000, "this clock counts microseconds");
