//! What check and load say: every code, where it is, and what it suggests.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use policy::{Code, Finding, Known, PolicySet, Severity};
use terms::{Millis, Requirement, Terms, Tree};

fn findings(text: &str) -> Vec<Finding> {
    compile(text).map_or_else(|findings| findings, |set| set.warnings().to_vec())
}

/// `code line:column suggestion`
fn told(findings: &[Finding]) -> Vec<String> {
    let line = |f: &Finding| {
        let suggestion = f.suggestion.as_deref().unwrap_or("-");
        format!("{} {}:{} {suggestion}", f.code, f.at.line, f.at.column)
    };
    findings.iter().map(line).collect()
}

fn codes(text: &str) -> Vec<Code> {
    findings(text).iter().map(|f| f.code).collect()
}

fn rule(annotations: &str, rest: &str) -> String {
    format!(r#"@id("a") {annotations} {rest};"#)
}

const STEP: &str = r#"@stepup("unreviewed")"#;
const CALLS: &str = r#"forbid (principal, action in Action::"tools/call", resource)"#;

#[test]
fn every_code_has_its_own_name_and_no_set_with_an_error_is_loaded() {
    let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(compile(&rule(r#"@stepup("nobody")"#, CALLS)).is_err());
}

#[test]
fn the_page_of_findings_has_every_code() {
    let mut page = String::from(
        "# What `stepup policy check` finds\n\n<!-- Made from the table in crates/policy/src/finding.rs: \
         UPDATE_GOLDEN=1 cargo test -p policy -->\n\nEach finding has a code that never changes its meaning, its file, line and \
         column, and where one can be guessed\nwhat was probably meant. With an *error* the policy is not taken and the one before \
         stays in force; a *warning* is\nsaid, and what it is about is probably not meant. `requirement_unmet` and \
         `entity_unknown` do not keep a policy from\nbeing taken, because people and tools may come later: they are errors of \
         `check` alone.\n",
    );
    for code in Code::ALL {
        let (what, todo) = code.explained();
        let severity = if code.severity() == Severity::Error { "error" } else { "warning" };
        page += &format!("\n## {code}\n\n*{severity}* · {what}\n\n{todo}\n");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/findings.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), page, "run it with UPDATE_GOLDEN=1 after a change");
}

#[test]
fn a_syntax_error_is_placed_in_its_line_and_the_other_rules_are_still_checked() {
    let text = "// one\n@id(\"a\")\npermit (principal, action, resource)\nwhen { 1 ++ 2 };\npermit (principal, action, resource);";
    let found = told(&findings(text));
    assert!(found[0].starts_with("syntax 4:11 "), "{found:?}");
    assert!(found[1].starts_with("id_missing 5:1 "), "{found:?}");
    for broken in [
        r#"@id("a") permit (principal, action, resource)"#,
        "x",
        "@id(\"a\") permit (\"",
        ";",
        ALL_TWICE_OPEN,
    ] {
        assert!(codes(broken).contains(&Code::Syntax), "{broken}");
    }
    assert_eq!(codes("// only a comment; no rule"), []);
}

const ALL_TWICE_OPEN: &str = r#"@id("a") permit (principal, action, resource); @id("b") forbid (principal,"#;

#[test]
fn a_rule_without_an_id_or_with_a_taken_one_is_an_error_over_all_files() {
    assert_eq!(codes("permit (principal, action, resource);"), [Code::IdMissing]);
    assert_eq!(codes(r#"@id("") permit (principal, action, resource);"#), [Code::IdMissing]);
    assert_eq!(codes("@id permit (principal, action, resource);"), [Code::IdMissing]);
    let texts = ["one.cedar", "two.cedar"].map(|file| (file.to_owned(), ALL.to_owned()));
    let found = PolicySet::compile(&BTreeMap::from(texts), &requirements()).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "two.cedar:1:1: id_duplicate: the rule at one.cedar:1:1 has the same `@id` \"all\""
    );
}

#[test]
fn a_template_is_an_error() {
    assert_eq!(codes(r#"@id("a") permit (principal == ?principal, action, resource);"#), [Code::Template]);
}

#[test]
fn a_slip_in_the_annotation_is_an_error() {
    for slip in ["stepUp", "step_up", "setpup", "stpup", "stepups", "STEPUP"] {
        let found = findings(&rule(&format!(r#"@{slip}("unreviewed")"#), CALLS));
        assert_eq!(found.len(), 1, "{slip}");
        assert_eq!(found[0].code, Code::AnnotationMisspelt);
    }
    assert_eq!(codes(&rule(r#"@description("step up") @owner("x")"#, CALLS)), []);
}

#[test]
fn a_step_up_on_a_permit_is_an_error() {
    let permit = r#"permit (principal, action in Action::"tools/call", resource)"#;
    assert_eq!(codes(&rule(STEP, permit)), [Code::StepupOnPermit]);
}

#[test]
fn a_step_up_without_a_name_is_an_error() {
    assert_eq!(codes(&rule("@stepup", CALLS)), [Code::StepupEmpty]);
    assert_eq!(codes(&rule(r#"@stepup("")"#, CALLS)), [Code::StepupEmpty]);
}

#[test]
fn an_unknown_requirement_is_an_error_with_what_was_probably_meant() {
    let found = findings(&rule(r#"@stepup("release-aproval")"#, CALLS));
    assert_eq!(told(&found), ["stepup_unknown 1:18 \"release-approval\""]);
    assert_eq!(told(&findings(&rule(r#"@stepup("four-eyes")"#, CALLS))), ["stepup_unknown 1:18 -"]);
}

#[test]
fn a_step_up_on_what_cannot_be_stepped_up_is_an_error() {
    let scopes = [
        "action",
        r#"action == Action::"approve""#,
        r#"action in Action::"approve""#,
        r#"action == Action::"approve:tools/call:ops/deploy""#,
        r#"action == Action::"discover""#,
        r#"action in [Action::"discover", Action::"tools/call"]"#,
        "action in []",
    ];
    for scope in scopes {
        let forbid = format!("forbid (principal, {scope}, resource)");
        assert_eq!(codes(&rule(STEP, &forbid)), [Code::StepupAction], "{scope}");
    }
}

#[test]
fn an_action_that_does_not_exist_is_an_error() {
    let actions = [
        (r#"Action::"tools/cal""#, "\"tools/call\""),
        (r#"Action::"tool/call""#, "\"tools/call\""),
        (r#"Action::"aprove""#, "\"approve\""),
        (r#"Action::"tools/call:deploy""#, "-"),
        (r#"Action::"tools/call:/deploy""#, "-"),
        (r#"Action::"prompts/got""#, "\"prompts/get\""),
        (r#"Action::"resources/read:ops/file:///x""#, "-"),
        (r#"Ops::Action::"tools/call""#, "\"tools/call\""),
    ];
    for (action, suggestion) in actions {
        let text = rule("", &format!("forbid (principal, action == {action}, resource)"));
        assert_eq!(told(&findings(&text)), [format!("action_unknown 1:40 {suggestion}")]);
    }
}

#[test]
fn what_nobody_does_to_anything_is_warned_of() {
    for (scope, suggestion) in [
        (r#"principal, action == Action::"tools/call", resource"#, r#"30 action in Action::"tools/call""#),
        (
            r#"principal, action == Action::"approve:prompts/get", resource"#,
            r#"30 action in Action::"approve:prompts/get""#,
        ),
        (r#"principal, action == Action::"tools/call:ops/deploy", resource == Tool::"ops/scale""#, "1 -"),
        (r#"principal, action == Action::"prompts/get:ops/brief", resource == Tool::"ops/brief""#, "1 -"),
    ] {
        let text = rule("", &format!("permit ({scope})"));
        assert_eq!(told(&findings(&text)), [format!("never_applies 1:{suggestion}")], "{scope}");
    }
    for scope in [
        r#"principal, action == Action::"resources/read", resource"#,
        r#"principal, action in Action::"tools/call", resource"#,
        r#"principal, action == Action::"tools/call:ops/deploy", resource == Tool::"ops/deploy""#,
        r#"principal, action == Action::"tools/call:ops/deploy", resource in Server::"ops""#,
        r#"principal, action in [Action::"discover", Action::"tools/call:ops/deploy"], resource == Tool::"ops/scale""#,
    ] {
        let text = rule("", &format!("permit ({scope})"));
        assert_eq!(told(&findings(&text)), [] as [String; 0], "{scope}");
    }
}

/// A `@stepup` about deploying, with one clause.
fn deploying(clause: &str) -> Vec<Code> {
    codes(&rule(
        STEP,
        &format!(r#"forbid (principal, action == Action::"tools/call:ops/deploy", resource) {clause}"#),
    ))
}

#[test]
fn a_step_up_that_names_what_is_dangerous_is_warned_of() {
    let open = [
        r#"when { context.arguments.environment == "production" }"#,
        r#"when { "production" == context.arguments.environment }"#,
        r#"when { context.arguments.environment like "prod*" }"#,
        r#"when { context.text like "*production*" }"#,
        r#"when { ["production", "prod"].contains(context.arguments.environment) }"#,
        r#"when { context.arguments.environments.contains("production") }"#,
        r#"when { context.arguments.environments.containsAny(["production"]) }"#,
        r#"unless { context.arguments.environment != "production" }"#,
        r#"unless { !(context.arguments.environment == "production") }"#,
        r#"when { context.arguments.n == 1 || context.arguments.environment == "production" }"#,
        r#"when { resource.reviewedReadOnly && context.arguments.environment == "production" }"#,
        r#"when { resource.reviewedReadOnly } when { context.arguments.environment == "production" }"#,
        r#"when { if context.arguments.environment == "production" then true else false }"#,
        r#"when { context.arguments.amount == decimal("1.0") }"#,
        r#"unless { context.arguments has environment && context.arguments.environment != "production" }"#,
        r#"unless { context.arguments has list && !context.arguments.list.contains("production") }"#,
        r#"when { !(context.arguments has environment) || context.arguments.environment == "production" }"#,
        r#"unless { context.arguments has a && context.arguments has b && context.arguments.b != "x" }"#,
    ];
    for clause in open {
        assert_eq!(deploying(clause), [Code::StepupFailOpen], "{clause}");
    }
    assert_eq!(Code::StepupFailOpen.severity(), Severity::Warning);
}

#[test]
fn a_step_up_that_names_what_is_harmless_is_not_warned_of() {
    let closed = [
        "",
        r#"unless { ["staging", "test"].contains(context.arguments.environment) }"#,
        r#"unless { context.arguments.environment == "staging" }"#,
        r#"unless { context.arguments.environment like "stag*" }"#,
        r#"when { context.arguments.environment != "staging" }"#,
        r#"when { !["staging"].contains(context.arguments.environment) }"#,
        "when { context.arguments.n > 100 }",
        r#"when { context.arguments.n > 100 || context.arguments.environment == "production" }"#,
        "when { context.arguments.force == true }",
        r#"when { resource in Environment::"production" }"#,
        "when { context.history.first_time }",
        r#"when { if context.arguments.environment == "staging" then false else true }"#,
        "unless { resource.reviewedReadOnly || resource.ruled }",
        r#"unless { context.arguments has environment && context.arguments.environment == "staging" }"#,
        "unless { context.arguments has dry_run && context.arguments.dry_run }",
        "unless { context.arguments has ticket }",
    ];
    for clause in closed {
        assert_eq!(deploying(clause), [], "{clause}");
    }
}

#[test]
fn a_step_up_that_is_off_without_an_optional_argument_is_an_error() {
    let off = [
        "when { context.arguments has force && context.arguments.force }",
        "when { context.arguments has n && context.arguments.n > 3 }",
        "when { context has arguments.n && context.arguments.n > 3 }",
        "when { context.arguments has n } when { context.arguments.n > 3 }",
        "unless { !(context.arguments has n) || context.arguments.n < 3 }",
        "when { if context.arguments has n then context.arguments.n > 3 else false }",
        "when { (context.arguments has n && context.arguments.n > 3) || (context.arguments has m && context.arguments.m > 3) }",
        "when { context.arguments has to.iban && context.arguments.to.n > 3 }",
    ];
    for clause in off {
        assert_eq!(deploying(clause), [Code::StepupAbsence], "{clause}");
    }
    let on = [
        r#"unless { context.arguments has environment && ["staging"].contains(context.arguments.environment) }"#,
        "when { !(context.arguments has n) || context.arguments.n > 3 }",
        "when { if context.arguments has n then context.arguments.n > 3 else true }",
        "when { context.arguments.n > 3 }",
        "when { context.network has source && context.network.source.isLoopback() }",
        "when { resource.reviewedReadOnly || !(context.arguments has n) }",
    ];
    for clause in on {
        assert_eq!(deploying(clause), [], "{clause}");
    }
}

fn with_requirement(tree: Tree, terms: Terms) -> Vec<Code> {
    let parts = BTreeMap::from([("odd".to_owned(), tree)]);
    let requirements = BTreeMap::from([("odd".to_owned(), Requirement { parts, terms })]);
    let found = PolicySet::compile(&BTreeMap::new(), &requirements);
    found.map_or_else(|found| found.iter().map(|f| f.code).collect(), |_| Vec::new())
}

#[test]
fn a_requirement_that_takes_nothing_or_that_nobody_can_meet_is_an_error() {
    let one = || approvals("security");
    let ticket = |pattern: &str| Tree::Ticket { pattern: pattern.to_owned() };
    let empty = [
        Tree::All(vec![]),
        Tree::Any(vec![one(), Tree::All(vec![])]),
        Tree::All(vec![Tree::All(vec![]), Tree::All(vec![])]),
    ];
    let impossible = [
        Tree::Any(vec![]),
        Tree::All(vec![one(), Tree::Any(vec![])]),
        ticket("^CHG-["),
        Tree::Any(vec![ticket("(")]),
    ];
    let possible = [
        one(),
        Tree::Any(vec![one(), ticket("(")]),
        Tree::All(vec![one(), Tree::Purpose]),
        ticket("^CHG-[0-9]+$"),
    ];
    for tree in empty {
        assert_eq!(with_requirement(tree, terms(5)), [Code::RequirementEmpty]);
    }
    for tree in impossible {
        assert_eq!(with_requirement(tree, terms(5)), [Code::RequirementImpossible]);
    }
    for tree in possible {
        assert_eq!(with_requirement(tree, terms(5)), []);
    }
    assert_eq!(with_requirement(one(), terms(0)), [Code::RequirementImpossible]);
    let hurried = Terms { pending_for: Millis::new(0), ..terms(5) };
    assert_eq!(with_requirement(one(), hurried), [Code::RequirementImpossible]);
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let deep = format!("when {{ {}1{} == 1 }}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(deploying(&deep), [Code::TooLarge]);
    assert_eq!(deploying(&format!("when {{ {}true }}", "true && ".repeat(501))), [Code::TooLarge]);
    assert_eq!(deploying(&format!("when {{ \"{}\" == \"\" }}", "x".repeat(17_000))), [Code::TooLarge]);
    let many: String =
        (0..10_001).map(|n| format!("@id(\"{n}\")permit(principal,action,resource);")).collect();
    assert_eq!(codes(&many), [Code::TooLarge]);
    assert_eq!(codes(&" ".repeat(5 << 20)), [Code::TooLarge]);
}

#[test]
fn the_deepest_statement_that_is_read_does_not_exhaust_the_stack() {
    let chains = [
        ("true && ", 2),
        ("false || ", 2),
        ("1 == 1 && ", 4),
        ("if false then true else ", 1),
        ("!false && ", 3),
        ("context.a.b.c has d && ", 5),
    ];
    let arguments = format!("unless {{ context.arguments{} == 1 }}", ".a".repeat(990));
    let clauses = chains.map(|(chain, operators)| {
        let n = (15_000 / chain.len()).min(980 / operators);
        format!("when {{ {}true }}", chain.repeat(n))
    });
    for clause in clauses.iter().chain([&arguments]) {
        assert_eq!(codes(&deploy_rule("@stepup(\"unreviewed\") forbid", clause)), [], "{clause}");
        let set = set(&deploy_rule("forbid", clause));
        assert!(["forbidden", "failed"].contains(&says(&set, &deploy(), "{}").as_str()), "{clause}");
    }
}

#[test]
fn names_that_do_not_exist_are_found_in_rules_and_requirements_with_what_was_meant() {
    let text = r#"
@id("a") permit (principal in Group::"opps-agents", action == Action::"tools/call:ops/deplyo", resource == Tool::"ops/deplyo");
@id("b") permit (principal, action, resource in Server::"opz") when { resource in Environment::"prodution" };
@id("c") permit (principal == Agent::"robot", action, resource) unless { principal in [Grup::"x"] };
@id("d") forbid (principal == Human::"alise", action == Action::"approve:tools/call:ops/deploy", resource);
@id("e") permit (principal == Service::"ci", action == Action::"administer", resource == Installation::"stepup");
@id("f") permit (principal, action == Action::"prompts/get:ops/breif", resource == Prompt::"ops/breif");
@id("g") permit (principal, action == Action::"resources/read", resource == Resource::"opz/file:///a");
@id("h") permit (principal, action == Action::"resources/read", resource == Resource::"ops/file:///a/../b");
@id("i") permit (principal, action == Action::"completion/complete", resource == Resource::"ops/file:///{path}");
"#;
    let set = set(text);
    let names = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
    let known = Known {
        groups: names(&["ops-agents", "release-managers"]),
        upstreams: names(&["ops"]),
        tools: names(&["ops/deploy"]),
        prompts: names(&["ops/brief"]),
        routes: names(&["crm/export"]),
        operations: names(&["todo/update"]),
        environments: names(&["production"]),
        humans: names(&["alice"]),
        agents: names(&["release-bot"]),
        services: None,
    };
    let found: Vec<String> =
        told(&set.check_names(&known)).into_iter().map(|line| line.replace("entity_unknown ", "")).collect();
    assert_eq!(
        found,
        [
            "0:0 -",
            r#"2:31 "ops-agents""#,
            r#"2:63 "ops/deploy""#,
            r#"2:108 "ops/deploy""#,
            r#"3:49 "ops""#,
            r#"3:83 "production""#,
            "4:31 -",
            r#"4:88 "Group""#,
            r#"5:31 "alice""#,
            r#"7:39 "ops/brief""#,
            r#"7:84 "ops/brief""#,
            r#"8:77 "ops""#,
            r#"9:77 Resource::"upstream/scheme://…", in its canonical form"#,
        ]
    );
    assert_eq!(set.check_names(&Known::default()).len(), 2, "offline, only what can never exist is found");
}
