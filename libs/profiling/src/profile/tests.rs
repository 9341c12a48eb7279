use std::time::{Duration, UNIX_EPOCH};

use super::{Kind, Names, Stacks, Unit, build};

fn stacks() -> Stacks {
    let kind = Kind::new("threads", Unit::Count);
    let mut stacks = Stacks::new(&[kind], UNIX_EPOCH + Duration::from_nanos(7));
    stacks.period = Some((kind, 3));
    stacks
}

#[test]
fn strings_locations_and_functions_are_written_once() {
    let mut stacks = stacks();
    let address = stacks_address();
    stacks.push_of("worker".to_owned(), [address, 5].into(), &[1]);
    stacks.push_of("worker".to_owned(), [address].into(), &[2]);
    let names = stacks.names();
    let profile = build(stacks, &names);
    let text = |number: i64| profile.string_table[number as usize].as_str();

    assert_eq!(text(0), "");
    assert_eq!(profile.time_nanos, 7);
    assert_eq!(
        (text(profile.sample_type[0].r#type), profile.period),
        ("threads", 3)
    );
    assert_eq!(profile.location.len(), 3);
    assert_eq!(profile.function.len(), 2);
    assert_eq!(profile.sample[0].location_id, [1, 2, 3]);
    assert_eq!(profile.sample[1].location_id, [1, 3]);
    let functions: Vec<_> = profile.function.iter().map(|f| text(f.name)).collect();
    assert_eq!(
        functions,
        [
            "trilby_profiling::profile::tests::stacks_address",
            "thread worker"
        ]
    );
    assert_eq!(profile.location[0].mapping_id, 1);
    assert_eq!(profile.location[1].mapping_id, 0);
    assert_eq!(text(profile.sample[0].label[0].str), "worker");
    let mut strings = profile.string_table.clone();
    strings.sort();
    strings.dedup();
    assert_eq!(strings.len(), profile.string_table.len());
}

#[inline(never)]
fn stacks_address() -> usize {
    stacks_address as *const () as usize
}

#[test]
fn a_profile_of_nothing_is_a_profile() {
    let profile = build(stacks(), &Names::default());
    assert!(profile.sample.is_empty());
    assert_eq!(profile.mapping.len(), 0);
}
