//! An OpenFlow switch as a guest: its ports are further network interfaces, and the `ovs-ofctl` of this machine drives it.
use super::{Guest, configuration, guest, that, wait};
use crate::{
    failure::{Context, Result},
    ofctl::ofctl,
    workspace::Workspace,
    xen::{
        dom0::Dom0,
        kernel, linux,
        machine::{self, Forward, Machine},
        run,
    },
};
use std::{fs, path::Path};

/// Bytes of TCP from host to host.
const BULK: usize = 4 << 20;

/// Two hosts in dom0, the second in a network namespace of its own, at the backends of ports 1 and 2: without a flow nothing passes;
/// with flows pings and TCP do, whose large frames netback hands over as they are.
pub fn switches(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let port = run::free("tcp", 0).context("no free port")?;
    let words =
        format!("ipv4={0}/24 gateway=10.0.2.2 ports=1,2 listen={0}:6653 datapath=abc", machine::GUEST);
    let text = configuration("switch.elf", 32, &words, "destroy");
    let cards = "vif = ['bridge=xenbr0', 'bridge=none', 'bridge=none']\n";
    that(text.contains(kernel::NETWORK), || "the configuration has another network card".to_owned())?;
    let text = text.replace(kernel::NETWORK, cards);
    let peer = linux::peer()?;
    let files = [("switch.elf", elf.as_slice()), ("switch.cfg", text.as_bytes()), ("peer", &peer)];
    let forward = Forward { protocol: "tcp", here: port, there: 6653 };
    let mut machine = Machine::start(dom0, &files, &[], &[forward])?;
    let mut guest = guest(&mut machine);
    guest.start("switch")?;
    guest.says("listening for controllers")?;
    guest.machine.must(
        "id=$(xl domid guest); ip addr add 10.8.0.1/24 dev vif$id.1; ip link set vif$id.1 up; \
         { unshare -n sleep 1000 & echo $! >/tmp/other; } && usleep 300000; \
         ip link set vif$id.2 netns $(cat /tmp/other) && \
         nsenter -t $(cat /tmp/other) -n sh -c \"ip addr add 10.8.0.2/24 dev vif$id.2; ip link set vif$id.2 up\"",
    )?;
    let checked = passes(&mut guest, port);
    checked.map_err(|why| guest.with_console(&why))?;
    guest.machine.must("xl shutdown guest")?;
    let reason = guest.ended()?;
    that(reason == 0, || format!("xl shutdown ended the guest with reason {reason} and not 0"))
}

fn passes(guest: &mut Guest<'_>, port: u16) -> Result {
    let ofctl = |words: &[&str]| ofctl(port, words);
    let shown = ofctl(&["show"])?;
    that(shown.contains("dpid:0000000000000abc") && shown.contains(" 1(1): addr:"), || shown.clone())?;
    that(shown.contains(" 2(2): addr:") && !shown.contains("LINK_DOWN"), || shown.clone())?;
    let (status, said) = guest.machine.command("ping -c 1 -W 2 10.8.0.2")?;
    that(status != 0, || format!("without a flow a ping passes: {said}"))?;
    for flow in ["priority=9,in_port=1,actions=output:2", "priority=9,in_port=2,actions=output:1"] {
        ofctl(&["add-flow", flow])?;
    }
    // The kernel may still be waiting for the address that nobody told it before there were flows, and give up what waits with it.
    wait("a ping through the switch", || Ok(guest.machine.command("ping -c 1 -W 2 10.8.0.2")?.0 == 0))?;
    let ping = guest.machine.must("ping -c 3 -W 10 10.8.0.2")?;
    that(ping.contains(" 0% packet loss"), || ping.clone())?;
    let fetched = guest.machine.must(&format!(
        "mkdir /tmp/site; head -c {BULK} /dev/urandom >/tmp/site/bulk; \
         nsenter -t $(cat /tmp/other) -n httpd -h /tmp/site; \
         /job/peer fetch 10.8.0.2 bulk >/tmp/came; cmp /tmp/site/bulk /tmp/came && echo the same"
    ))?;
    that(fetched.contains("the same"), || fetched.clone())?;
    let ports = ofctl(&["dump-ports", "2"])?;
    let number = |name: &str| -> Option<u64> {
        ports.split_once(name)?.1.split([',', '\n']).next()?.trim().parse().ok()
    };
    let (packets, bytes) = number("rx pkts=").zip(number("bytes=")).context_with(|| ports.clone())?;
    println!("   port 2 took {packets} packets with {bytes} bytes");
    that(bytes / packets.max(1) > 1514, || format!("netback's frames are not coalesced: {ports}"))?;
    let flows = ofctl(&["dump-flows"])?;
    that(flows.matches("in_port=").count() == 2 && !flows.contains("n_packets=0,"), || flows.clone())
}
