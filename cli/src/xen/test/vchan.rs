//! Channels between guests and dom0, and between guests.
use super::{Guest, configuration, guest, that};
use crate::{
    failure::{Context, Failure, Result},
    workspace::Workspace,
    xen::{
        dom0::Dom0,
        kernel,
        machine::{self, Machine},
    },
};
use std::{fs, path::Path};

/// Our vchan against Debian's `libxenvchan` in dom0 (`vchan-socket-proxy`, of the Xen project itself) as its client: with rings
/// inside the shared page and in pages of their own.
pub fn serves_libxenvchan(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let mut files = vec![("vchan.elf".to_owned(), elf)];
    for ring in [1024, 8192] {
        let words = format!("ipv4={}/24 serve=data/echo ring={ring}", machine::GUEST);
        files.push((
            format!("serve-{ring}.cfg"),
            configuration("vchan.elf", 32, &words, "destroy").into_bytes(),
        ));
    }
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let mut machine = Machine::start(dom0, &files, &[], &[])?;
    let mut guest = guest(&mut machine);

    for ring in [1024, 8192] {
        guest.start(&format!("serve-{ring}"))?;
        guest.says("offering data/echo")?;
        // The proxy reads from a pipe that stays open until everything is back.
        let lines = guest.machine.must(
            "cd /tmp; seq 1 4000 | sed 's/$/ the quick brown fox/' > sent; tr a-z A-Z < sent > expected; rm -f back; \
             { cat sent; n=0; while [ $(wc -c < back) -lt $(wc -c < sent) ] && [ $n -lt 600 ]; do n=$((n+1)); usleep 100000; done; } | \
             vchan-socket-proxy -m client $(xl domid guest) /local/domain/$(xl domid guest)/data/echo - > back; \
             cmp back expected && wc -c < back",
        );
        let lines = lines.map_err(|why| guest.with_console(&why))?;
        println!("   rings of {ring}: {} bytes from dom0 and back", lines.trim());
        let ended = guest.ended()?;
        let console = guest.console()?;
        that(ended == 0 && console.contains("the client is gone after"), || {
            format!("reason {ended}:\n{console}")
        })?;
    }
    Ok(())
}

/// The same with the roles exchanged: `vchan-socket-proxy` in dom0 offers the channel, and what comes out of it goes back in, in
/// capitals.
pub fn is_served_by_libxenvchan(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let words =
        format!("ipv4={}/24 connect=/local/domain/0/data/echo hear=hello bytes=60000", machine::GUEST);
    let client = configuration("vchan.elf", 32, &words, "destroy");
    let files = [("vchan.elf", elf.as_slice()), ("client.cfg", client.as_bytes())];
    let mut machine = Machine::start(dom0, &files, &[], &[])?;
    let mut guest = guest(&mut machine);
    guest.start("client")?;
    // The server exists after the guest, so that xenstore keeps its permission. A pipe that is opened for both lets nobody wait. The proxy
    // speaks first: it misses bytes that come together with the client, for it looks into the ring only when it is rung again.
    guest.machine.must(
        "cd /tmp; mkfifo echo; { exec 5<>echo; printf hello >&5; \
         vchan-socket-proxy -m server $(xl domid guest) /local/domain/0/data/echo - <&5 2>proxy.log | tr a-z A-Z >&5; } \
         >/dev/null 2>&1 &",
    )?;
    let ended = guest.ended();
    let (log, console) = (guest.machine.command("cat /tmp/proxy.log")?.1, guest.console()?);
    that(ended? == 0 && console.contains("60000 of 60000 bytes came back right"), || {
        format!("the guest:\n{console}\nthe proxy:\n{log}")
    })?;
    println!("   60000 bytes to dom0 and back");
    Ok(())
}

/// Two guests that have no network speak HTTP: the client asks over one channel and then over another, and looks at every byte.
pub fn carries_http(_: &Workspace, dom0: &Dom0, kernel: &Path) -> Result {
    let elf = fs::read(kernel).context(kernel.display())?;
    let names = ["server", "client"];
    let configurations = names.map(|name| {
        let words = if name == "client" { "role=client requests=30" } else { "role=server" };
        kernel::xl(name, "/job/web.elf", 16, words, "", "destroy").replace(kernel::NETWORK, "")
    });
    let files = [
        ("web.elf", elf.as_slice()),
        ("server.cfg", configurations[0].as_bytes()),
        ("client.cfg", configurations[1].as_bytes()),
    ];
    let mut machine = Machine::start(dom0, &files, &[], &[])?;
    for (name, other) in [("server", "client"), ("client", "server")] {
        Guest { machine: &mut machine, name }.start(name)?;
        if machine.command(&format!("xl domid {other}"))?.0 == 0 {
            machine.must(
                "s=$(xl domid server) c=$(xl domid client); xenstore-write /local/domain/$s/data/peer $c /local/domain/$c/data/peer $s",
            )?;
        }
    }
    let mut client = Guest { machine: &mut machine, name: "client" };
    let ended = client.ended()?;
    let console = client.console()?;
    let right = "31 answers, 1000900 bytes, all right";
    let lines: Vec<_> = console.lines().filter(|line| line.contains(right)).collect();
    for line in &lines {
        println!("   {}", line.split_once("two_domains: ").map_or(*line, |(_, text)| text.trim()));
    }
    let mut server = Guest { machine: &mut machine, name: "server" };
    that(ended == 0 && lines.len() == 2, || {
        let why = Failure::new(format!("the client ended with reason {ended}:\n{console}"));
        server.with_console(&why).to_string()
    })?;
    for words in [&*console, &*server.console()?] {
        that(words.contains("no network interface"), || format!("there is a network:\n{words}"))?;
    }
    server.machine.must("xl shutdown server")?;
    let reason = server.ended()?;
    that(reason == 0, || format!("xl shutdown ended the server with reason {reason}"))
}
