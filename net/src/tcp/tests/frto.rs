//! Tables of packets for F-RTO (RFC 5682 sections 2.1 and 3.1): the host has no timestamps, and its timer expires.
use super::{
    loss::{MS, established_with},
    packets::Table,
};
use crate::tcp::{Config, Handle};

/// Twelve segments are written, ten or eleven are in flight, and the timer has expired: the first one was sent again.
fn timed_out(sack: bool) -> (Table, Handle, u32) {
    let (mut table, handle) = established_with(Config::default(), sack);
    table.acknowledge(0, &[]);
    assert_eq!(table.write(handle, 14).len(), 10, "the initial window");
    let mut sent = Vec::new();
    while table.host.stats().timeouts == 0 {
        let packets = table.wait(10 * MS);
        sent.extend(table.numbers(&packets));
    }
    assert_eq!(sent.pop(), Some(0), "the first segment again");
    // Before that a tail loss probe, where there is one.
    let next = 10 + sent.len() as u32;
    assert_eq!(sent, Vec::from_iter(10..next));
    (table, handle, next)
}

#[test]
fn two_acknowledgments_of_what_was_sent_once_take_the_timeout_back() {
    for sack in [false, true] {
        let (mut table, handle, next) = timed_out(sack);
        let before = table.info(handle).retransmitted;
        // The acknowledgment of the first segment was only late: new data goes out and nothing again.
        assert_eq!(table.acknowledge(1, &[]), [next, next + 1], "sack {sack}");
        assert_eq!(table.wait(5 * MS), []);
        assert_eq!(table.info(handle).undone, 0);
        // So was that of the second.
        let more = table.acknowledge(2, &[]);
        assert!(more.iter().all(|n| *n >= next + 2), "sack {sack}: {more:?}");
        let info = table.info(handle);
        assert_eq!((info.undone, info.recovering, info.retransmitted), (1, false, before), "sack {sack}");
        assert!(info.congestion_window >= 10_000, "as it was: {info:?}");
        assert_eq!(info.slow_start_threshold, u32::MAX, "sack {sack}");
        table.acknowledge(14, &[]);
        assert_eq!(table.info(handle).retransmitted, before, "nothing was sent again");
    }
}

#[test]
fn a_selective_acknowledgment_of_what_was_sent_once_does_it_too() {
    let (mut table, handle, next) = timed_out(true);
    assert_eq!(table.acknowledge(1, &[]), [next, next + 1]);
    table.acknowledge(1, &[(2, 3)]);
    let info = table.info(handle);
    assert_eq!((info.undone, info.recovering), (1, false));
}

#[test]
fn an_answer_to_the_new_data_alone_means_that_the_rest_is_lost() {
    for sack in [false, true] {
        let (mut table, handle, next) = timed_out(sack);
        assert_eq!(table.acknowledge(1, &[]), [next, next + 1]);
        // The new data has arrived, and nothing between.
        let blocks: &[(u32, u32)] = if sack { &[(next, next + 1)] } else { &[] };
        let again = table.acknowledge(1, blocks);
        assert_eq!(again.first(), Some(&1), "sack {sack}: the ordinary recovery goes on");
        let info = table.info(handle);
        assert_eq!(info.undone, 0);
        assert!(info.recovering && info.congestion_window <= 3000, "{info:?}");
    }
}

#[test]
fn without_new_data_or_after_a_second_timeout_recovery_is_the_ordinary_one() {
    for sack in [false, true] {
        // All is written and in flight.
        let (mut table, handle) = established_with(Config::default(), sack);
        table.acknowledge(0, &[]);
        assert_eq!(table.write(handle, 6).len(), 6);
        while table.host.stats().timeouts == 0 {
            table.wait(10 * MS);
        }
        let again = table.acknowledge(1, &[]);
        assert_eq!(again, [1, 2], "sack {sack}");

        let (mut table, handle, _) = timed_out(sack);
        while table.host.stats().timeouts == 1 {
            table.wait(10 * MS);
        }
        let again = table.acknowledge(1, &[]);
        assert_eq!(again, [1, 2], "sack {sack}: believed");
        assert_eq!(table.info(handle).undone, 0);
    }
}

#[test]
fn an_acknowledgment_of_everything_is_the_end_of_it() {
    for sack in [false, true] {
        let (mut table, handle, next) = timed_out(sack);
        let new = table.acknowledge(next, &[]);
        assert_eq!(new.first(), Some(&next), "sack {sack}");
        table.acknowledge(14, &[]);
        assert_eq!(table.info(handle).undone, 0, "sack {sack}: nothing tells");
    }
}
