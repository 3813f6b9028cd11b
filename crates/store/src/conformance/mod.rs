//! One suite that every backend runs: `store::conformance!(make)`, where `make()` is a new, empty [`Place`],
//! becomes one test for each sentence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod claims;
mod groups;
mod log;
mod people;
mod requests;
mod standing;
mod telling;
mod world;

use std::pin::Pin;
use std::sync::Arc;

use terms::Ambient;

pub use world::World;
#[cfg(test)]
pub(crate) use world::{blank, claim_of, human};

/// Where one store is kept.
pub trait Place: Send + Sync {
    /// Opens the store that is there, or makes it. Refuses while it is open already.
    ///
    /// # Errors
    /// Why it was not opened.
    fn open(&self, ambient: Arc<dyn Ambient>) -> Result<crate::Shared, String>;
}

/// One sentence of the suite.
pub type Test = for<'w> fn(&'w mut World) -> Pin<Box<dyn Future<Output = ()> + 'w>>;

/// Runs one sentence against a place of its own.
pub fn run(place: Box<dyn Place>, test: Test) {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    threads.unwrap().block_on(async { test(&mut World::new(place).await).await });
}

macro_rules! sentences {
    ($d:tt $($part:ident { $($sentence:ident)* })*) => {
        /// Every sentence by its name.
        pub const SUITE: &[(&str, Test)] =
            &[$($((stringify!($sentence), |world| Box::pin($part::$sentence(world))),)*)*];

        /// One test for each sentence of the suite; `$make` is `Fn() -> impl Place`.
        #[macro_export]
        macro_rules! conformance {
            ($d make:expr) => {
                $($(
                    #[test]
                    fn $sentence() {
                        let named = |(name, _): &&(&str, _)| *name == stringify!($sentence);
                        let found = $d crate::conformance::SUITE.iter().find(named);
                        let place = ($d make)();
                        $d crate::conformance::run(Box::new(place), found.map(|(_, test)| *test).unwrap());
                    }
                )*)*
            };
        }
    };
}

sentences! { $
    requests {
        one_request_of_a_caller_for_an_access_waits_at_a_time
        a_request_beyond_its_time_makes_room_in_the_same_commit
        a_root_approves_once_and_an_owner_confirms_anew
        a_vote_on_anything_but_the_newest_version_is_refused
        a_request_is_concluded_once
        nothing_counts_after_its_time_and_nothing_expires_before_it
        a_grant_is_issued_only_by_the_commit_that_approves
        a_grant_for_anything_else_than_was_approved_is_refused
        what_the_caller_says_is_added_and_never_taken_away
        requests_are_listed_newest_first
        what_is_due_is_what_waits_beyond_its_time
    }
    claims {
        a_hundred_racers_spend_a_grant_as_often_as_it_says
        racers_under_stricter_terms_spend_as_often_as_those_say
        a_mismatch_burns_nothing
        a_grant_that_is_over_is_not_spent
        a_lock_of_any_kind_stops_every_claim
        a_lock_ends_with_its_time_and_when_it_is_lifted
        a_claim_judged_under_another_epoch_is_stale
        an_attempt_is_claimed_once
        an_attempt_ends_once
        what_is_to_be_done_once_names_one_attempt_unless_that_was_not_sent
        only_what_is_unknown_is_resolved_and_only_once
        only_what_was_released_is_reported_and_only_once
        what_an_earlier_run_left_is_found
        what_an_attempt_touches_is_known_before_it_runs_and_gone_if_it_was_not_sent
        what_an_answer_names_takes_the_place_of_what_might_have_been_any
        an_answer_that_nobody_could_read_leaves_what_may_be_any
        what_is_touched_by_somebody_else_meanwhile_refuses_the_claim
        a_captured_credential_moves_the_epoch_on_and_one_that_comes_late_takes_no_newer_ones_place
        revoking_counts_what_was_live
        usage_knows_what_was_used_and_the_calls_of_an_hour
    }
    groups {
        a_refused_commit_leaves_neither_state_nor_record
        a_refused_commit_undoes_nothing_of_its_neighbours
        a_commit_refused_at_its_last_record_leaves_no_leaf
        authority_without_a_record_is_refused
        an_answered_commit_is_seen_by_every_read
    }
    log {
        records_page_in_leaf_order_and_make_the_head
        a_checkpoint_that_is_older_or_of_another_tree_is_refused
        a_checkpoint_of_an_earlier_head_is_kept_while_the_log_grows
        everything_is_there_after_opening_again
        a_second_opening_is_refused
    }
    people {
        fifty_racers_take_a_nonce_once
        a_nonce_is_worth_nothing_after_its_time
        a_counter_that_does_not_move_forward_is_refused
        a_passkey_is_spare_only_while_its_person_keeps_another_good_one
        a_session_ends_with_its_time_on_request_and_with_its_human
        an_invitation_is_used_once_in_time_by_whom_it_is_for
        a_new_invitation_ends_the_earlier_ones_of_its_person
        a_name_is_taken_once
        every_change_of_what_nodes_keep_moves_the_epoch_on_by_one
        the_directory_is_what_was_registered
        retiring_takes_away_what_it_says
        a_policy_judged_under_another_epoch_is_not_activated
        only_the_newest_definition_is_judged
        a_policy_that_was_in_force_once_is_kept
        what_was_accepted_before_is_the_newest_definition_of_its_name_that_ever_was
    }
    telling {
        a_notification_waits_until_it_is_delivered
        an_event_becomes_its_notifications_once_and_they_are_due_over_their_channels
        of_one_thread_each_recipient_is_told_one_after_the_other
        who_was_told_of_a_thread_is_remembered_until_it_is_over
        what_is_over_before_anybody_was_told_is_told_nobody
        what_is_given_up_is_taken_out_once_with_the_record_that_says_so
        what_made_room_is_counted_until_a_record_says_so
    }
    standing {
        what_waits_is_found_with_its_votes
        a_rejection_of_another_access_to_the_resource_is_told_and_none_of_the_very_one
        what_waits_is_counted_over_callers
        live_grants_are_found_with_the_request_they_rest_on
        the_newest_grant_that_is_over_is_found
        a_rejection_counts_for_its_time
        what_is_open_is_found_before_what_went_well
    }
}
