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
    ($($code:ident $name:literal $severity:ident $what:literal $todo:literal;)*) => {
        /// Everything that can be wrong with a policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $what] $code,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

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

            /// What it is and why it matters; and what to do.
            #[must_use]
            pub const fn explained(self) -> (&'static str, &'static str) {
                match self { $(Self::$code => ($what, $todo),)* }
            }
        }
    };
}

codes! {
    Syntax "syntax" Error
        "The text is not Cedar."
        "Mend it where it is marked. Nothing of the folder is taken until all of it can be read.";
    TooLarge "too_large" Error
        "There is more than is read: a file over 4 MiB, over 10,000 rules, or a statement over 16 KiB, 64 nested brackets or 1,000 operators."
        "Split the file or the statement. A rule that long is one that no person can review.";
    Template "template" Error
        "The statement is a template, with `?principal` or `?resource`. Nothing here would ever fill its slots, so it would never apply."
        "Write the principal and the resource out.";
    IdMissing "id_missing" Error
        "The rule has no `@id`, so no decision, no record and no explanation could name it."
        "Give it one that says what the rule is for: `@id(\"deploy-outside-staging\")`.";
    IdDuplicate "id_duplicate" Error
        "Two rules have one `@id`, over all files. A record that names it would say nothing."
        "Rename one of them.";
    AnnotationMisspelt "annotation_misspelt" Error
        "An annotation is `@stepup` but for a slip. The rule would be a plain `forbid`, or hide from whoever looks for step-ups."
        "Write `@stepup(\"name-of-a-requirement\")`.";
    StepupOnPermit "stepup_on_permit" Error
        "`@stepup` stands on a `permit`: the access would be permitted without the step-up."
        "Write `forbid`: a `@stepup` is a forbid that is lifted when its requirement is met.";
    StepupEmpty "stepup_empty" Error
        "`@stepup` names no requirement, so nobody could say what lifts it."
        "Name one of the configuration's `[requirements.…]`.";
    StepupUnknown "stepup_unknown" Error
        "`@stepup` names a requirement that the configuration does not have."
        "Correct the name, or add `[requirements.NAME]`.";
    StepupAction "stepup_action" Error
        "The `@stepup` is about what cannot be stepped up: `approve`, `discover`, or every action at once."
        "Name what callers do, `action in Action::\"tools/call\"`, or `administer`.";
    ShadowAction "shadow_action" Error
        "`@shadow` stands on a rule that cannot be tried: only a `forbid`, with or without `@stepup`, about what callers do can."
        "Take `@shadow` off, or name what callers do: `action in Action::\"tools/call\"`.";
    SelfApproval "self_approval" Warning
        "One person can change rules, groups, people or callers with nobody else, and so come to approve what they ask for themselves."
        "Step `administer` up, as in the cookbook, and say whose the accounts of this machine are: `stepup human account NAME`.";
    NobodyAdministers "nobody_administers" Warning
        "Under these rules nobody who is there could change them, or people, groups and callers, again."
        "Let somebody: `permit (principal in Group::\"…\", action == Action::\"administer\", resource);`.";
    Uncovered "uncovered" Warning
        "Something that nobody has reviewed as read-only runs for a caller with nobody's approval, and no rule speaks of it."
        "Review it (`reviewed = \"read-only\"`), name it in a rule, or step up what nobody reviewed, as the starter sets do.";
    NoRules "no_rules" Error
        "There are no rules, as there are none for a moment while a folder is replaced. Under none everything is denied, and nobody could change that."
        "Put the files of rules, which end in `.cedar`, into the folder. To stop everything, lock it: `stepup lock all`.";
    ChangeTooLarge "change_too_large" Error
        "The change takes approval, and is too large for whoever would approve it to read: more than 64 KiB of differences."
        "Make it in smaller steps.";
    ActionUnknown "action_unknown" Error
        "The rule names an action that does not exist, so it would never apply to it."
        "Correct the name: `tools/call`, or `tools/call:UPSTREAM/TOOL` for one tool's own.";
    StepupAbsence "stepup_absence" Error
        "The `@stepup` is silently off when an optional argument is left out, whatever the upstream takes in its place."
        "Ask for the harmless value and that it is there: `unless { context.arguments has x && [\"staging\"].contains(context.arguments.x) }`.";
    StepupFailOpen "stepup_fail_open" Warning
        "The `@stepup` lists what is dangerous: every other spelling of it, and the upstream's own default, runs without approval."
        "Name what is harmless: `unless { [\"staging\", \"test\"].contains(context.arguments.environment) }`.";
    RequirementEmpty "requirement_empty" Error
        "The requirement takes no evidence at all: what is stepped up to it would be permitted."
        "Name approvals, the owner, a purpose, a ticket or a key.";
    RequirementImpossible "requirement_impossible" Error
        "Nobody could ever meet the requirement: an `any` without parts, a ticket pattern that is empty or no regular expression, a group without a name, or no time at all."
        "Mend it. To forbid something for good, write a plain `forbid`.";
    RequirementUnmet "requirement_unmet" Error
        "The people who are there could not meet the requirement for some callers: too few are in its groups, have a passkey, and are not behind the caller."
        "Add people to the groups and have them enrol a passkey, or ask for less. Until then what takes it is denied to those callers, or waits for nobody. Found with `--live` only.";
    EntityUnknown "entity_unknown" Error
        "The rule names a group, server, tool, prompt, environment, person or caller that does not exist, so it would never apply. Cedar takes any name."
        "Correct the name. People, callers and groups are looked at with `--live` only; a group exists once somebody is in it. Of an upstream of which nothing was read yet no tool is looked at, and nothing of any before one is configured: `policy check` says so.";
    AttributeUnknown "attribute_unknown" Error
        "A condition speaks of something that is not there: an argument that the pinned definition does not have, or that has no type that rules can judge. Each time it were asked, the access would be denied."
        "Correct the name; `stepup policy schema` shows what there is. For an argument without a type there are `context.text` and `context.unjudged`.";
    AttributeOptional "attribute_optional" Error
        "A condition speaks of something that need not be there without asking whether it is. Without it the rule cannot be evaluated, and the access is denied."
        "Ask first: `context.arguments has version && context.arguments.version == \"1\"`.";
    Type "type" Error
        "A condition compares or calls what does not fit together. Each time it were asked, the access would be denied."
        "Look at the types with `stepup policy schema`. A JSON number is a decimal: `context.arguments.share.greaterThan(decimal(\"0.5\"))`.";
    NeverApplies "never_applies" Warning
        "By the types of what it names alone, the rule can never apply, whatever is asked. As a `forbid` or `@stepup` it guards nothing."
        "Remove it, or correct the parties that it names.";
    Confusable "confusable" Warning
        "A text is written so that it reads as another one: mixed scripts, what cannot be seen, or letters that turn the direction of writing; in a comment too."
        "Write it plainly.";
    Unvalidated "unvalidated" Warning
        "The rules could not be held against the pinned definitions, because Cedar takes no schema of them."
        "Rules are enforced all the same, and what they cannot judge is denied. Please report the definition that is named.";
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
