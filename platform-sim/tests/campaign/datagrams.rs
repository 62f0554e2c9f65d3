//! Questions and answers over UDP beside all else, in one packet or in fragments: an answer is what was asked, or there is none.
use crate::streams::byte;
use airglow_device::{Entropy, Platform, Udp, UdpSocket};
use airglow_platform_sim::Machine;
use airglow_runtime::{sleep, timeout};
use std::{cell::Cell, net::IpAddr, net::SocketAddr, time::Duration};

/// RFC 862.
const PORT: u16 = 7;
/// The longest question: three fragments.
const LONGEST: usize = 4000;
/// Questions of each host.
const QUESTIONS: u64 = 100;
/// How often the last one is asked, until there is an answer.
const TRIES: u64 = 200;

/// What became of the questions of all hosts.
#[derive(Debug, Default)]
pub struct Datagrams {
    pub asked: Cell<u64>,
    pub answered: Cell<u64>,
    /// Hosts whose last question, when all faults were over, was answered.
    pub last: Cell<u64>,
}

fn count(cell: &Cell<u64>, more: u64) {
    cell.set(cell.get() + more);
}

impl Datagrams {
    pub fn add(&self, more: &Self) {
        count(&self.asked, more.asked.get());
        count(&self.answered, more.answered.get());
        count(&self.last, more.last.get());
    }
}

/// Sends back what comes.
pub async fn echo(machine: &Machine<'_>) {
    let Ok(socket) = machine.udp().bind(PORT).await else { return };
    let mut buf = [0; LONGEST + 1];
    while let Ok((len, from)) = socket.recv_from(&mut buf).await {
        let _ = socket.send_to(&buf[..len], from).await;
    }
}

/// Asks the echo at `peer`, from the time of faults until after it.
pub async fn ask(machine: &Machine<'_>, peer: IpAddr, seen: &Datagrams) {
    let Ok(socket) = machine.udp().bind(0).await else { return };
    for number in 0..QUESTIONS {
        sleep(machine.timer(), Duration::from_millis(900)).await;
        question(machine, &socket, peer, number, seen).await;
    }
    sleep(machine.timer(), Duration::from_secs(60)).await;
    for number in QUESTIONS..QUESTIONS + TRIES {
        if question(machine, &socket, peer, number, seen).await {
            return count(&seen.last, 1);
        }
        sleep(machine.timer(), Duration::from_secs(5)).await;
    }
}

/// One question; whether its answer came.
async fn question<S: UdpSocket>(
    machine: &Machine<'_>,
    socket: &S,
    peer: IpAddr,
    number: u64,
    seen: &Datagrams,
) -> bool {
    let mut draw = [0; 2];
    machine.entropy().fill(&mut draw);
    // Three of four fit a packet.
    let longest = if draw[0].is_multiple_of(4) { LONGEST } else { 1000 };
    let len = 8 + usize::from(u16::from_be_bytes(draw)) % (longest - 8);
    let text = |number: u64, len: usize| {
        let body = (8..len as u64).map(|at| byte(number, 7, at));
        number.to_be_bytes().into_iter().chain(body).collect::<Vec<u8>>()
    };
    count(&seen.asked, 1);
    if socket.send_to(&text(number, len), SocketAddr::new(peer, PORT)).await.is_err() {
        return false;
    }
    let mut buf = [0; LONGEST + 1];
    let answer = timeout(machine.timer(), Duration::from_secs(2), async {
        while let Ok((got, from)) = socket.recv_from(&mut buf).await {
            // A host whose address has just gone, with its plug, answers from another.
            if from.ip().to_canonical() != peer {
                continue;
            }
            let named = buf[..got].first_chunk::<8>().map_or(u64::MAX, |octets| u64::from_be_bytes(*octets));
            assert!(named <= number, "an answer to a question that was not asked");
            assert_eq!(buf[..got], text(named, got), "the answer to question {named} is damaged");
            if named == number {
                assert_eq!(got, len, "the answer to question {named} is shorter than the question");
                return true;
            }
        }
        false
    });
    let answered = answer.await.unwrap_or(false);
    count(&seen.answered, answered.into());
    answered
}
