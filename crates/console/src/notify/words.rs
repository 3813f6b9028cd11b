//! What people read outside of the console (people.md C2): environment first, then who, what, what is missing, until when,
//! and the code. Plain text; nothing in it acts, and the only link is to the request's page.

use authority::CONSOLE;
use terms::{Time, text};

use super::event::{Event, What};
use crate::moment::When;

/// How much of a request is told outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// Names that were registered here, and no word of a caller: what a lock screen may show.
    #[default]
    Brief,
    /// Also the headline with the arguments that the operator's title names, the ticket, and reasons.
    Full,
}

/// To whom something is told: what they can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Who can approve it, and whoever else is told with them.
    Approver,
    /// Its owner, who is asked to confirm it.
    Confirmer,
    /// Its owner, who can approve nothing of it.
    Owner,
    /// The person whose passkey it is.
    Holder,
}

/// What a mail says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// In one line.
    pub(crate) subject: String,
    /// In several.
    pub(crate) text: String,
}

/// What pops up on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Popup {
    /// Its first line.
    pub(crate) title: String,
    /// What stands under it.
    pub(crate) text: String,
}

/// What pops up of an event, for somebody; `None` of one that this version does not know.
pub(crate) fn popup(kind: &str, body: &str, whom: Whom, how: Text) -> Option<Popup> {
    let event = Event::of(kind, body)?;
    let line = event.line(how);
    let text = line.split_once(" · ").map_or("", |(_, rest)| rest).to_owned();
    Some(Popup { title: event.subject(whom, how), text })
}

/// Characters of one part of a sentence that others wrote, and of a name.
const SENTENCE: usize = 240;
const NAME: usize = 80;

/// What is done, where the operator has no words for it or they are not told: verbs of actions, `{}` for the object.
const ACTS: [(&str, &str); 7] = [
    ("tools/call", "call {}"),
    ("prompts/get", "get the prompt {}"),
    ("resources/read", "read a resource of {}"),
    ("resources/subscribe", "follow a resource of {}"),
    ("completion/complete", "complete a value for {}"),
    ("do", "do {}"),
    ("administer", "change {}"),
];

/// Text of others: visible to its last character, of bounded length, and nothing that a reader of mail would make a
/// link of.
pub(crate) fn plain(words: &str, most: usize) -> String {
    let mut short: String = words.chars().take(most).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    unlinked(&text::visible(&short))
}

/// Readers of mail and chat make links of what looks like an address. `evil[.]example` looks like one to people alone.
fn unlinked(words: &str) -> String {
    let apart = words.replace("://", "[:]//").replace("mailto:", "mailto[:]").replace('@', "[at]");
    let pieces: Vec<&str> = apart.split('.').collect();
    let mut out = String::with_capacity(apart.len());
    for (n, piece) in pieces.iter().enumerate() {
        if n > 0 {
            let before = pieces.get(n - 1).and_then(|before| before.chars().last());
            let joins = before.is_some_and(char::is_alphanumeric)
                && piece.chars().next().is_some_and(char::is_alphabetic);
            out.push_str(if joins { "[.]" } else { "." });
        }
        out.push_str(piece);
    }
    out
}

impl Event {
    fn name(&self, member: &str) -> String {
        plain(self.text(member), NAME)
    }

    /// `[production] `, where the upstream stands in one.
    fn place(&self) -> String {
        let environment = self.name("environment");
        if environment.is_empty() { environment } else { format!("[{environment}] ") }
    }

    /// What is done, with its verb.
    fn act(&self, how: Text) -> String {
        let title = self.said("title").filter(|_| how == Text::Full);
        if let Some(title) = title {
            return plain(title, SENTENCE);
        }
        let object = self.name("tool");
        let action = self.text("action");
        if let Some(method) = action.strip_prefix("http/") {
            return format!("send {} {object}", plain(method, NAME));
        }
        let act = ACTS.iter().find(|(known, _)| *known == action);
        act.map_or_else(|| format!("reach for {object}"), |(_, says)| says.replace("{}", &object))
    }

    /// Whether a person asked at the console: then the caller is they.
    fn is_of_the_console(&self) -> bool {
        self.text("caller").starts_with(CONSOLE)
    }

    fn ticket(&self, how: Text) -> Option<String> {
        self.said("ticket").filter(|_| how == Text::Full).map(|ticket| plain(ticket, NAME))
    }

    fn needs(&self) -> String {
        self.texts("needs").iter().map(|leaf| plain(leaf, SENTENCE)).collect::<Vec<_>>().join(", ")
    }

    fn code(&self) -> String {
        self.texts("words").join(" ")
    }

    /// How a request ended, as the end of a sentence.
    fn end(&self, how: Text) -> String {
        let names: Vec<String> = self.texts("by").iter().map(|name| plain(name, NAME)).collect();
        let by = if names.is_empty() { String::new() } else { format!(" by {}", names.join(" and ")) };
        let why = self.said("why").filter(|_| how == Text::Full);
        let why = why.map(|why| format!(": “{}”", plain(why, SENTENCE))).unwrap_or_default();
        match self.what {
            What::Approved => format!("approved{by}"),
            What::Rejected => format!("rejected{by}{why}"),
            What::Expired => "expired: nobody answered in time".to_owned(),
            What::Withdrawn => format!("withdrawn{by}{why}"),
            What::Superseded => "closed: what it takes has changed".to_owned(),
            What::Opened | What::Passkey => String::new(),
        }
    }

    /// All of it in one line: for chats and for what pops up on a screen.
    pub(crate) fn line(&self, how: Text) -> String {
        let head = format!("{}{} asks: {}", self.place(), self.name("caller"), self.act(how));
        let parts = match self.what {
            What::Opened => [
                Some(head),
                self.ticket(how).map(|ticket| format!("ticket {ticket}")),
                Some(self.needs()).filter(|needs| !needs.is_empty()).map(|needs| format!("needs {needs}")),
                self.time("expires_at").map(|at| format!("expires {}", clock(at))),
                Some(self.code()).filter(|code| !code.is_empty()).map(|code| format!("code {code}")),
            ],
            What::Passkey => [
                Some(format!("{} has one more passkey, let by {}", self.name("name"), self.name("by"))),
                self.time("signs_from").map(|at| format!("it signs from {} on", moment(at))),
                None,
                None,
                None,
            ],
            What::Approved | What::Rejected | What::Expired | What::Withdrawn | What::Superseded => {
                [Some(head), Some(self.end(how)), None, None, None]
            }
        };
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    /// The subject of the first mail of a thread; `whom` it goes to.
    pub(crate) fn subject(&self, whom: Whom, how: Text) -> String {
        let (place, caller, act) = (self.place(), self.name("caller"), self.act(how));
        match whom {
            Whom::Approver => format!("{place}{caller} asks: {act}"),
            Whom::Confirmer | Whom::Owner if self.is_of_the_console() => format!("{place}You asked: {act}"),
            Whom::Confirmer => format!("{place}{caller}, which is yours, asks you to confirm: {act}"),
            Whom::Owner => format!("{place}{caller}, which is yours, asks: {act}"),
            Whom::Holder => "You have one more passkey".to_owned(),
        }
    }

    /// The mail of a new request, or of a new passkey.
    pub(crate) fn mail(&self, whom: Whom, how: Text, link: &str) -> Said {
        let text = match self.what {
            What::Passkey => self.of_passkey(link),
            What::Opened => self.of_request(whom, how, link),
            What::Approved | What::Rejected | What::Expired | What::Withdrawn | What::Superseded => {
                self.after(how, link)
            }
        };
        Said { subject: self.subject(whom, how), text }
    }

    fn of_request(&self, whom: Whom, how: Text, link: &str) -> String {
        let (caller, owner) = (self.name("caller"), self.name("owner"));
        let what = match whom {
            Whom::Approver => format!("{caller}, which is {owner}'s, asks for approval."),
            Whom::Confirmer if self.is_of_the_console() => {
                "You asked for this, and are asked to confirm it.".to_owned()
            }
            Whom::Owner if self.is_of_the_console() => {
                "You asked for approval. It takes other people than you; once it is given, do it again."
                    .to_owned()
            }
            Whom::Confirmer => format!("{caller}, which is yours, asks you to confirm this."),
            Whom::Owner | Whom::Holder => {
                format!("{caller}, which is yours, asks for approval. It takes other people than you.")
            }
        };
        let rows = [
            ("What", Some(self.act(how))),
            ("Where", Some(self.name("environment")).filter(|environment| !environment.is_empty())),
            ("Ticket", self.ticket(how)),
            ("Needs", Some(self.needs()).filter(|needs| !needs.is_empty())),
            ("Expires", self.time("expires_at").map(moment)),
            ("Code", Some(self.code()).filter(|code| !code.is_empty())),
        ];
        let rows = rows.into_iter().filter_map(|(name, says)| Some(format!("  {name:<8} {}\n", says?)));
        let does = match whom {
            Whom::Approver => "Look at it and decide:",
            Whom::Confirmer => "Look at it, and confirm it if it is what you want:",
            Whom::Owner | Whom::Holder => "You can look at it, take it back, or stop the caller:",
        };
        let rows: String = rows.collect();
        format!(
            "{what}\n\n{rows}\n{does}\n{link}\n\nThe link shows the request, with the same code, and answers nothing: \
             that is done on its page.\nWithout an answer it expires, and nothing runs.\n"
        )
    }

    /// What follows the mail of a request once it is over.
    fn after(&self, how: Text, link: &str) -> String {
        let end = self.end(how);
        let mut letters = end.chars();
        let end: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let next = match self.what {
            What::Approved => "The caller may do it now, as often and as long as was approved.",
            What::Rejected | What::Expired | What::Withdrawn => "Nothing was run for it.",
            What::Superseded => "If it is asked for again, another request takes its place.",
            What::Opened | What::Passkey => "",
        };
        let (caller, act, at) = (self.name("caller"), self.act(how), moment(self.at));
        format!(
            "{end}, {at}.\n\n  {caller} asked: {act}\n\n{next} There is nothing left for you to answer.\n{link}\n"
        )
    }

    fn of_passkey(&self, link: &str) -> String {
        let (name, by) = (self.name("name"), self.name("by"));
        let signs = self.time("signs_from").map(moment).unwrap_or_default();
        format!(
            "A passkey was added for {name}, let by {by}. It signs you in at once, and requests from {signs} on.\n\n\
             Was it not you? Revoke it now, and tell your operator:\n{link}\n"
        )
    }
}

/// A moment to the minute, as far as a deadline within the day needs it.
fn clock(at: Time) -> String {
    let iso = When(at).iso();
    iso.get(11..16).map_or_else(|| iso.clone(), |minute| format!("{minute} UTC"))
}

fn moment(at: Time) -> String {
    When(at).iso().replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: &str = r#"{"type":"elevation.opened","timestamp":1795502659123,"data":{"elevation":"elv_1",
        "environment":"production","caller":"billing-agent","owner":"olga","action":"tools/call",
        "tool":"payments/release","needs":["1 approval from finance","the caller says why"],
        "expires_at":1795503559123,"words":["tourist","cause","begin","rebuild"]},
        "said":{"title":"Release payment batch 2026-W47","ticket":"CHG-8812"}}"#;

    fn over(what: &str, by: &str, why: &str) -> Event {
        let body = format!(
            r#"{{"type":"elevation.{what}","timestamp":1795502719123,"data":{{"elevation":"elv_1",
            "environment":"production","caller":"billing-agent","owner":"olga","action":"tools/call",
            "tool":"payments/release","by":{by}}},"said":{{"title":"Release payment batch 2026-W47","why":{why}}}}}"#
        );
        Event::of(&format!("elevation.{what}"), &body).unwrap()
    }

    /// Every text, of both lengths, as a person reads it.
    #[test]
    fn what_people_read_is_what_the_page_of_texts_says() {
        let link = "https://stepup.example/r/elv_1";
        let opened = Event::of("elevation.opened", OPENED).unwrap();
        let ends = [
            over("approved", r#"["ann","ben"]"#, "null"),
            over("rejected", r#"["ben"]"#, r#""wrong week""#),
            over("expired", "[]", "null"),
            over("withdrawn", r#"["billing-agent"]"#, r#""no longer needed""#),
            over("superseded", "[]", "null"),
        ];
        let passkey = r#"{"type":"passkey.enrolled","timestamp":1795502659123,
            "data":{"human":"hum_1","name":"ann","by":"os:0","signs_from":1795589059123}}"#;
        let passkey = Event::of("passkey.enrolled", passkey).unwrap();
        let mut page = String::new();
        for how in [Text::Brief, Text::Full] {
            page.push_str(&format!("######## {how:?} ########\n{}\n", opened.line(how)));
            for whom in [Whom::Approver, Whom::Confirmer, Whom::Owner] {
                let Said { subject, text } = opened.mail(whom, how, link);
                page.push_str(&format!("\n==== {whom:?}\nSubject: {subject}\n\n{text}"));
            }
            for end in &ends {
                let text = end.mail(Whom::Approver, how, link).text;
                page.push_str(&format!("\n==== {}\n{}\n\n{text}", end.kind, end.line(how)));
            }
            page.push('\n');
        }
        let Said { subject, text } = passkey.mail(Whom::Holder, Text::Brief, "https://stepup.example/me");
        page.push_str(&format!(
            "######## passkey ########\n{}\nSubject: {subject}\n\n{text}",
            passkey.line(Text::Brief)
        ));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/notify/golden/texts.txt"), &page)
                .unwrap();
        }
        assert_eq!(page, include_str!("golden/texts.txt"));
    }

    #[test]
    fn who_asked_at_the_console_is_told_so_in_other_words_than_an_owner() {
        let asked =
            OPENED.replace("billing-agent", "console:olga").replace("payments/release", "stepup/groups");
        let asked = Event::of("elevation.opened", &asked.replace("tools/call", "administer")).unwrap();
        let Said { subject, text } = asked.mail(Whom::Owner, Text::Brief, "");
        assert_eq!(subject, "[production] You asked: change stepup/groups");
        assert!(text.starts_with("You asked for approval. It takes other people than you;"), "{text}");
        let Said { text, .. } = asked.mail(Whom::Confirmer, Text::Brief, "");
        assert!(text.starts_with("You asked for this, and are asked to confirm it."), "{text}");
        assert!(asked.mail(Whom::Approver, Text::Brief, "").subject.contains("console:olga asks: "));
    }

    #[test]
    fn whatever_can_be_asked_for_has_words() {
        for row in terms::Action::TABLE {
            let event = Event::of("elevation.opened", &OPENED.replace("tools/call", row.name)).unwrap();
            let act = event.act(Text::Brief);
            assert!(!act.starts_with("reach for") && act.contains("payments/release"), "{}: {act}", row.name);
        }
    }

    #[test]
    fn in_brief_no_word_of_a_caller_is_told() {
        let evil = OPENED.replace("Release payment batch 2026-W47", "canary").replace("CHG-8812", "canary");
        let event = Event::of("elevation.opened", &evil).unwrap();
        let end = over("rejected", "[]", r#""canary""#);
        for whom in [Whom::Approver, Whom::Confirmer, Whom::Owner] {
            let said = event.mail(whom, Text::Brief, "");
            let all = format!(
                "{said:?}{}{}{:?}",
                event.line(Text::Brief),
                end.line(Text::Brief),
                end.mail(whom, Text::Brief, "")
            );
            assert!(!all.contains("canary"), "{all}");
        }
        assert!(event.line(Text::Full).contains("canary"));
    }

    #[test]
    fn text_of_others_makes_no_link_hides_nothing_and_has_an_end() {
        for (evil, shown) in [
            ("see https://evil.example/approve", "see https[:]//evil[.]example/approve"),
            ("www.evil.example", "www[.]evil[.]example"),
            ("mailto:eve@evil.example", "mailto[:]eve[at]evil[.]example"),
            ("version 2.4.1 to prod.", "version 2.4.1 to prod."),
            ("a\u{202e}b\r\nBcc: c", "a⟨U+202E⟩b⟨U+000D⟩⟨U+000A⟩Bcc: c"),
        ] {
            assert_eq!(plain(evil, 100), shown);
        }
        assert_eq!(plain(&"x".repeat(500), 100).chars().count(), 101);
        let flood =
            OPENED.replace("billing-agent", &"a".repeat(5000)).replace("Release payment", &"b ".repeat(5000));
        let event = Event::of("elevation.opened", &flood).unwrap();
        assert!(event.mail(Whom::Approver, Text::Full, "").text.len() < 2000);
    }

    #[test]
    fn an_event_of_another_version_is_told_nobody() {
        assert!(Event::of("elevation.dreamt", OPENED).is_none());
        for broken in ["", "[]", "{}", r#"{"data":[],"timestamp":1}"#] {
            assert!(Event::of("elevation.opened", broken).is_none());
        }
    }
}
