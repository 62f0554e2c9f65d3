//! Hosts that get their addresses from a DHCP server (RFC 2131), while lines are cut and hosts and the server restart: no two have the same
//! address at a time, and in the end each has one and can be asked.
use crate::datagrams::{self, Datagrams};
use airglow_device::{Clock, Instant, MacAddr, Platform, Udp, UdpSocket};
use airglow_net::{
    Origin,
    wire::dhcpv4::{MessageType, Repr},
};
use airglow_platform_sim::{Cable, Host, Machine, Outcome, seeds};
use airglow_runtime::TaskSet;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// So short that partitions outlast it.
const LEASE: u32 = 30;

/// Who has which address, and until when: what the server has on its disk.
type Leases = RefCell<BTreeMap<u8, (MacAddr, Instant)>>;

/// A server with addresses 10.0.0.100 and on, `pool` of them.
async fn serve(machine: &Machine<'_>, pool: u8, leases: &Leases) -> Outcome {
    let socket = machine.udp().bind(67).await.map_err(|e| e.to_string())?;
    let mut buf = [0; 1500];
    loop {
        let (len, from) = socket.recv_from(&mut buf).await.map_err(|e| e.to_string())?;
        let Ok(message) = Repr::parse(&buf[..len]) else { continue };
        let Some(answer) = decide(&message, machine.timer().now(), pool, leases) else { continue };
        let mut bytes = vec![0; answer.len()];
        answer.emit(&mut bytes).map_err(|e| e.to_string())?;
        let to = if message.ciaddr.is_unspecified() { Ipv4Addr::BROADCAST } else { message.ciaddr };
        let _ = socket.send_to(&bytes, SocketAddr::new(to.into(), from.port())).await;
    }
}

fn decide(message: &Repr<'_>, now: Instant, pool: u8, leases: &Leases) -> Option<Repr<'static>> {
    let mut leases = leases.borrow_mut();
    let (mac, name) = (message.chaddr, |number: u8| Ipv4Addr::new(10, 0, 0, number));
    let own = leases.iter().find(|(_, (holder, _))| *holder == mac).map(|(number, _)| *number);
    let free = |number: &u8| leases.get(number).is_none_or(|(_, until)| *until <= now);
    let reply = |kind, address: Ipv4Addr| Repr {
        yiaddr: address,
        server_id: Some(SERVER),
        lease_time: Some(LEASE),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        ..Repr::client(kind, message.xid, mac)
    };
    match message.message_type {
        MessageType::Discover => {
            let number = own.or_else(|| (100..100 + pool).find(free))?;
            Some(reply(MessageType::Offer, name(number)))
        }
        MessageType::Request => {
            if message.server_id.is_some_and(|server| server != SERVER) {
                return None;
            }
            let wanted = message.requested_ip.unwrap_or(message.ciaddr);
            let number = wanted.octets()[3];
            let in_pool = wanted == name(number) && (100..100 + pool).contains(&number);
            if !in_pool || (own != Some(number) && !free(&number)) {
                return Some(reply(MessageType::Nak, Ipv4Addr::UNSPECIFIED));
            }
            leases.retain(|_, (holder, _)| *holder != mac);
            leases.insert(number, (mac, now + Duration::from_secs(LEASE.into())));
            Some(reply(MessageType::Ack, wanted))
        }
        MessageType::Decline => {
            // Somebody has it who should not.
            let number = message.requested_ip?.octets()[3];
            leases.insert(number, (MacAddr([0; 6]), now + Duration::from_secs(LEASE.into())));
            None
        }
        MessageType::Release => {
            leases.retain(|_, (holder, _)| *holder != mac);
            None
        }
        _ => None,
    }
}

/// The address that a host has from the server and uses.
fn leased(host: &Host<'_, '_>) -> Option<IpAddr> {
    host.with_stack(|stack| {
        let mut found = None;
        stack.with_addresses(|a| {
            if a.origin == Origin::Dhcp && a.is_usable() {
                found = Some(a.cidr.addr);
            }
        });
        found
    })
    .flatten()
}

#[test]
fn no_two_hosts_have_the_same_address_and_each_gets_one() {
    let (changes, all) = (Cell::new(0), Datagrams::default());
    seeds("leases", 1..=12, |run| {
        let (leases, datagrams) = (Leases::default(), Datagrams::default());
        let simulation = run.simulation();
        let below = |bound: u64| simulation.below(bound);
        let lan = simulation.segment("lan");
        let count = 2 + below(4) as u8;
        // Sometimes there are fewer addresses than hosts: one waits until another's lease is over.
        let pool = count - below(2) as u8;
        let mut hosts: Vec<Host<'_, '_>> = Vec::new();
        let mut cables: Vec<Cable> = Vec::new();
        let server = simulation.host("server", "");
        cables.push(server.plug(&lan, "ipv4=10.0.0.1/24 ipv6=off"));
        let kept = &leases;
        server.run(async move |machine: &Machine<'_>| {
            let tasks = TaskSet::new(2);
            let _ = tasks.spawn(datagrams::echo(machine));
            let _ = tasks.spawn(async {
                let _ = serve(machine, pool, kept).await;
            });
            (&tasks).await;
            Ok(())
        });
        for number in 0..count {
            let host = simulation.host(&format!("host-{number}"), "");
            let (delay, loss, again) = (below(30), below(10), below(10));
            let words =
                format!("dhcp=on ipv6=off delay={delay}ms jitter=5ms loss={loss}% duplicate={again}%");
            cables.push(host.plug(&lan, &words));
            let seen = &datagrams;
            host.run(async move |machine: &Machine<'_>| {
                machine.stack().wait_address().await;
                datagrams::ask(machine, SERVER.into(), seen).await;
                Ok(())
            });
            hosts.push(host);
        }
        let mut before: Vec<Option<IpAddr>> = vec![None; hosts.len()];
        let mut cut: Vec<(usize, u64)> = Vec::new();
        // A host without its plug is on no network.
        let unplugged: Vec<Cell<bool>> = cables.iter().map(|_| Cell::new(false)).collect();
        let check = |before: &mut Vec<Option<IpAddr>>| {
            let on = |number: usize| !unplugged[number + 1].get();
            let now: Vec<_> =
                hosts.iter().enumerate().map(|(i, host)| leased(host).filter(|_| on(i))).collect();
            for (at, address) in now.iter().enumerate().filter(|(_, address)| address.is_some()) {
                let other = now.iter().skip(at + 1).position(|other| other == address);
                assert_eq!(other, None, "two hosts have {address:?} at {:?}: {now:?}", simulation.now());
            }
            changes.set(changes.get() + now.iter().zip(&*before).filter(|(a, b)| a != b).count());
            *before = now;
        };
        // Faults for five minutes, ten leases long.
        for tenth in 0..3000_u64 {
            cut.retain(|(cable, until)| {
                let on = tenth < *until;
                if !on {
                    cables[*cable].mend();
                    cables[*cable].plug();
                    unplugged[*cable].set(false);
                }
                on
            });
            match below(400) {
                0 => {
                    let cable = below(cables.len() as u64) as usize;
                    if below(2) == 0 {
                        cables[cable].cut();
                    } else {
                        cables[cable].unplug();
                        unplugged[cable].set(true);
                    }
                    cut.push((cable, tenth + 1 + below(600)));
                }
                1 => hosts[below(hosts.len() as u64) as usize].reboot(),
                2 if below(2) == 0 => server.reboot(),
                _ => {}
            }
            simulation.run_for(Duration::from_millis(100));
            check(&mut before);
        }
        for (cable, _) in cut {
            cables[cable].mend();
            cables[cable].plug();
            unplugged[cable].set(false);
        }
        // Whoever can have an address has one soon: a lease runs out, a search backs off to a minute.
        let mut least = 0;
        for _ in 0..240 {
            simulation.run_for(Duration::from_secs(1));
            check(&mut before);
            least = least.max(before.iter().flatten().count());
        }
        assert_eq!(least, usize::from(pool.min(count)), "{before:?} of {pool}, {:?}", leases.borrow());
        all.add(&datagrams);
    });
    println!(
        "{} addresses given or lost, {} of {} datagrams answered",
        changes.get(),
        all.answered.get(),
        all.asked.get()
    );
}
