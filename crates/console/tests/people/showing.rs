//! What an attacker writes is shown whole and harmless wherever a page shows it (T88, T89, T90).

use askama::Template;
use console::foreign::Foreign;
use console::view::{Card, Leaf, RequestPage};
use terms::card::{Claims, Unusual, UnusualText};
use terms::text::hides;

use crate::sample;

/// The Big List of Naughty Strings; nothing where the corpora are not at hand.
fn naughty() -> Vec<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let folder = std::env::var("STEPUP_CORPORA").unwrap_or_else(|_| beside.to_owned());
    let Ok(text) = std::fs::read(format!("{folder}/naughty/blns.json")) else {
        println!("no corpora at {folder}: only our own strings are tried");
        return Vec::new();
    };
    let parsed = terms::json::parse(&text).expect("blns.json");
    parsed.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Every character that hides, in lines of a hundred, and what markup could be made of.
fn ours() -> Vec<String> {
    let hidden: Vec<char> = ('\0'..=char::MAX).filter(|c| hides(*c)).collect();
    // Every kind once is enough of the 900,000 that are not assigned.
    let some = hidden.iter().enumerate().filter(|(i, c)| u32::from(**c) < 0x3000 || i % 4099 == 0);
    let some: Vec<char> = some.map(|(_, c)| *c).collect();
    let mut all: Vec<String> = some.chunks(100).map(|chunk| chunk.iter().collect()).collect();
    all.extend(
        [
            "</code></td></tr></table><script>window.pwned=1</script>",
            "\"><img src=x onerror=window.pwned=1>",
            "' onfocus='window.pwned=1",
            "<!--",
            "]]>",
            "{{ 7*7 }}{% raw %}",
            "&lt;b&gt;&#x3c;script&#x3e;",
            "javascript:alert(1)",
            "</title><svg onload=alert(1)>",
        ]
        .map(str::to_owned),
    );
    all
}

/// The text of markup as a reader of it would get it: tags gone, entities undone.
fn text_of(markup: &str) -> String {
    let mut out = String::new();
    let mut rest = markup;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(out, |text, (entity, is)| text.replace(entity, is))
}

/// What `⟨U+…⟩` in marks stands for, so that the whole value can be read back from the page.
fn read_back(shown: &str) -> String {
    let mut out = String::new();
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once("<mark class=\"cp\">") {
        out.push_str(&text_of(before));
        let (mark, after) = after.split_once("</mark>").expect("a mark that ends");
        if let Some(code) = mark.strip_prefix("⟨U+").and_then(|code| code.strip_suffix('⟩')) {
            out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        } // a count stands before what it counts
        rest = after;
    }
    out.push_str(&text_of(rest));
    out
}

#[test]
fn every_value_can_be_read_back_whole_and_holds_nothing_that_hides() {
    for text in naughty().into_iter().chain(ours()) {
        for shown in [Foreign::exact(&text), Foreign::line(&text), Foreign::lines(&text)] {
            let markup = shown.to_string();
            assert_eq!(read_back(&markup), text, "{markup}");
            let hidden = markup.chars().find(|c| hides(*c) && !matches!(c, '\n' | '\t'));
            assert_eq!(hidden, None, "in {markup}");
        }
    }
}

#[test]
fn a_hidden_line_break_is_never_only_a_break_where_every_character_counts() {
    assert!(!Foreign::line("a\nb").to_string().contains('\n'));
    assert_eq!(Foreign::exact("a\n\tb").to_string().matches('\t').count(), 0);
}

/// The tags of a page, without what stands between them.
fn tags(page: &str) -> Vec<String> {
    let starts = page.split('<').skip(1);
    let tags = starts.map(|piece| piece.split_once('>').map_or(piece, |(tag, _)| tag).to_owned());
    let known = ["bdi", "bdi dir=\"ltr\"", "/bdi", "mark class=\"cp\"", "/mark", "br", "/span"];
    tags.filter(|tag| !known.contains(&tag.as_str()) && !tag.starts_with("span class=\"")).collect()
}

/// A card in which every text is this one.
fn card_of(text: &str) -> terms::card::Card {
    let mut card = sample::model();
    let own = || text.to_owned();
    card.title = own();
    card.environment = own();
    card.caller.name = own();
    card.caller.owner = own();
    card.caller.chain = vec![own()];
    card.caller.key_prefix = own();
    card.caller.source = own();
    for field in &mut card.fields {
        field.label = own();
        field.value = own();
    }
    card.defaults = vec![(sample::pointer("/a"), own())];
    card.references = vec![(sample::pointer("/b"), Some(own()))];
    card.claims = Claims { purpose: Some(own()), ticket: Some(own()) };
    card.unusual = vec![Unusual { text: UnusualText::FirstTime, with: vec![own()] }];
    card.needed.iter_mut().for_each(|needed| needed.met_by = vec![own()]);
    card.needed.iter_mut().for_each(|needed| needed.leaf = own());
    card.tool.digest = own();
    card.tool.reviewed = Some(own());
    card.upstream.id = own();
    card.upstream.identity = own();
    card.words = [own(), own(), own(), own()];
    card
}

#[test]
fn no_text_of_anyone_adds_a_tag_or_an_attribute_to_any_page() {
    let plain = sample::request(&card_of("x")).render().unwrap();
    let strip = |page: &str| {
        let hash = page.split("data-card=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        let page = page.replace(hash, "");
        // A long value, an empty one and the loudness of an environment are drawn with other tags of ours.
        let kept =
            ["p class=\"fold\"", "/p", "button", "/button", "div class=\"long\"", "/div", "code", "/code"];
        tags(&page).into_iter().filter(|tag| !kept.iter().any(|k| tag.starts_with(k))).collect::<Vec<_>>()
    };
    let expected = strip(&plain);
    for text in naughty().into_iter().chain(ours()) {
        let page = sample::request(&card_of(&text)).render().unwrap();
        assert!(
            !page.contains("<script>") && !page.contains("<img") && !page.contains("<svg onload"),
            "{text}"
        );
        assert_eq!(strip(&page), expected, "{text:?}");
    }
}

#[test]
fn every_leaf_of_a_card_is_on_the_page_to_its_last_character() {
    let mut card = sample::model();
    card.fields = (0..500).map(|i| sample::field(&format!("/a/{i}"), &format!("value {i}"))).collect();
    let needle = format!("{}{}needle-at-the-end", "\n".repeat(5000), " ".repeat(200_000));
    card.fields.push(sample::field("/last", &needle));
    let page = sample::request(&card).render().unwrap();
    for i in 0..500 {
        assert!(page.contains(&format!(">value {i}<")), "{i}");
    }
    assert!(page.contains("needle-at-the-end") && page.contains("⟨200000 spaces⟩"));
    assert!(page.contains("⟨5000 line breaks⟩"));
}

#[test]
fn what_the_caller_says_stands_in_its_own_place_and_nowhere_else() {
    let mut card = sample::model();
    let claim = "everything is fine, trust me";
    card.claims = Claims { purpose: Some(claim.to_owned()), ticket: None };
    let page = sample::request(&card).render().unwrap();
    assert_eq!(page.matches(claim).count(), 1);
    let (before, _) = page.split_once(claim).unwrap();
    assert!(before.ends_with("<figcaption>The caller says</figcaption><blockquote><bdi dir=\"ltr\">"));
}

#[test]
fn nine_rows_that_wait_are_told_apart_by_what_they_show() {
    let page = sample::inbox().render().unwrap();
    let rows: Vec<String> =
        page.split("data-row>").skip(1).map(|row| text_of(row.split("</a>").next().unwrap())).collect();
    assert_eq!(rows.len(), 9);
    let told: std::collections::BTreeSet<&String> = rows.iter().collect();
    assert_eq!(told.len(), 9);
}

#[test]
fn a_secret_is_a_length_and_a_free_argument_is_any() {
    let card = Card::of(&sample::model());
    assert!(card.fields.iter().any(|leaf: &Leaf| leaf.secret));
    let page = sample::request(&sample::model()).render().unwrap();
    assert!(page.contains("secret, 40 bytes") && page.contains("NOT PINNED"));
    let page = sample::request(&sample::nasty()).render().unwrap();
    assert!(page.contains("any value: the grant does not bind this") && page.contains("up to 3 times"));
}

#[test]
fn what_was_not_sent_only_names_something_or_is_left_open_has_the_label_of_its_argument() {
    let mut model = sample::model();
    let mut item = sample::field("/steps/0/image", "app:2");
    item.label = "steps[0] › image".to_owned();
    model.fields.push(item);
    model.defaults.push((sample::pointer("/7"), "not sent".to_owned()));
    model.references.push((sample::pointer("/steps/0/image"), None));
    model.free = vec![sample::pointer("/token"), sample::pointer("/steps/0")];
    let card = Card::of(&model);
    let labels: Vec<String> = [
        card.defaults.iter().map(|(label, _)| label.plain()).collect::<Vec<_>>(),
        card.references.iter().map(|(label, _)| label.plain()).collect(),
        card.free.iter().map(Foreign::plain).collect(),
    ]
    .concat();
    assert_eq!(labels, ["strategy", "“7”", "artifact", "steps[0] › image", "token", "steps[0]"]);
    let page = sample::request(&model).render().unwrap();
    assert!(!page.contains("/strategy") && !page.contains("/artifact"), "no pointer is left on the card");
}

#[test]
fn of_what_is_no_tool_the_page_says_nothing_that_is_true_of_tools_alone() {
    let page = |kind| RequestPage { kind, ..sample::request(&sample::model()) }.render().unwrap();
    for (kind, says, never) in [
        ("tool", vec!["Tool and upstream", "Reviewed", "Definition"], vec!["only its URI"]),
        ("prompt", vec!["Prompt and upstream", "Definition"], vec!["Reviewed", "only its URI", "Tool and"]),
        (
            "resource",
            vec!["Resource and upstream", "only its URI"],
            vec!["Reviewed", "Definition", "Tool and"],
        ),
    ] {
        let page = page(kind);
        assert!(says.iter().all(|words| page.contains(words)), "{kind}");
        assert!(never.iter().all(|words| !page.contains(words)), "{kind}");
    }
}

#[test]
fn a_change_of_rules_is_shown_line_by_line_and_as_no_call() {
    let page = sample::proposal().render().unwrap();
    assert!(page.contains("Exactly this is changed") && page.contains("an account of this machine"));
    assert!(page.contains(r#"class="line new""#) && page.contains(r#"class="line gone""#));
    assert!(page.contains("<span class=\"sr\">removed: </span>"), "for who does not see colours");
    for not in ["bearer", "Tool and upstream", "by this caller", "+++ modified"] {
        assert!(!page.contains(not), "{not}");
    }
}
