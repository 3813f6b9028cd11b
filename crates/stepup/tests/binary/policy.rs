//! Rules before they are in force: what is wrong is shown with its line, scenarios come out as they say, and the starter sets do
//! what their scenarios say.

use std::path::Path;

use serde_json::Value;

use crate::world::{golden, run};

/// A folder as `init` writes it.
fn started(how: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", how, "."]).done();
    folder
}

fn change(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// Plays rules with what they take, as one who takes them over does; what their matrix is.
fn plays(what: &str, requirements: &str, files: &[(&str, String)]) -> String {
    let folder = started("--team");
    let config = folder.path().join("stepup.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{written}\n{requirements}")).unwrap();
    std::fs::remove_dir_all(folder.path().join("policies")).unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join("policies").join(name), text).unwrap();
    }
    let matrix =
        files.iter().find_map(|(name, _)| name.strip_suffix(".yaml")).unwrap().to_owned() + ".matrix";
    if !files.iter().any(|(name, _)| *name == matrix) {
        run(folder.path(), &["policy", "test", "--strict"]).failed(1, &["has no matrix"]);
        run(folder.path(), &["policy", "test", "--update"]).done();
    }
    let said = run(folder.path(), &["policy", "test", "--strict"]);
    assert_eq!(said.code, 0, "{what}: {}{}", said.out, said.err);
    std::fs::read_to_string(folder.path().join("policies").join(matrix)).unwrap()
}

/// The blocks of a page that are written in this language.
fn blocks(page: &str, language: &str) -> String {
    let begin = format!("```{language}\n");
    let all = page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next());
    all.collect()
}

#[test]
fn each_set_of_rules_does_what_its_scenarios_say_once_it_is_taken_over() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let names = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let sets: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".requirements.toml").map(str::to_owned)).collect();
    assert!(sets.len() >= 6, "{sets:?}");
    for set in sets {
        let files = [".cedar", ".scenarios.yaml", ".scenarios.matrix"].map(|ending| format!("{set}{ending}"));
        let requirements = read(&format!("{set}.requirements.toml"));
        let [rules, scenarios, matrix] = files.each_ref().map(String::as_str);
        let without = [(rules, read(rules)), (scenarios, read(scenarios))];
        golden(&format!("../../policies/{matrix}"), &plays(&set, &requirements, &without));
        plays(&set, &requirements, &[without.as_slice(), &[(matrix, read(matrix))]].concat());
    }
}

#[test]
fn each_recipe_of_the_cookbook_does_what_it_says() {
    let page = include_str!("../../../../docs/policy-cookbook.md").split_once("\n## Recipes").unwrap().1;
    let (base, recipes) = page.split_once("\n### ").unwrap();
    let (rules, cast) = (blocks(base, "cedar"), blocks(base, "yaml"));
    let recipes: Vec<&str> = recipes.split("\n### ").collect();
    assert!(recipes.len() >= 8, "{}", recipes.len());
    for recipe in recipes {
        let scenarios = blocks(recipe, "yaml");
        assert!(scenarios.contains("expect:"), "{recipe}");
        let files = [
            ("recipe.cedar", format!("{rules}\n{}", blocks(recipe, "cedar"))),
            ("recipe.scenarios.yaml", format!("{cast}\nscenarios:\n{scenarios}")),
        ];
        plays(recipe.lines().next().unwrap(), &blocks(recipe, "toml"), &files);
    }
}

const RULES: &str = "policies/starter.cedar";
const SCENARIOS: &str = "policies/starter.scenarios.yaml";

#[test]
fn the_starter_sets_do_what_their_scenarios_say_and_each_rule_is_exercised() {
    for how in ["--alone", "--team"] {
        let folder = started(how);
        run(folder.path(), &["policy", "test", "--update"]).done();
        let said = run(folder.path(), &["policy", "test", "--strict", "--json"]).done();
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&said["ok"], said["unexercised"].as_array().unwrap().len()), (&Value::Bool(true), 0));
        assert!(said["scenarios"].as_array().unwrap().len() >= 10, "{how}");
        assert!(!folder.path().join("stepup.db").exists(), "it needs no store");
    }
}

#[test]
fn a_rule_that_opens_more_fails_the_scenario_and_the_matrix_with_what_came_instead() {
    let folder = started("--team");
    run(folder.path(), &["policy", "test", "--update"]).done();
    run(folder.path(), &["policy", "test"]).done();
    change(folder.path(), RULES, "[\"staging\", \"test\"]", "[\"staging\", \"test\", \"production\"]");
    let text = run(folder.path(), &["policy", "test"])
        .failed(1, &["deploying to production takes a release manager"]);
    assert!(text.contains("expected release-approval, and it is permit, because of agents-work"), "{text}");
    // Who sees and does more than before is told by the matrix, whether or not a scenario is about it.
    change(folder.path(), RULES, ", \"production\"]", "]");
    change(folder.path(), RULES, "principal in Group::\"ops-agents\"", "principal");
    let text = run(folder.path(), &["policy", "test"]).failed(1, &["starter.scenarios.matrix has changed"]);
    assert!(text.contains("- stranger | tool ops/read_ticket | not see it, not use it"), "{text}");
    assert!(text.contains("+ stranger | tool ops/read_ticket | see it, use it"), "{text}");
}

/// Each of these opens something that no line of the starter set's scenarios is about.
#[test]
fn whatever_opens_more_is_in_the_matrix_and_what_keeps_it_is_missed() {
    const CONFIG: &str = "stepup.toml";
    let folder = started("--team");
    let (path, matrix) = (folder.path(), folder.path().join("policies/starter.scenarios.matrix"));
    run(path, &["policy", "test", "--update"]).done();
    run(path, &["policy", "test", "--strict"]).done();
    for (file, from, to, line) in [
        (
            RULES,
            "[\"staging\", \"test\"]",
            "[\"staging\", \"test\", \"prod-eu\"]",
            "+ rule | deploy-outside-staging | ",
        ),
        (
            RULES,
            "principal in Group::\"host\"",
            "principal is Human",
            "+ ann | administer policy | change it",
        ),
        (CONFIG, "uses = 1", "uses = 100", "100 uses within"),
        (CONFIG, "valid_for = \"15m\"", "valid_for = \"100d\"", "within 100d"),
    ] {
        let kept = std::fs::read_to_string(path.join(file)).unwrap();
        change(path, file, from, to);
        let text = run(path, &["policy", "test"]).failed(1, &["starter.scenarios.matrix has changed"]);
        assert!(text.contains(line), "{line}: {text}");
        std::fs::write(path.join(file), kept).unwrap();
    }
    let kept = std::fs::read_to_string(&matrix).unwrap();
    std::fs::write(&matrix, kept.replace('\n', "\r\n")).unwrap();
    run(path, &["policy", "test", "--strict"]).done();
    std::fs::rename(&matrix, matrix.with_file_name("other.scenarios.matrix")).unwrap();
    run(path, &["policy", "test", "--strict"]).failed(
        1,
        &["starter.scenarios.yaml has no matrix", "other.scenarios.matrix is of no file of scenarios"],
    );
}

#[test]
fn a_scenario_that_says_nothing_that_can_be_played_is_an_error_and_never_passes() {
    for (from, to, says) in [
        ("call: ops/deploy", "call: ops/depoly", "nothing of that name is pinned"),
        ("caller: release-bot", "caller: relase-bot", "there is no caller \"relase-bot\""),
        ("expect: release-approval", "expects: release-approval", "expects"),
        ("owner: dave", "owner: davve", "\"davve\" is not among its people"),
        ("because: [agents-work]", "because: [agents]", "because of agents-work"),
        ("expect: unreviewed", "expect: deny", "expected deny, and it is unreviewed"),
        ("expect: unreviewed", "expect: unreviewd", "there is no requirement \"unreviewd\""),
        ("approved_by: [ann]", "approved_by: [anne]", "there is no person \"anne\""),
        ("people:", "people: &a [*a]\nx:", "policies"),
    ] {
        let folder = started("--team");
        change(folder.path(), SCENARIOS, from, to);
        run(folder.path(), &["policy", "test"]).failed(1, &[says]);
    }
    let folder = started("--team");
    std::fs::write(folder.path().join(SCENARIOS), "x".repeat(1 << 21)).unwrap();
    run(folder.path(), &["policy", "test"]).failed(1, &["over 1 MiB"]);
    std::fs::remove_file(folder.path().join(SCENARIOS)).unwrap();
    run(folder.path(), &["policy", "test"]).failed(1, &["no file that ends with .scenarios.yaml"]);
}

#[test]
fn a_slip_in_a_file_of_scenarios_is_told_once_with_its_place() {
    let folder = started("--team");
    change(folder.path(), SCENARIOS, "expect: release-approval", "expects: release-approval");
    let text = run(folder.path(), &["policy", "test"]).failed(1, &["unknown field `expects`", "line 41"]);
    assert_eq!((text.matches("expects").count(), text.matches("line 41").count()), (1, 1), "{text}");
}

#[test]
fn a_scenario_says_whether_its_caller_is_shown_that_something_is_there() {
    let scenario = |says: &str| {
        let folder = started("--team");
        let file = folder.path().join(SCENARIOS);
        let written = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{written}\n  - name: seeing\n{says}")).unwrap();
        run(folder.path(), &["policy", "test"])
    };
    let of = |caller: &str, rest: &str| format!("    caller: {caller}\n    call: ops/deploy\n{rest}");
    scenario(&of("release-bot", "    discover: shown\n    because: [agents-work]\n")).done();
    scenario(&of("stranger", "    discover: hidden\n    because: []\n")).done();
    // Beside what comes of using it, which is what the reasons are then of.
    let both = "    arguments: { environment: production, version: \"1\" }\n    expect: release-approval\n    discover: shown\n";
    scenario(&of("release-bot", &format!("{both}    because: [deploy-outside-staging]\n"))).done();
    for (says, why) in [
        (of("stranger", "    discover: shown\n"), "expected shown, and it is hidden, because of no rule"),
        (
            of("release-bot", "    discover: hidden\n"),
            "expected hidden, and it is shown, because of agents-work",
        ),
        (
            of("release-bot", "    discover: shown\n    because: []\n"),
            "it is shown, and because of agents-work",
        ),
        (of("release-bot", "    discover: seen\n"), "unknown variant `seen`"),
        (of("release-bot", ""), "expects nothing"),
        ("    person: ann\n    administer: true\n    discover: shown\n".to_owned(), "discover is of callers"),
    ] {
        scenario(&says).failed(1, &[why]);
    }
}

#[test]
fn a_step_up_that_is_met_exercises_the_permit_that_lets_it_through_and_one_that_is_not_does_not() {
    let folder = started("--team");
    let head = "people: { dave: [], ann: [release-managers] }\ncallers: { bot: { owner: dave, groups: [ops-agents] } }\n\
                tools: { ops/deploy: {} }\nscenarios:\n";
    let of = |rest: &str| format!("{head}  - {{ name: it, caller: bot, call: ops/deploy, {rest} }}\n");
    let unexercised = |scenarios: &str| -> Vec<String> {
        std::fs::write(folder.path().join(SCENARIOS), scenarios).unwrap();
        let said: Value =
            serde_json::from_str(&run(folder.path(), &["policy", "test", "--json"]).done()).unwrap();
        said["unexercised"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let permit = "agents-work".to_owned();
    assert!(unexercised(&of("expect: release-approval")).contains(&permit));
    let met = unexercised(&of(
        "expect: permit, because: [deploy-outside-staging], approved_by: [ann], purpose: p, ticket: CHG-1",
    ));
    assert!(!met.contains(&permit) && !met.contains(&"deploy-outside-staging".to_owned()), "{met:?}");
}

#[test]
fn before_any_upstream_is_there_the_starter_rules_check_out_and_what_was_not_looked_at_is_said() {
    for how in ["--alone", "--team"] {
        let folder = started(how);
        let text = run(folder.path(), &["policy", "check"]).done();
        assert!(
            text.contains("Nothing is wrong") && text.contains("No upstream is configured yet"),
            "{text}"
        );
        // One that was never reached is named, and one that is not there is a mistake once there are others.
        let config = folder.path().join("stepup.toml");
        let written = std::fs::read_to_string(&config).unwrap();
        let with = |name: &str| {
            let upstream = format!("[upstreams.{name}]\nurl = \"http://127.0.0.1:9/mcp\"\n");
            std::fs::write(&config, format!("{upstream}\n{written}")).unwrap();
            run(folder.path(), &["policy", "check"])
        };
        let text = with("ops").done();
        assert!(text.contains("Nothing is wrong") && text.contains("Nothing was read yet of ops"), "{text}");
        with("tickets").failed(1, &["entity_unknown", "ops/deploy"]);
    }
}

#[test]
fn what_is_wrong_is_shown_with_its_line_and_plays_no_scenario() {
    let folder = started("--team");
    change(
        folder.path(),
        RULES,
        "context.arguments has environment &&",
        "context.arguments has environment && context.arguments.environment > 3 &&",
    );
    let text = run(folder.path(), &["policy", "test"]).failed(1, &["error[type]"]);
    assert!(text.contains("^") && text.contains("context.arguments.environment > 3"), "{text}");
    assert!(text.contains("--> starter.cedar:"), "{text}");
    assert!(text.contains("no scenario was played"), "{text}");
    // Nothing is pinned yet, so the types of the tool are not known: that is told, and nothing is made up.
    let text = run(folder.path(), &["policy", "check"]).done();
    assert!(text.contains("was held against nothing"), "{text}");
}

#[test]
fn what_the_configuration_says_now_is_put_in_force_by_activate() {
    let home = crate::world::Home::new();
    let server = home.serve();
    let policy = || home.tells(&["policy", "show"])["policy"].clone();
    let first = policy();
    let config = home.read("stepup.toml");
    home.write("stepup.toml", &config.replace("uses = 1", "uses = 2"));
    let said = home.tells(&["policy", "activate"]);
    assert_eq!(said["changed"], true, "{said}");
    let second = policy();
    assert_ne!(first, second, "a requirement that is not what the file says is told to be in force");
    // A configuration that is spoilt changes nothing, and says so.
    home.write("stepup.toml", &format!("{config}\nnonsense"));
    home.run(&["policy", "activate"]).failed(1, &["stepup.toml"]);
    assert_eq!(policy(), second);
    home.write("stepup.toml", &config);
    assert_eq!(home.tells(&["policy", "activate"])["changed"], true);
    assert_eq!(policy(), first);
    drop(server);
}
