//! What `check` and load say about a policy: each with a stable code, a place and, where one can be guessed,
//! what was probably meant.

use crate::source::Source;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The set is in force all the same.
    Warning,
    /// The set is not loaded; the one before it stays.
    Error,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident $name:literal $severity:ident;)*) => {
        /// Everything that can be wrong with a policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// Every code with its stable text and its severity.
            pub const TABLE: &'static [(Self, &'static str, Severity)] =
                &[$((Self::$code, $name, Severity::$severity),)*];

            /// The stable text.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    /// Not Cedar.
    Syntax "syntax" Error;
    /// More than is read: rules, bytes or nesting.
    TooLarge "too_large" Error;
    /// A template, which nothing would ever link.
    Template "template" Error;
    /// A rule without `@id`, so that no decision could name it.
    IdMissing "id_missing" Error;
    /// Two rules with one `@id`.
    IdDuplicate "id_duplicate" Error;
    /// An annotation that is `stepup` but for a slip.
    AnnotationMisspelt "annotation_misspelt" Error;
    /// `@stepup` on a `permit`.
    StepupOnPermit "stepup_on_permit" Error;
    /// `@stepup` without the name of a requirement.
    StepupEmpty "stepup_empty" Error;
    /// `@stepup` with a name that no requirement has.
    StepupUnknown "stepup_unknown" Error;
    /// `@stepup` on what cannot be stepped up: `approve`, `administer`, `discover`, or every action.
    StepupAction "stepup_action" Error;
    /// An action that does not exist.
    ActionUnknown "action_unknown" Error;
    /// A `@stepup` that is silently off when an optional argument is left out.
    StepupAbsence "stepup_absence" Error;
    /// A `@stepup` that names what is dangerous, so that every other spelling runs.
    StepupFailOpen "stepup_fail_open" Warning;
    /// A requirement without any evidence.
    RequirementEmpty "requirement_empty" Error;
    /// A requirement that nobody could ever meet.
    RequirementImpossible "requirement_impossible" Error;
    /// A condition speaks of something that is not there.
    AttributeUnknown "attribute_unknown" Error;
    /// A condition speaks of something that need not be there, without asking whether it is.
    AttributeOptional "attribute_optional" Error;
    /// A condition compares or calls what does not fit together.
    Type "type" Error;
    /// The rules could not be held against the pinned definitions.
    Unvalidated "unvalidated" Warning;
    /// A requirement that the people who are there could not meet.
    RequirementUnmet "requirement_unmet" Error;
    /// A rule that can never apply.
    NeverApplies "never_applies" Warning;
    /// A text that is written so that it reads as another.
    Confusable "confusable" Warning;
    /// A group, server, tool, environment, human or caller that does not exist.
    EntityUnknown "entity_unknown" Error;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where in the texts something is. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's name, or the name of the requirement for what is in the configuration.
    pub file: String,
    /// The line; 0 where the whole file is meant.
    pub line: u32,
    /// The column; 0 where the whole file is meant.
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// One thing that is wrong, or probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{at}: {code}: {message}")]
pub struct Finding {
    /// Where.
    pub at: Place,
    /// How many bytes from there it is about; 0 where that is not known.
    pub length: usize,
    /// What kind.
    pub code: Code,
    /// What happened and why it matters, in a sentence.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl Finding {
    /// One thing, by its code and place.
    pub fn new(code: Code, at: &Place, message: impl Into<String>) -> Self {
        Self { at: at.clone(), length: 0, code, message: message.into(), suggestion: None }
    }

    /// The same with what to write instead.
    #[must_use]
    pub fn suggesting(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// The same, about these words of a rule, where they stand in it.
    pub(crate) fn on(mut self, source: &Source, words: &str) -> Self {
        if let Some(byte) = source.text.find(words) {
            self.at = source.place(byte);
            self.length = words.len();
        }
        self
    }

    pub(crate) fn suggesting_nearest<'n>(self, name: &str, names: impl IntoIterator<Item = &'n str>) -> Self {
        match nearest(name, names) {
            Some(near) => self.suggesting(format!("\"{near}\"")),
            None => self,
        }
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// The name that was probably meant: at most a third of its letters away, and at least two.
fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let within = (name.chars().count() / 3).max(2);
    let distances = names.into_iter().map(|n| (strsim::damerau_levenshtein(name, n), n));
    distances.filter(|(distance, _)| *distance <= within).min().map(|(_, n)| n)
}
