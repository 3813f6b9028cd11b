//! How a caller is told of a stopped call, and comes back to it (standards 1.6). The elevation is the truth; each carrier
//! is only a way to tell of it, so that a call which comes back by another one finds the same elevation. Which carrier it
//! is rests on what the client says that it can, never on its name: one table, and the operator's word for one caller.

mod ask;
pub(crate) mod words;

use terms::revision::Era;
use terms::{Abilities, Millis};

use crate::settings::Settings;
pub(crate) use ask::{Responses, input_required, open_first, within};
pub(crate) use words::{challenged, stopped};

/// What an operator may say of one caller, whose client says that it can do what it cannot, or does not say that it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// What the client says counts.
    #[default]
    Auto,
    /// Its person is asked, or the tool error is told at once.
    Elicitation,
    /// It is never asked: the call waits where it can, and then the tool error is told.
    Hold,
    /// The tool error is told at once.
    ToolError,
}

/// Rounds in which a call of the modern era is waited for at most; some clients stop at ten (A23).
pub(crate) const ROUNDS: u8 = 8;

/// How a call is told that it is stopped, at the end of a wait or at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// As a result that models read.
    ToolError,
    /// As a question for what has to be said before anybody can approve.
    Form,
    /// As a question to open the request.
    Url,
    /// As a word to come back.
    Again,
    /// As the error of 2025-11-25 that says what to open first.
    OpenFirst,
    /// As the question [`Self::Form`], within the call, which goes on with the answer.
    FormWithin,
    /// As the question [`Self::Url`], within the call.
    UrlWithin,
}

/// How long a stopped call waits before it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// As long as a repeat does, so that it is useful and cannot spin (B10).
    Hold,
    /// As long as who hears progress does not give up.
    WithProgress,
}

/// What the choice rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) era: Era,
    pub(crate) abilities: Abilities,
    pub(crate) pin: Pin,
    /// Whether the caller still has to say why or under which ticket.
    pub(crate) claims: bool,
    /// Whether it is an answer within a call that runs, so that it can be told neither as an error nor again.
    pub(crate) within: bool,
    /// Whether this very call opened the request.
    pub(crate) first: bool,
    /// Whether the client listens to progress.
    pub(crate) listens: bool,
    /// How often the call came back with what it was given, or was asked something while it waited.
    pub(crate) round: u8,
    /// Whether it continues what an upstream asked.
    pub(crate) continues: bool,
}

/// Something that may be so.
#[derive(Clone, Copy, Debug)]
enum Fact {
    Era(Era),
    Form,
    Url,
    Claims,
    Unclaimed,
    Within,
    First,
    Repeat,
    Listens,
    /// It came back with what it was given.
    CameBack,
    /// It did not.
    Fresh,
    /// It may come back once more.
    MayComeBack,
    /// Only its client can send it again, as only its client has what it continues with.
    Continues,
}

impl Situation {
    const fn is(&self, fact: Fact) -> bool {
        match fact {
            Fact::Era(era) => {
                matches!((era, self.era), (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern))
            }
            Fact::Form => self.abilities.form,
            Fact::Url => self.abilities.url,
            Fact::Claims => self.claims,
            Fact::Unclaimed => !self.claims,
            Fact::Within => self.within,
            Fact::First => self.first,
            Fact::Repeat => !self.first,
            Fact::Listens => self.listens,
            Fact::CameBack => self.round > 0,
            Fact::Fresh => self.round == 0,
            Fact::MayComeBack => self.round < ROUNDS,
            Fact::Continues => self.continues,
        }
    }
}

/// One row: who pins what keeps it, when it is, and what happens then.
struct Row(&'static [Pin], &'static [Fact], Wait, Told);

const ASKS: &[Pin] = &[Pin::Auto, Pin::Elicitation];
const WAITS: &[Pin] = &[Pin::Auto, Pin::Hold];
const NOT_AT_ONCE: &[Pin] = &[Pin::Auto, Pin::Elicitation, Pin::Hold];
const ALL: &[Pin] = &[Pin::Auto, Pin::Elicitation, Pin::Hold, Pin::ToolError];

/// The first row that is so counts.
const TABLE: [Row; 13] = [
    // Before something is said nobody can approve, so nothing is waited for.
    Row(ASKS, &[Fact::Era(Era::Modern), Fact::Claims, Fact::Form, Fact::MayComeBack], Wait::No, Told::Form),
    Row(ASKS, &[Fact::Era(Era::Modern), Fact::Url, Fact::Fresh], Wait::No, Told::Url),
    Row(ASKS, &[Fact::Era(Era::Modern), Fact::Continues, Fact::Fresh], Wait::No, Told::Again),
    Row(
        ASKS,
        &[Fact::Era(Era::Modern), Fact::Unclaimed, Fact::CameBack, Fact::MayComeBack],
        Wait::Hold,
        Told::Again,
    ),
    Row(ASKS, &[Fact::Era(Era::Legacy), Fact::Claims, Fact::Form, Fact::Fresh], Wait::No, Told::FormWithin),
    // Whoever asked within a call that runs waits there.
    Row(
        ASKS,
        &[Fact::Within, Fact::Unclaimed, Fact::Url, Fact::First, Fact::Fresh],
        Wait::No,
        Told::UrlWithin,
    ),
    Row(NOT_AT_ONCE, &[Fact::Within, Fact::Unclaimed], Wait::WithProgress, Told::ToolError),
    Row(ALL, &[Fact::Within], Wait::No, Told::ToolError),
    Row(
        ASKS,
        &[Fact::Era(Era::Legacy), Fact::Url, Fact::First, Fact::Listens, Fact::Fresh],
        Wait::No,
        Told::UrlWithin,
    ),
    Row(ASKS, &[Fact::Era(Era::Legacy), Fact::Url, Fact::First, Fact::Fresh], Wait::No, Told::OpenFirst),
    Row(WAITS, &[Fact::Unclaimed, Fact::Listens], Wait::WithProgress, Told::ToolError),
    Row(WAITS, &[Fact::Unclaimed, Fact::Repeat], Wait::Hold, Told::ToolError),
    Row(ALL, &[], Wait::No, Told::ToolError),
];

impl Situation {
    /// How the call is told, and after which wait.
    pub(crate) fn choose(&self) -> (Wait, Told) {
        let row =
            TABLE.iter().find(|row| row.0.contains(&self.pin) && row.1.iter().all(|fact| self.is(*fact)));
        row.map_or((Wait::No, Told::ToolError), |row| (row.2, row.3))
    }
}

impl Wait {
    /// How long it is.
    pub(crate) fn length(self, settings: &Settings) -> Option<Millis> {
        match self {
            Self::No => None,
            Self::Hold => Some(settings.hold),
            Self::WithProgress => Some(settings.hold_with_progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every situation that there is.
    fn all() -> impl Iterator<Item = Situation> {
        let eras = [Era::Legacy, Era::Modern].into_iter();
        let pinned = eras.flat_map(|era| ALL.iter().map(move |pin| (era, *pin)));
        let bits = pinned.flat_map(|of| (0_u8..64).map(move |bits| (of, bits)));
        bits.flat_map(|((era, pin), bits)| {
            let is = move |bit: u8| bits & (1 << bit) != 0;
            [0, 1, ROUNDS - 1, ROUNDS].into_iter().map(move |round| Situation {
                era,
                pin,
                abilities: Abilities { form: is(0), url: is(1), ..Abilities::default() },
                claims: is(2),
                first: is(3),
                listens: is(4),
                // Only in sessions is anything asked within a call.
                within: is(5) && era == Era::Legacy,
                continues: is(5) && era == Era::Modern,
                round,
            })
        })
    }

    #[test]
    fn what_a_client_did_not_declare_is_never_asked_of_it() {
        for situation in all() {
            let (_, told) = situation.choose();
            let may = match told {
                Told::Form | Told::FormWithin => situation.abilities.form,
                Told::Url | Told::OpenFirst | Told::UrlWithin => situation.abilities.url,
                Told::Again => situation.round > 0 || situation.continues,
                Told::ToolError => true,
            };
            assert!(may, "{situation:?}");
        }
    }

    #[test]
    fn each_era_is_told_in_its_own_words() {
        for situation in all() {
            let era = match situation.choose().1 {
                Told::Form | Told::Url | Told::Again => Era::Modern,
                Told::OpenFirst | Told::FormWithin | Told::UrlWithin => Era::Legacy,
                Told::ToolError => continue,
            };
            assert_eq!(situation.era, era, "{situation:?}");
        }
    }

    #[test]
    fn nothing_is_waited_for_while_something_has_to_be_said_first() {
        assert!(all().filter(|s| s.claims).all(|situation| situation.choose().0 == Wait::No));
    }

    #[test]
    fn a23_who_came_back_often_enough_is_told_as_everybody_is_and_not_asked_again() {
        for situation in all().filter(|s| s.round >= ROUNDS && s.era == Era::Modern) {
            assert_eq!(situation.choose().1, Told::ToolError, "{situation:?}");
        }
    }

    #[test]
    fn the_address_is_opened_once_and_not_each_time_that_a_call_comes_back() {
        for situation in all() {
            match situation.choose().1 {
                Told::Url => assert_eq!(situation.round, 0, "{situation:?}"),
                Told::OpenFirst | Told::UrlWithin => {
                    assert!(situation.first && situation.round == 0, "{situation:?}");
                }
                Told::Form | Told::FormWithin | Told::Again | Told::ToolError => {}
            }
        }
    }

    #[test]
    fn a_pin_holds_whatever_a_client_says() {
        for situation in all() {
            let (wait, told) = situation.choose();
            match situation.pin {
                Pin::Auto => {}
                // Within a call that runs, nothing could be told at once.
                Pin::Elicitation => {
                    assert!(wait == Wait::No || told == Told::Again || situation.within, "{situation:?}");
                }
                Pin::Hold => assert_eq!(told, Told::ToolError, "{situation:?}"),
                Pin::ToolError => assert_eq!((wait, told), (Wait::No, Told::ToolError), "{situation:?}"),
            }
        }
    }

    #[test]
    fn an_answer_within_a_call_is_told_within_it_and_waits_unless_its_caller_is_told_at_once() {
        for situation in all().filter(|s| s.within) {
            let (wait, told) = situation.choose();
            assert!(matches!(told, Told::FormWithin | Told::UrlWithin | Told::ToolError), "{situation:?}");
            if told == Told::ToolError {
                let waits = !situation.claims && situation.pin != Pin::ToolError;
                assert_eq!(wait == Wait::WithProgress, waits, "{situation:?}");
            }
        }
    }

    #[test]
    fn b10_of_those_who_are_asked_nothing_a_repeat_waits_and_longer_who_listens() {
        for situation in all().filter(|s| s.pin == Pin::Auto && !s.claims && !s.within) {
            if situation.choose().1 == Told::ToolError && situation.round == 0 {
                let wait = match (situation.listens, situation.first) {
                    (true, _) => Wait::WithProgress,
                    (false, false) => Wait::Hold,
                    (false, true) => Wait::No,
                };
                assert_eq!(situation.choose().0, wait, "{situation:?}");
            }
        }
    }
}
