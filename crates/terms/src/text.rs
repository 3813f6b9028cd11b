//! Foreign text for people's eyes: everything that could hide or disguise is shown, nothing is dropped (T88).

use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};
use unicode_security::skeleton;

/// The text with each character that cannot be seen, or that moves others about, written `⟨U+202E⟩`.
/// What comes out has no control, format, bidi, tag, private-use, surrogate or unassigned character, and
/// no space but U+0020.
#[must_use]
pub fn visible(text: &str) -> String {
    escaped(text, |_, _, _| false)
}

/// The same of a text of many lines, which stay lines, with tabs that stay tabs: what a terminal is given.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(visible).collect::<Vec<_>>().join("\t");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Foreign words inside a sentence of ours: [`visible`], in quotation marks that nothing in them can close. What
/// could pass for a quotation mark, or for the brackets of an escape, is written as its code point, so that two
/// different texts stay different.
#[must_use]
pub fn quoted(text: &str) -> String {
    let inside = escaped(text, |before, c, after| {
        let near = [before, after].into_iter().flatten().any(|c| strokes(c) > 0);
        // A single apostrophe is no quotation mark; two beside each other look like one.
        strokes(c) > 1 || (strokes(c) == 1 && near) || "⟨⟩".contains(c) || (before.is_none() && is_mark(c))
    });
    format!("“{inside}”")
}

/// The text with what [`hides`], and what else is asked for with its neighbours, as code points.
fn escaped(text: &str, such: impl Fn(Option<char>, char, Option<char>) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if hides(c) || marks > MARKS || such(before, c, rest.clone().next()) {
            out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        } else {
            out.push(c);
        }
        before = Some(c);
    }
    out
}

/// How many apostrophes the character looks like (UTS #39 §4): 1 for `’`, 2 for `"` and `“`.
fn strokes(c: char) -> usize {
    /// Quotation marks that the table of look-alikes does not list.
    const OTHERS: [char; 9] = ['„', '⹂', '〝', '〞', '〟', '❝', '❞', '❠', '＂'];
    if OTHERS.contains(&c) || ('\u{1f676}'..='\u{1f678}').contains(&c) {
        return 2;
    }
    let looks: Vec<char> = skeleton(c.encode_utf8(&mut [0; 4])).collect();
    if looks.iter().all(|c| *c == '\'') { looks.len() } else { 0 }
}

pub(crate) fn is_mark(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Mark
}

/// Combining marks on one letter beyond this many are a flood, not a language.
const MARKS: usize = 3;

/// Whether the character is invisible or changes how others are shown.
#[must_use]
pub fn hides(c: char) -> bool {
    /// Letters and marks that draw nothing: joiners, Hangul and Khmer fillers, blank Braille, variation selectors.
    const BLANK: [char; 8] =
        ['\u{34f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{2800}', '\u{3164}', '\u{ffa0}'];
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let selector = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180f}');
    let group = c.general_category_group();
    selector
        || BLANK.contains(&c)
        || matches!(group, GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator)
}

/// What a person should know about a value before trusting their eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// Control, format or other invisible characters, shown as code points.
    Invisible,
    /// Characters that reverse or embed the direction of writing, shown as code points.
    Bidi,
    /// One word mixes scripts, as in Latin with Cyrillic look-alikes.
    MixedScript,
    /// All its letters and digits look like A–Z and 0–9, and some are others: Cyrillic, fullwidth, mathematical.
    LookAlike,
    /// A host name in its ASCII form that stands for other letters.
    Punycode,
    /// Runs of white space that could push something out of sight.
    Whitespace,
    /// Longer than fits without folding; the card gives its bytes and digest.
    Long,
    /// The name of the argument, or of what it stands in, has any of these.
    Name,
}

impl Flag {
    /// Every flag with its stable name and the sentence a person reads.
    pub const TABLE: [(Self, &'static str, &'static str); 8] = [
        (Self::Invisible, "invisible", "contains invisible characters, shown as ⟨U+…⟩"),
        (Self::Bidi, "bidi", "contains characters that reverse the writing direction, shown as ⟨U+…⟩"),
        (Self::MixedScript, "mixed-script", "one word mixes alphabets: look-alike letters are possible"),
        (Self::LookAlike, "look-alike", "has letters or digits that look like A–Z or 0–9 and are others"),
        (Self::Punycode, "punycode", "contains an encoded international name (xn--)"),
        (Self::Whitespace, "whitespace", "contains long runs of spaces or line breaks"),
        (Self::Long, "long", "is long: read it to its end"),
        (Self::Name, "name", "the name itself may deceive: look-alike letters, or something hard to see"),
    ];

    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|(flag, ..)| *flag == self).map_or("", |(_, name, _)| name)
    }

    /// What a person reads.
    #[must_use]
    pub fn says(self) -> &'static str {
        Self::TABLE.iter().find(|(flag, ..)| *flag == self).map_or("", |(.., says)| says)
    }
}

const BIDI: [char; 12] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

/// A value longer than this many bytes is flagged [`Flag::Long`].
pub const LONG: usize = 2048;

/// The flags of one text, in the order of the enum.
#[must_use]
pub fn flags(text: &str) -> Vec<Flag> {
    let run = text
        .split(|c: char| !c.is_whitespace())
        .any(|gap| gap.chars().count() > 8 || gap.matches('\n').count() > 2);
    let mixed = text.split(|c: char| !c.is_alphanumeric() && !is_mark(c)).any(mixes_scripts);
    let found = [
        (Flag::Invisible, text.chars().any(|c| hides(c) && c != '\n')),
        (Flag::Bidi, text.contains(BIDI)),
        (Flag::MixedScript, mixed),
        (Flag::LookAlike, !mixed && poses_as_ascii(text)),
        (Flag::Punycode, text.to_ascii_lowercase().contains("xn--")),
        (Flag::Whitespace, run),
        (Flag::Long, text.len() > LONG),
    ];
    found.into_iter().filter_map(|(flag, is)| is.then_some(flag)).collect()
}

/// Latin, Cyrillic and Greek in one word; Han with kana or Hangul is ordinary writing.
fn mixes_scripts(word: &str) -> bool {
    let mut seen: Vec<Script> = Vec::new();
    for script in word.chars().map(|c| c.script()) {
        let ordinary = matches!(script, Script::Common | Script::Inherited | Script::Unknown);
        if !ordinary && !seen.contains(&script) {
            seen.push(script);
        }
    }
    let east = [Script::Han, Script::Hiragana, Script::Katakana, Script::Hangul, Script::Bopomofo];
    seen.len() > 1 && !seen.iter().all(|s| east.contains(s))
}

/// Letters and digits that all look like ASCII (UTS #39 §4) and are not. The whole text counts, because a language
/// of its own has words that look so, and no sentence that does.
fn poses_as_ascii(text: &str) -> bool {
    let looks_ascii = |c: char| {
        let plain: String = c.nfkc().collect();
        let looks: String = skeleton(&plain).collect();
        // One letter that looks like two is a letter of its own: æ.
        looks.is_ascii() && (looks.len() == 1 || !plain.contains(c))
    };
    let counts = |c: &char| {
        let letter = c.general_category_group() == GeneralCategoryGroup::Letter;
        !c.is_ascii() && (letter || is_mark(*c) || c.general_category() == GeneralCategory::DecimalNumber)
    };
    let mut letters = text.chars().filter(counts).peekable();
    letters.peek().is_some() && letters.all(looks_ascii)
}

/// Whether a text may be a member's name in arguments: no control, format, bidi or unassigned character, and in
/// NFC, so that two names that look alike on the card are alike (T04 with decisions B11).
#[must_use]
pub fn plain_name(name: &str) -> bool {
    is_nfc(name)
        && !name.chars().any(|c| {
            let category = c.general_category();
            hides(c) && category != GeneralCategory::SpaceSeparator
        })
}
