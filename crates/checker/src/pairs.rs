//! Pairing one to one.

use std::collections::VecDeque;

/// Finds each of `left` a partner of its own among `right`, moving earlier ones on where that makes room, and gives the
/// places of those that found none. As many as can be are paired.
pub(crate) fn pair<L, R>(left: &[L], right: &[R], fits: impl Fn(&L, &R) -> bool) -> Vec<usize> {
    let mut partner: Vec<Option<usize>> = vec![None; right.len()];
    let mut alone = Vec::new();
    for start in 0..left.len() {
        // By which left one each right one was reached, on the way to one that is free.
        let mut reached: Vec<Option<usize>> = vec![None; right.len()];
        let mut next = VecDeque::from([start]);
        let mut free = None;
        while let (Some(at), None) = (next.pop_front(), free) {
            let Some(one) = left.get(at) else { continue };
            for (j, other) in right.iter().enumerate() {
                if free.is_some() || reached.get(j).is_none_or(Option::is_some) || !fits(one, other) {
                    continue;
                }
                if let Some(reached) = reached.get_mut(j) {
                    *reached = Some(at);
                }
                match partner.get(j).copied().flatten() {
                    Some(taken_by) => next.push_back(taken_by),
                    None => free = Some(j),
                }
            }
        }
        if free.is_none() {
            alone.push(start);
        }
        // Back along the way: each gives up its partner to whoever reached it.
        let mut place = free;
        while let Some(j) = place {
            let Some(by) = reached.get(j).copied().flatten() else { break };
            place = partner.iter().position(|p| *p == Some(by));
            if let Some(partner) = partner.get_mut(j) {
                *partner = Some(by);
            }
            if let Some(partner) = place.and_then(|p| partner.get_mut(p)) {
                *partner = None;
            }
        }
    }
    alone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_makes_room_for_another_where_it_fits_elsewhere() {
        let fits = |left: &Vec<u8>, right: &u8| left.contains(right);
        assert_eq!(pair(&[vec![1, 2], vec![1]], &[1, 2], fits), Vec::<usize>::new());
        assert_eq!(pair(&[vec![1, 2], vec![2, 3], vec![1], vec![2]], &[1, 2, 3], fits), [3]);
        assert_eq!(pair(&[vec![1], vec![1]], &[1, 2], fits), [1]);
        assert_eq!(pair(&[vec![1]], &[], fits), [0]);
        assert_eq!(pair(&[], &[1], fits), Vec::<usize>::new());
    }

    /// Against trying every way.
    #[test]
    fn as_many_are_paired_as_can_be() {
        fn most(left: &[u8], taken: u8) -> usize {
            let Some((first, rest)) = left.split_first() else { return 0 };
            let with = (0..4).filter(|bit| first & !taken & (1 << bit) != 0);
            with.map(|bit| 1 + most(rest, taken | 1 << bit)).chain([most(rest, taken)]).max().unwrap()
        }
        for case in 0..1_u32 << 16 {
            let left: Vec<u8> = (0..4).map(|i| (case >> (4 * i) & 15) as u8).collect();
            let alone = pair(&left, &[0, 1, 2, 3], |left, bit| left >> bit & 1 == 1);
            assert_eq!(4 - alone.len(), most(&left, 0), "{left:?}");
        }
    }
}
