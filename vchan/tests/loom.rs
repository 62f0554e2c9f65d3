//! Every order in which two processors can see a channel's memory: RUSTFLAGS="--cfg loom" cargo test --release -p airglow-vchan --test loom
//!
//! No wake-up is lost: an end that finds nothing asks to be rung, and whoever changes that rings.
#![cfg(loom)]
use airglow_vchan::{Channel, Doorbell, Header, Role};
use loom::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64},
    },
    thread,
};
use std::task::Waker;

#[derive(Clone)]
struct Bell {
    mine: &'static (Mutex<bool>, Condvar),
    theirs: &'static (Mutex<bool>, Condvar),
}

impl Bell {
    fn wait(&self) {
        let (rung, changed) = self.mine;
        let mut rung = rung.lock().unwrap();
        while !*rung {
            rung = changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Doorbell for Bell {
    fn ring(&self) {
        let (rung, changed) = self.theirs;
        *rung.lock().unwrap() = true;
        changed.notify_one();
    }
    fn register(&self, _: &Waker) {}
}

struct Memory {
    header: Header,
    left: Vec<AtomicU64>,
    right: Vec<AtomicU64>,
}

fn memory() -> &'static Memory {
    let indices = || airglow_vchan::Indices { cons: AtomicU32::new(0), prod: AtomicU32::new(0) };
    Box::leak(Box::new(Memory {
        header: Header {
            left: indices(),
            right: indices(),
            left_order: AtomicU16::new(0),
            right_order: AtomicU16::new(0),
            cli_live: AtomicU8::new(2),
            srv_live: AtomicU8::new(1),
            cli_notify: AtomicU8::new(1),
            srv_notify: AtomicU8::new(0),
        },
        left: vec![AtomicU64::new(0)],
        right: vec![AtomicU64::new(0)],
    }))
}

fn bells() -> (Bell, Bell) {
    let bell =
        || -> &'static (Mutex<bool>, Condvar) { Box::leak(Box::new((Mutex::new(false), Condvar::new()))) };
    let (a, b) = (bell(), bell());
    (Bell { mine: a, theirs: b }, Bell { mine: b, theirs: a })
}

#[test]
fn twelve_bytes_through_a_ring_of_eight() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let memory = memory();
        let (server_bell, client_bell) = bells();
        let client = thread::spawn(move || {
            let bell = client_bell.clone();
            let mut client =
                Channel::new(&memory.header, Role::Client, &memory.left, &memory.right, client_bell);
            let mut rest: &[u8] = b"twelve bytes";
            while !rest.is_empty() {
                match client.try_write(rest).unwrap() {
                    0 => bell.wait(),
                    count => rest = &rest[count..],
                }
            }
            // Not closed: its last ring would cover a lost one.
            std::mem::forget(client);
        });
        let bell = server_bell.clone();
        let mut server = Channel::new(&memory.header, Role::Server, &memory.left, &memory.right, server_bell);
        let mut got: Vec<u8> = Vec::new();
        while got.len() < 12 {
            let mut buffer = [0; 8];
            match server.try_read(&mut buffer).unwrap() {
                0 => bell.wait(),
                count => got.extend(&buffer[..count]),
            }
        }
        assert_eq!(got, b"twelve bytes");
        client.join().unwrap();
        std::mem::forget(server);
    });
}
