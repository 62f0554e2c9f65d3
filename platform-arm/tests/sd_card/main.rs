//! SD cards: the driver against a model of the card, in all kinds and with what can go wrong.
mod card;

use airglow_device::{BlockDevice, Clock, Instant};
use airglow_platform_arm::storage::{
    sd::{SdCard, SdError},
    seed,
};
use card::{Card, Kind, Slot};
use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Time goes on when it is asked for.
#[derive(Default)]
struct Ticking(Cell<u64>);
impl Clock for Ticking {
    fn now(&self) -> Instant {
        self.0.set(self.0.get() + 20_000);
        Instant::from_nanos(self.0.get())
    }
}

type Driver = SdCard<Slot, Slot, Ticking, fn(&mut Slot, u32)>;

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn insert(card: Card) -> (Rc<RefCell<Card>>, Result<Driver, SdError>) {
    let card = Rc::new(RefCell::new(card));
    let slot = || Slot(card.clone());
    let speed: fn(&mut Slot, u32) = |slot, hertz| slot.0.borrow_mut().hertz = hertz;
    let driver = run(SdCard::start(slot(), slot(), Ticking::default(), speed));
    (card, driver)
}

const KINDS: [Kind; 3] = [Kind::Old, Kind::Standard, Kind::High];
const SECTORS: usize = 1024;

#[test]
fn every_kind_reads_and_writes() {
    for kind in KINDS {
        let (card, driver) = insert(Card::new(kind, SECTORS));
        let mut driver = driver.unwrap();
        let info = driver.info();
        assert_eq!(
            (info.sector_size, info.sectors, info.read_only),
            (512, SECTORS as u64, false),
            "{kind:?}"
        );
        assert_eq!(card.borrow().hertz, 25_000_000);
        let mut whole = vec![0; SECTORS * 512];
        run(driver.read(0, &mut whole)).unwrap();
        assert!(whole == card.borrow().memory, "{kind:?}");
        let (one, many) = (vec![0xa5; 512], (0..7 * 512).map(|at| (at / 3) as u8).collect::<Vec<u8>>());
        run(driver.write(SECTORS as u64 - 1, &one)).unwrap();
        run(driver.write(100, &many)).unwrap();
        run(driver.flush()).unwrap();
        whole[(SECTORS - 1) * 512..].copy_from_slice(&one);
        whole[100 * 512..107 * 512].copy_from_slice(&many);
        assert!(whole == card.borrow().memory, "{kind:?}: just these sectors");
        let mut back = vec![0; 512];
        run(driver.read(106, &mut back)).unwrap();
        assert_eq!(back, many[6 * 512..]);
        assert_eq!(driver.retries(), 0);
        let starts = card.borrow().commands.iter().filter(|&&index| index == 0).count();
        assert_eq!(starts, 1, "{kind:?} was started once");
    }
}

#[test]
fn what_is_damaged_on_the_way_is_sent_again() {
    for kind in KINDS {
        let mut card = Card::new(kind, SECTORS);
        card.faults.damage_blocks = 5;
        card.faults.damage_commands = 7;
        let (card, driver) = insert(card);
        let mut driver = driver.unwrap();
        let content: Vec<u8> = (0..64 * 512).map(|at| (at * 7 + at / 509) as u8).collect();
        run(driver.write(10, &content)).unwrap();
        assert!(card.borrow().memory[10 * 512..][..content.len()] == content);
        let mut back = vec![0; content.len()];
        run(driver.read(10, &mut back)).unwrap();
        assert!(back == content && driver.retries() > 20, "{} retries", driver.retries());
        // A wire that damages everything.
        card.borrow_mut().faults.damage_blocks = 1;
        assert_eq!(run(driver.read(10, &mut back)), Err(SdError::Damaged));
        assert_eq!(run(driver.write(10, &content)), Err(SdError::Damaged));
        card.borrow_mut().faults.damage_blocks = 0;
        run(driver.read(10, &mut back)).unwrap();
        assert!(back == content);
    }
}

#[test]
fn bad_sectors_and_a_card_that_hangs_are_errors_and_it_goes_on() {
    for kind in KINDS {
        let mut card = Card::new(kind, SECTORS);
        (card.faults.unreadable, card.faults.unwritable) = (Some(40), Some(50));
        let (card, driver) = insert(card);
        let mut driver = driver.unwrap();
        let mut buf = vec![0; 4 * 512];
        assert_eq!(run(driver.read(40, &mut buf[..512])), Err(SdError::Sector(0x04)));
        assert_eq!(run(driver.read(38, &mut buf)), Err(SdError::Sector(0x04)));
        assert_eq!(run(driver.write(50, &buf[..512])), Err(SdError::Sector(0xed)));
        assert_eq!(run(driver.write(48, &buf)), Err(SdError::Sector(0xed)));
        run(driver.read(41, &mut buf)).unwrap();
        assert!(buf == card.borrow().memory[41 * 512..45 * 512]);
        card.borrow_mut().faults.stuck = true;
        assert_eq!(run(driver.write(60, &buf[..512])), Err(SdError::Timeout));
        card.borrow_mut().faults.stuck = false;
        run(driver.write(60, &buf[..512])).unwrap();
        assert!(buf[..512] == card.borrow().memory[60 * 512..61 * 512]);
    }
}

#[test]
fn a_card_is_taken_out_put_back_and_exchanged() {
    let mut card = Card::new(Kind::High, SECTORS);
    card.faults.gone_after = Some(20);
    let (card, driver) = insert(card);
    let mut driver = driver.unwrap();
    let mut buf = vec![0; 64 * 512];
    assert!(matches!(run(driver.read(0, &mut buf)), Err(SdError::Timeout | SdError::Absent)));
    assert_eq!(run(driver.read(0, &mut buf)), Err(SdError::Absent));
    // The same card, without power meanwhile.
    *card.borrow_mut() = Card::new(Kind::High, SECTORS);
    run(driver.read(0, &mut buf)).unwrap();
    assert!(buf == card.borrow().memory[..buf.len()]);
    // Another one: what lies on it is not what its user thinks.
    *card.borrow_mut() = Card::new(Kind::High, SECTORS);
    card.borrow_mut().serial = 8;
    assert!(run(driver.read(0, &mut buf)).is_err());
    assert_eq!(run(driver.write(0, &buf)), Err(SdError::Exchanged));
}

#[test]
fn a_transfer_that_is_broken_off_does_no_harm() {
    for several in [1, 9] {
        for polls in 1..60 {
            let (card, driver) = insert(Card::new(Kind::Standard, 32));
            let mut driver = driver.unwrap();
            let new = vec![0x77; several * 512];
            let before = card.borrow().memory.clone();
            {
                let mut write = pin!(driver.write(5, &new));
                for _ in 0..polls {
                    if write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                        break;
                    }
                }
            }
            let mut back = vec![0; 32 * 512];
            run(driver.read(0, &mut back)).unwrap();
            assert!(back == card.borrow().memory);
            for (number, (now, old)) in back.chunks(512).zip(before.chunks(512)).enumerate() {
                let part = (5..5 + several).contains(&number) && now == &new[..512];
                assert!(now == old || part, "sector {number} after {polls} polls");
            }
            run(driver.write(5, &new)).unwrap();
            assert!(card.borrow().memory[5 * 512..][..new.len()] == new);
        }
    }
}

#[test]
fn what_does_not_fit_and_who_is_no_card() {
    let mut card = Card::new(Kind::High, SECTORS);
    card.read_only = true;
    let (_, driver) = insert(card);
    let mut driver = driver.unwrap();
    assert!(driver.info().read_only);
    assert_eq!(run(driver.write(0, &[0; 512])), Err(SdError::ReadOnly));
    assert_eq!(run(driver.read(0, &mut [0; 100])), Err(SdError::Unaligned));
    assert_eq!(run(driver.read(SECTORS as u64 - 1, &mut [0; 1024])), Err(SdError::OutOfRange));
    assert_eq!(run(driver.read(u64::MAX, &mut [0; 512])), Err(SdError::OutOfRange));
    assert_eq!(run(driver.discard(u64::MAX, 2)), Err(SdError::OutOfRange));
    let mut absent = Card::new(Kind::High, SECTORS);
    absent.gone = true;
    assert_eq!(insert(absent).1.err(), Some(SdError::Absent));
    assert!(matches!(
        insert(Card::new(Kind::Mmc, SECTORS)).1.err(),
        Some(SdError::Refused(_) | SdError::Unusable)
    ));
}

#[test]
fn a_seed_is_kept_on_it() {
    let (_, driver) = insert(Card::new(Kind::High, SECTORS));
    let mut driver = driver.unwrap();
    run(driver.write(0, &[0; 1024])).unwrap();
    let mut buffer = [0; 512];
    let mut seeds = Vec::new();
    for _ in 0..5 {
        seeds.push(run(seed::renew(&mut driver, [0, 1], &[9; 32], b"stir", &mut buffer)).unwrap());
    }
    seeds.sort();
    seeds.dedup();
    assert_eq!(seeds.len(), 5);
}
