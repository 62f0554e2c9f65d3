//! Ten thousand sleepers, a pool and a timeout on one thread: `cargo run --example sleepers -p airglow-runtime`.
use airglow_device::Clock;
use airglow_runtime::{TaskSet, ThreadPark, block_on, join, pool, sleep, timeout};
use std::{cell::Cell, time::Duration};

fn main() {
    let platform = ThreadPark::new();
    let echoes = Cell::new(0);
    let echo = async |delay: u64| {
        sleep(&platform, Duration::from_millis(delay)).await;
        echoes.set(echoes.get() + 1);
    };
    let tasks = TaskSet::new(10_000);
    for n in 0..10_000 {
        assert!(tasks.spawn(echo(n % 100)).is_ok(), "the set is not full");
    }
    let all = join(&tasks, pool::<10, _>(async |n| echo(n as u64 * 10).await));
    let in_time = block_on(&platform, timeout(&platform, Duration::from_secs(5), all)).is_ok();
    println!("{} echoes in {:?}, in time: {in_time}", echoes.get(), platform.now());
}
