//! Ids: one text an id, a type each, ordered where asked for.

use proptest::prelude::*;
use terms::{
    AttemptId, BootId, CallerId, ElevationId, GrantId, HumanId, InstallId, Json, KeyId, LockId, PinId,
    RecordId,
};

use crate::support::{Hand, cases};

macro_rules! for_each_id {
    ($check:ident) => {
        $check!(
            InstallId,
            ElevationId,
            GrantId,
            AttemptId,
            RecordId,
            CallerId,
            KeyId,
            HumanId,
            LockId,
            PinId,
            BootId
        )
    };
}

macro_rules! prefixes {
    ($($id:ident),*) => { [$($id::PREFIX),*] };
}

macro_rules! read_back {
    ($($id:ident),*) => {$(
        let id = $id::fresh(&Hand::at(0));
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.len(), 3 + 1 + 26);
        assert_eq!(format!("{id:?}"), text);
        assert_eq!(Json::from(id), Json::from(text.as_str()));
        assert_eq!($id::from_slice(id.bytes()), Some(id));
        assert_eq!($id::from_slice(&id.bytes()[..15]), None);
        for prefix in for_each_id!(prefixes).into_iter().filter(|p| *p != $id::PREFIX) {
            let foreign = text.replacen($id::PREFIX, prefix, 1);
            assert_eq!(foreign.parse::<$id>().unwrap_err().prefix, $id::PREFIX, "{foreign}");
        }
    )*};
}

#[test]
fn an_id_reads_back_and_no_id_reads_as_another_kind() {
    for_each_id!(read_back);
}

#[test]
fn an_id_has_one_text() {
    let zeros = "0".repeat(26);
    let text = |body: &str| format!("elv_{body}");
    let last = format!("7{}", "z".repeat(25));
    assert_eq!(text(&zeros).parse::<ElevationId>().unwrap().bytes(), &[0; 16]);
    assert_eq!(text(&last).parse::<ElevationId>().unwrap().bytes(), &[0xff; 16]);
    let refused = [
        format!("8{}", &zeros[1..]),
        format!("z{}", &zeros[1..]),
        zeros[1..].to_owned(),
        format!("{zeros}0"),
        String::new(),
        last.to_uppercase(),
        zeros.replacen('0', "o", 1),
        zeros.replacen('0', "i", 1),
        zeros.replacen('0', "l", 1),
        zeros.replacen('0', "u", 1),
        zeros.replacen('0', "-", 1),
        zeros.replacen("00", "é", 1),
        format!(" {}", &zeros[1..]),
    ];
    for body in refused {
        assert!(text(&body).parse::<ElevationId>().is_err(), "{body}");
    }
    for whole in [
        zeros.clone(),
        format!("elv{zeros}"),
        format!("ELV_{zeros}"),
        format!("elv__{zeros}"),
        format!(" elv_{zeros}"),
    ] {
        assert!(whole.parse::<ElevationId>().is_err(), "{whole}");
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn text_and_bytes_are_one_to_one_and_in_one_order(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
        let id = |bytes: [u8; 16]| RecordId::from_slice(&bytes).unwrap();
        prop_assert_eq!(id(a).to_string().parse(), Ok(id(a)));
        prop_assert_eq!(a.cmp(&b), id(a).to_string().cmp(&id(b).to_string()));
        prop_assert_eq!(a.cmp(&b), id(a).cmp(&id(b)));
    }

    #[test]
    fn ordered_ids_sort_by_their_millisecond(
        earlier in 0_i64..1 << 47, later in 1_i64..1 << 40, many in 1_usize..5,
    ) {
        let (first, second) = (Hand::at(earlier), Hand::at(earlier + later));
        for _ in 0..many {
            let _other = AttemptId::fresh(&second);
        }
        let (a, b) = (AttemptId::ordered(&first), AttemptId::ordered(&second));
        prop_assert!(a < b && a.to_string() < b.to_string());
        prop_assert_ne!(AttemptId::ordered(&first), a, "two within one millisecond differ");
    }
}
