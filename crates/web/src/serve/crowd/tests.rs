//! Who stays, and who makes room.

use std::sync::mpsc;
use std::time::Duration;

use super::*;

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn enter(crowd: &Arc<Crowd>, address: IpAddr) -> Place {
    crowd.enter(address).expect("room")
}

fn gone(places: &[&Place]) -> Vec<bool> {
    places.iter().map(|place| place.is_dismissed()).collect()
}

#[test]
fn who_is_idle_for_longest_makes_room() {
    let crowd = Arc::new(Crowd::new(3, 0));
    let (one, two, three) = (enter(&crowd, A), enter(&crowd, A), enter(&crowd, A));
    two.is_busy();
    one.is_busy();
    one.is_idle();
    let _four = enter(&crowd, B);
    assert_eq!(gone(&[&one, &two, &three]), [false, false, true]);
    let _five = enter(&crowd, B);
    assert_eq!(gone(&[&one, &two, &three]), [true, false, true]);
}

#[test]
fn of_many_addresses_who_is_idle_for_longest_makes_room() {
    let crowd = Arc::new(Crowd::new(100, 0));
    let address = |number| IpAddr::from([10, 1, 0, number]);
    // Two of each.
    let mut places: Vec<_> = (0..100)
        .map(|number| enter(&crowd, address(number / 2)))
        .collect();
    for place in &places {
        place.is_busy();
    }
    assert!(crowd.enter(B).is_err(), "all are in use");
    for (number, place) in places.iter().enumerate().rev() {
        place.is_idle();
        place.is_idle();
        assert!(number > 0 || !place.is_dismissed());
    }
    for number in 0..50_u8 {
        let newcomer = enter(&crowd, address(100 + number));
        newcomer.is_busy();
        let last = places.pop().expect("one more");
        assert!(last.is_dismissed(), "{number}");
        assert!(places.iter().all(|place| !place.is_dismissed()), "{number}");
        std::mem::forget(newcomer);
    }
}

#[test]
fn those_in_use_stay() {
    let crowd = Arc::new(Crowd::new(2, 0));
    let (one, two) = (enter(&crowd, A), enter(&crowd, B));
    one.is_busy();
    two.is_busy();
    assert_eq!(crowd.enter(A).err(), Some(Over::All(2)));
    drop(one);
    let _three = enter(&crowd, A);
    assert!(!two.is_dismissed());
}

#[test]
fn room_is_made_by_who_has_most() {
    let crowd = Arc::new(Crowd::new(100, 0));
    let quiet = enter(&crowd, B);
    let mut many: Vec<_> = (0..99).map(|_| enter(&crowd, A)).collect();
    // One after the other, far more than there is room for.
    for _ in 0..500 {
        many.push(enter(&crowd, A));
    }
    assert!(!quiet.is_dismissed(), "it has but one");
    let left = many.iter().filter(|place| !place.is_dismissed()).count();
    assert_eq!(left, 99);
    many.clear();
    assert_eq!(crowd.line().count(), 1);
    assert_eq!(crowd.line().hosts(), (1, 0));
}

#[test]
fn an_address_may_have_so_many_and_its_own_make_room() {
    let crowd = Arc::new(Crowd::new(0, 2));
    let other = enter(&crowd, B);
    let (one, two) = (enter(&crowd, A), enter(&crowd, A));
    two.is_busy();
    // The same address, as an IPv6 socket shows it.
    let three = enter(&crowd, "::ffff:10.0.0.1".parse().expect("an address"));
    assert_eq!(gone(&[&other, &one, &two]), [false, true, false]);
    three.is_busy();
    assert_eq!(crowd.enter(A).err(), Some(Over::Address(2)));
    drop(one);
    assert_eq!(
        crowd.enter(A).err(),
        Some(Over::Address(2)),
        "it did not count"
    );
}

#[test]
fn half_an_address_of_ipv6_is_a_whole_one() {
    let crowd = Arc::new(Crowd::new(0, 2));
    let address = |text: &str| text.parse().expect("an address");
    let one = enter(&crowd, address("2001:db8::1"));
    let _two = enter(&crowd, address("2001:db8::ffff:2"));
    let _three = enter(&crowd, address("2001:db8::8000:0:0:3"));
    let _other = enter(&crowd, address("2001:db8:0:1::1"));
    assert!(one.is_dismissed());
}

#[test]
fn room_is_made_where_something_else_runs_out() {
    let crowd = Arc::new(Crowd::new(0, 0));
    assert!(!crowd.make_room(), "there is nobody");
    let (one, two) = (enter(&crowd, A), enter(&crowd, A));
    one.is_busy();
    assert!(crowd.make_room() && two.is_dismissed());
    assert!(!crowd.make_room() && !one.is_dismissed());
}

#[test]
fn who_was_dismissed_stands_nowhere() {
    let crowd = Arc::new(Crowd::new(1, 0));
    let one = enter(&crowd, A);
    let two = enter(&crowd, A);
    one.is_idle();
    one.is_busy();
    assert!(one.is_dismissed() && !two.is_dismissed());
    drop(one);
    let three = enter(&crowd, A);
    assert!(two.is_dismissed() && !three.is_dismissed());
    drop((two, three));
    assert!(crowd.line().is_empty());
}

#[test]
fn who_turns_busy_and_idle_with_each_request_takes_no_lock() {
    let crowd = Arc::new(Crowd::new(1, 0));
    let one = enter(&crowd, A);
    one.is_busy();
    let locked = crowd.line();
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in 0..1000 {
            one.is_idle();
            one.is_busy();
        }
        one.is_idle();
        drop(done.send(one));
    });
    let done = is_done.recv_timeout(Duration::from_secs(20));
    drop(locked);
    let one = done.expect("nobody waits for the lock");
    assert!(crowd.make_room() && one.is_dismissed());
}

#[test]
fn among_many_one_looks_now_and_then_who_is_idle_by_now() {
    let most = line::FEW + 1;
    let mut crowd = Crowd::new(most, 0);
    // So that all of it is within the time between two looks, however long it takes.
    let hours = Duration::from_secs(3600);
    crowd.begun = Instant::now() + hours;
    let crowd = Arc::new(crowd);
    let address = |number: usize| IpAddr::from((number as u32).to_be_bytes());
    let places: Vec<_> = (0..most)
        .map(|number| enter(&crowd, address(number)))
        .collect();
    places.iter().for_each(Place::is_busy);
    assert!(!crowd.make_room());
    let (early, late) = (&places[0], &places[1]);
    early.is_idle();
    assert!(!crowd.make_room(), "nobody has seen it yet");
    assert!(crowd.line().make_room(line::LOOK), "by then somebody has");
    assert!(early.is_dismissed());
    late.is_idle();
    late.is_busy();
    assert!(
        !crowd.line().make_room(line::LOOK * 2),
        "it is in use again"
    );
    assert!(!late.is_dismissed());
}

#[test]
fn who_stands_in_line_and_is_used_stays() {
    let crowd = Arc::new(Crowd::new(3, 0));
    let places = [A, A, A].map(|address| enter(&crowd, address));
    let [one, two, three] = &places;
    for place in &places {
        place.is_busy();
        place.is_idle();
    }
    // All of them get in line.
    let four = enter(&crowd, B);
    four.is_busy();
    two.is_busy();
    let five = enter(&crowd, B);
    five.is_busy();
    assert_eq!(gone(&[one, two, three]), [true, false, true]);
    assert!(crowd.enter(B).is_err());
    two.is_idle();
    let _six = enter(&crowd, B);
    assert!(two.is_dismissed());
}
