//! The corpus of frames reaches what it is meant to reach: a corpus that the first check drops would test nothing.
use airglow_fuzz::{Host, Said, corpus};

fn said(name: &str) -> Said {
    let inputs = corpus::load("frames");
    let (_, input) =
        inputs.iter().find(|(file, _)| file == &format!("{name}.txt")).expect("the file is there");
    let mut host = Host::new(input[0] & 1 != 0);
    let before = host.said();
    host.replay(&input[1..]);
    let after = host.said();
    println!("{name}: {after:?}");
    Said { icmpv6: after.icmpv6 - before.icmpv6, ..after }
}

#[test]
fn the_corpus_is_answered() {
    assert_eq!(said("ping").icmpv4, 1, "an echo reply");
    assert_eq!(said("ping-unknown-neighbour").icmpv4, 1, "an echo reply, after ARP");
    assert_eq!(said("tcp-echo").tcp_payload, 5, "five bytes come back");
    assert!(said("tcp-options").tcp_payload >= 10, "both pieces come back, in order");
    assert!(said("tcp-retransmit").tcp_payload > 2 * 1400, "what is not acknowledged is sent again");
    assert!(said("tcp-active").tcp_payload >= 5, "the host's own connection says hello");
    assert!(said("tcp-zero-window").tcp_payload >= 1000, "what waited for the window");
    assert!(said("udp").udp >= 3, "both services answer");
    assert!(said("udp").icmpv4 >= 1, "a closed port is unreachable");
    let ipv6 = said("ipv6-neighbour");
    assert!(ipv6.icmpv6 >= 2 && ipv6.udp >= 1 && ipv6.tcp >= 1, "{ipv6:?}");
    assert!(said("ipv6-extensions").icmpv6 >= 3);
    assert!(said("dhcp").udp >= 1, "a discover");
}
