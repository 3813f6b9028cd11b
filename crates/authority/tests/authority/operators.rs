//! A21: who changes what decisions rest on is asked of the rules, and what they step up is a request like any other.

use authority::{Activated, Added, By, HOST, NewCaller, Operator, Stopped, Voted};
use store::{LockSubject, Policy};
use terms::{CallerKind, ElevationId, Slug};

use crate::world::*;
use authority::NotCounted;

/// The rules of the world, under which every change takes a manager who is not behind whoever makes it.
pub fn guarded() -> String {
    format!(
        r#"{RULES}
@id("changes") @stepup("release")
forbid (principal, action == Action::"administer", resource);"#
    )
}

/// olga's account, in a world whose changes are approved.
pub async fn world() -> (World, By) {
    let world = World::new().await;
    let by = By::account(1000);
    let Added::Done(_) = world.authority().own_account("olga", 1000, &by).await.unwrap() else { panic!() };
    assert_eq!(world.authority().activate(&bundle_of(&guarded()), &by).await.unwrap(), Activated::Done);
    (world, by)
}

pub fn asked<T: std::fmt::Debug>(added: Added<T>) -> ElevationId {
    let Added::Stopped(Stopped::Asked(challenge)) = added else { panic!("{added:?}") };
    challenge.elevation
}

pub fn denied_for<T: std::fmt::Debug>(added: Added<T>) -> Slug {
    let Added::Stopped(Stopped::Denied(denial)) = added else { panic!("{added:?}") };
    denial.slug
}

pub fn waits(activated: Activated) -> ElevationId {
    let Activated::Stopped(Stopped::Asked(challenge)) = activated else { panic!("{activated:?}") };
    challenge.elevation
}

#[tokio::test]
async fn a_change_of_rules_comes_into_force_once_it_is_approved_and_is_shown_as_its_difference() {
    let (world, by) = world().await;
    world.run(world.permitted("read_ticket", "{}").await).await;
    let calmer = bundle_of(&guarded().replace("permit (principal in", "forbid (principal in"));
    let before = world.authority().active().policy();
    let id = waits(world.authority().activate(&calmer, &by).await.unwrap());
    assert_eq!(waits(world.authority().activate(&calmer, &by).await.unwrap()), id, "it waits once");

    let (_, card, _) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
    assert_eq!(card.title, "Change the rules");
    let patch = card.fields.iter().find(|field| field.value.contains("@@")).expect("the difference");
    assert!(patch.value.contains("-permit (principal in") && patch.value.contains("+forbid (principal in"));
    let would: Vec<String> = card.unusual.iter().map(terms::card::Unusual::says).collect();
    assert!(would.iter().any(|says| says.contains("1 permitted at once would be denied")), "{would:?}");

    assert_eq!(world.approve(id, "olga").await, Err(NotCounted::Behind), "it is her account");
    assert!(matches!(world.approve(id, "ann").await, Ok(Voted::Approved(_))));
    assert_eq!(world.authority().active().policy(), before, "approved is not in force");
    assert_eq!(world.authority().activate(&calmer, &by).await.unwrap(), Activated::Done);
    assert_eq!(world.authority().active().policy(), calmer.hash());
    assert_eq!(world.authority().activate(&calmer, &by).await.unwrap(), Activated::Already);
    world.settled().await;
    let activated = world.bodies("policy_activated").await;
    assert_eq!(activated.last().unwrap().get("by").unwrap().as_str(), Some("os:1000"));
    assert_eq!(world.bodies("spent").await.len(), 1, "the grant is spent on it");
    world.verified().await;
}

#[tokio::test]
async fn what_was_approved_for_one_change_makes_no_other() {
    let (world, by) = world().await;
    let join =
        async |group: &str, name: &str| world.authority().set_member(group, name, true, &by).await.unwrap();
    let id = asked(join("managers", "dave").await);
    world.approve(id, "ann").await.unwrap();
    assert_ne!(asked(join("managers", "sam").await), id, "another person");
    assert_ne!(asked(join("security", "dave").await), id, "another group");
    let Added::Done(()) = join("managers", "dave").await else { panic!() };
    let Added::Done(()) = join("managers", "dave").await else { panic!("it is so already") };
    let Added::Stopped(_) = world.authority().set_member("managers", "dave", false, &by).await.unwrap()
    else {
        panic!("to take out is another change")
    };
    assert_eq!(world.bodies("group_changed").await.len(), 1);
    world.verified().await;
}

#[tokio::test]
async fn an_account_that_is_nobodys_can_ask_for_nothing_that_takes_approval() {
    let (world, _) = world().await;
    let stranger = By::account(1001);
    let invited = world.authority().add_human("eve", &[], &stranger).await.unwrap();
    assert_eq!(denied_for(invited), Slug::NobodyMayApprove);
    let mine = world.authority().own_account("ann", 1001, &stranger).await.unwrap();
    assert_eq!(denied_for(mine), Slug::NobodyMayApprove, "nor say itself whose it is");
    assert!(world.authority().active().human_named("eve").is_none());
    let denied = world.bodies("denied").await;
    assert_eq!(denied.len(), 2);
    world.verified().await;
}

#[tokio::test]
async fn what_no_rule_lets_is_denied_and_recorded_with_the_rules() {
    let world = World::new().await;
    let rules = format!(
        "{RULES}\n@id(\"not-groups\") forbid (principal, action == Action::\"administer\", resource == Installation::\"stepup/groups\");"
    );
    let by = By::account(0);
    assert_eq!(world.authority().activate(&bundle_of(&rules), &by).await.unwrap(), Activated::Done);
    let added = world.authority().set_member("managers", "dave", true, &by).await.unwrap();
    assert_eq!(denied_for(added), Slug::PolicyDenied);
    let denied = world.bodies("denied").await;
    assert_eq!(denied.last().unwrap().get("by").unwrap().text(), r#"["not-groups"]"#);
    let Added::Done(_) = world.authority().add_human("eve", &[], &by).await.unwrap() else { panic!() };
    world.verified().await;
}

#[tokio::test]
async fn a_proposal_for_rules_that_are_not_in_force_any_more_is_over() {
    let (world, by) = world().await;
    let first = bundle_of(&format!("{}\n// first", guarded()));
    let second = bundle_of(&format!("{}\n// second", guarded()));
    let (one, two) = (
        waits(world.authority().activate(&first, &by).await.unwrap()),
        waits(world.authority().activate(&second, &by).await.unwrap()),
    );
    world.approve(one, "ann").await.unwrap();
    assert_eq!(world.authority().activate(&first, &by).await.unwrap(), Activated::Done);
    let late = world.begin(two, "ann").await;
    assert_eq!(late, Err(NotCounted::Over("other rules came into force since it was made")));
    let again = waits(world.authority().activate(&second, &by).await.unwrap());
    assert_ne!(again, two, "what it would change now is something else");
    world.verified().await;
}

#[tokio::test]
async fn to_roll_back_is_a_proposal_too() {
    let (world, by) = world().await;
    let revisions = world.authority().revisions(10).await.unwrap();
    let [now, first] = revisions.as_slice() else { panic!("{}", revisions.len()) };
    assert_eq!((now.hash, first.hash), (bundle_of(&guarded()).hash(), bundle().hash()));
    let id = waits(world.authority().roll_back(first, &by).await.unwrap());
    let (_, card, _) = world.authority().begin_consent(id, world.id("ben")).await.unwrap().unwrap();
    assert_eq!(card.title, "Put earlier rules back in force");
    world.approve(id, "ben").await.unwrap();
    assert_eq!(world.authority().roll_back(first, &by).await.unwrap(), Activated::Done);
    assert_eq!(world.authority().active().policy(), bundle().hash());
    let forged = Policy { bundle: bundle_of(RULES).to_json(), hash: now.hash, ..first.clone() };
    assert!(world.authority().roll_back(&forged, &by).await.is_err(), "it is not what its hash says");
    world.verified().await;
}

#[tokio::test]
async fn who_is_locked_out_by_the_rules_recovers_and_it_is_recorded_as_that() {
    let world = World::new().await;
    let by = By::account(0);
    let nobody = RULES.replace("permit (principal is Human", "forbid (principal is Human");
    assert_eq!(world.authority().activate(&bundle_of(&nobody), &by).await.unwrap(), Activated::Done);
    let back = world.authority().activate(&bundle(), &by).await.unwrap();
    let Activated::Stopped(Stopped::Denied(denial)) = back else { panic!("{back:?}") };
    assert_eq!(denial.slug, Slug::PolicyDenied);
    assert_eq!(world.authority().recover(&bundle(), &by).await.unwrap(), Activated::Done);
    assert_eq!(world.bodies("policy_recovered").await.len(), 1);
    world.verified().await;
}

#[tokio::test]
async fn a_lock_on_everything_can_be_lifted_where_lifting_takes_approval() {
    let (world, _) = world().await;
    let why = "an incident".to_owned();
    let lock = world.authority().lock(LockSubject::All, "os:0".to_owned(), why, None).await.unwrap();
    let lift = async || {
        let begun = world.authority().begin_unlock(lock, world.id("sam")).await.unwrap()?;
        let signed = world.sign(&begun, "sam");
        world.authority().unlock(lock, world.id("sam"), "it is over", &signed).await.unwrap()
    };
    let Err(NotCounted::Asked(id)) = lift().await else { panic!("sam lifts it alone") };
    assert_eq!(world.approve(id, "sam").await, Err(NotCounted::Behind));
    world.approve(id, "ann").await.unwrap();
    assert_eq!(world.authority().active().locks().len(), 1, "approved is not lifted");
    lift().await.unwrap();
    assert_eq!(world.authority().active().locks().len(), 0);
    world.verified().await;
}

#[tokio::test]
async fn nobody_who_is_stopped_reaches_approving_for_themselves_unseen() {
    let world = World::new().await;
    let found = |rules: &str| {
        let findings = world.authority().active().check(&bundle_of(rules), true);
        let of =
            |found: &policy::Finding| ["self_approval", "nobody_administers"].contains(&found.code.name());
        findings.iter().filter(|found| of(found)).map(ToString::to_string).collect::<Vec<_>>()
    };
    let open = found(RULES);
    assert!(open.iter().all(|found| found.contains(&format!("Group::\"{HOST}\""))), "{open:?}");
    assert!(open[0].contains("policy, groups, callers and people"), "{open:?}");
    let before_it_is_hers = found(&guarded());
    assert!(before_it_is_hers.len() == 1 && before_it_is_hers[0].contains("nobody_administers"));

    let Added::Done(_) =
        world.authority().own_account("olga", 1000, &authority::By::account(0)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(found(&guarded()), [] as [String; 0], "it takes another person");
    let nobody_approves = format!(
        r#"{}
@id("none") forbid (principal in Group::"managers", action in Action::"approve:administer", resource);"#,
        guarded()
    );
    let stuck = found(&nobody_approves);
    assert!(stuck.iter().all(|found| found.contains("nobody_administers")), "{stuck:?}");
    let [at_machine, at_console] = stuck.try_into().unwrap();
    assert!(at_machine.contains("nobody who is there could change policy"), "{at_machine}");
    assert!(at_console.contains("definitions and locks at the console"), "{at_console}");
    let by_number = format!(
        r#"{RULES}
@id("changes") @stepup("release") forbid (principal, action == Action::"administer", resource)
unless {{ principal == Human::"os:1234" }};"#
    );
    let named = found(&by_number);
    assert!(named.len() == 1 && named[0].contains("whoever has the account os:1234"), "{named:?}");
    let confirms = format!(
        "{RULES}\n@id(\"own\") @stepup(\"solo\") forbid (principal, action == Action::\"administer\", resource);"
    );
    let own = found(&confirms);
    assert!(own.len() == 1 && own[0].contains("olga, by the account os:1000"), "{own:?}");
    let groups_only = format!(
        r#"{RULES}
@id("most") @stepup("release") forbid (principal, action == Action::"administer", resource)
unless {{ resource == Installation::"stepup/groups" }};"#
    );
    assert!(
        found(&groups_only).iter().all(|found| found.contains("can change groups")),
        "{:?}",
        found(&groups_only)
    );
    let nobody = RULES.replace("permit (principal is Human", "forbid (principal is Human");
    let stuck = found(&nobody);
    world.verified().await;
    let [at_machine, at_console] = stuck.try_into().unwrap();
    assert!(at_machine.contains("policy, groups, callers and people"), "{at_machine}");
    assert!(at_console.contains("definitions and locks"), "{at_console}");
}

#[tokio::test]
async fn nobody_gets_rid_of_rules_about_them_by_being_disabled() {
    let world = World::new().await;
    let by = By::account(1000);
    let Added::Done(_) = world.authority().own_account("olga", 1000, &by).await.unwrap() else { panic!() };
    let rules = format!(
        r#"{RULES}
@id("not-olga") forbid (principal == Human::"olga", action == Action::"administer", resource == Installation::"stepup/callers");
@id("on-duty") @stepup("release")
forbid (principal in Group::"on-duty", action == Action::"administer", resource == Installation::"stepup/people");"#
    );
    let Added::Done(()) = world.authority().set_member("on-duty", "olga", true, &by).await.unwrap() else {
        panic!()
    };
    assert_eq!(world.authority().activate(&bundle_of(&rules), &by).await.unwrap(), Activated::Done);
    let of_olga = NewCaller {
        name: "robot".to_owned(),
        kind: CallerKind::Agent,
        owner: "ann".to_owned(),
        groups: Vec::new(),
        act: Vec::new(),
    };
    let Added::Missing(_) = world.authority().disable_caller("os:1000", &by).await.unwrap() else {
        panic!("an account is somebody's for good")
    };
    for disabled in [false, true] {
        if disabled {
            let Added::Done(()) = world.authority().disable_human("olga", &by).await.unwrap() else {
                panic!()
            };
        }
        let added = world.authority().add_caller(&of_olga, &by).await.unwrap();
        assert_eq!(denied_for(added), Slug::PolicyDenied, "{disabled}");
        let id = asked(world.authority().add_human("eve", &[], &by).await.unwrap());
        assert!(world.approve(id, "olga").await.is_err());
        if disabled {
            world.approve(id, "ann").await.unwrap();
            let Added::Done(_) = world.authority().add_human("eve", &[], &by).await.unwrap() else {
                panic!()
            };
        }
    }
    let olga = world.authority().active().humans().find(|human| human.name == "olga").unwrap().id;
    let who = By::saying_nothing(Operator::Person(olga));
    let Added::Stopped(_) = world.authority().set_member("managers", "dave", true, &who).await.unwrap()
    else {
        panic!("who is disabled does nothing at the console")
    };
    world.verified().await;
}

#[tokio::test]
async fn an_approval_does_not_come_back_with_the_rules_that_it_was_given_under() {
    let (world, by) = world().await;
    let (one, two) =
        (bundle_of(&format!("{}\n// one", guarded())), bundle_of(&format!("{}\n// two", guarded())));
    let put = async |bundle: &authority::Bundle| {
        let id = waits(world.authority().activate(bundle, &by).await.unwrap());
        world.approve(id, "ann").await.unwrap();
        assert_eq!(world.authority().activate(bundle, &by).await.unwrap(), Activated::Done);
    };
    let unused = waits(world.authority().activate(&one, &by).await.unwrap());
    world.approve(unused, "ann").await.unwrap();
    put(&two).await;
    put(&bundle_of(&guarded())).await;
    let again = waits(world.authority().activate(&one, &by).await.unwrap());
    assert_ne!(again, unused);
    world.verified().await;
}

#[tokio::test]
async fn nobody_else_is_put_into_the_group_of_the_accounts() {
    let world = World::new().await;
    let by = By::account(0);
    let host = vec![HOST.to_owned()];
    let new = NewCaller {
        name: "robot".to_owned(),
        kind: CallerKind::Agent,
        owner: "ann".to_owned(),
        groups: host.clone(),
        act: Vec::new(),
    };
    assert!(matches!(world.authority().add_caller(&new, &by).await.unwrap(), Added::Missing(_)));
    let operator = NewCaller { kind: CallerKind::Operator, groups: Vec::new(), ..new };
    assert!(matches!(world.authority().add_caller(&operator, &by).await.unwrap(), Added::Missing(_)));
    assert!(matches!(world.authority().add_human("eve", &host, &by).await.unwrap(), Added::Missing(_)));
    let joined = world.authority().set_member(HOST, "ann", true, &by).await.unwrap();
    assert!(matches!(joined, Added::Missing(_)), "{joined:?}");
    world.verified().await;
}

/// What an upstream's tools are reviewed as, and where it stands, is said in the configuration and changed with the rules.
#[tokio::test]
async fn whoever_approves_is_told_what_another_review_or_environment_comes_to() {
    let steps = r#"
@id("unreviewed") @stepup("release") forbid (principal, action in Action::"tools/call", resource)
unless { resource.reviewedReadOnly || resource in Environment::"staging" };"#;
    let rules =
        bundle_of(&format!("{}{steps}", guarded()).replace("tools/call:ops/scale", "tools/call:ops/other"));
    let reviewed = {
        let mut to = rules.clone();
        let scale = authority::ToolSettings { reviewed: Some("read-only".to_owned()), ..Default::default() };
        to.upstreams.get_mut("ops").unwrap().tools.insert("scale".to_owned(), scale);
        to
    };
    let staged = {
        let mut to = rules.clone();
        to.upstreams.get_mut("ops").unwrap().environment = "staging".to_owned();
        to
    };
    for to in [reviewed, staged] {
        let (world, by) = world().await;
        let first = waits(world.authority().activate(&rules, &by).await.unwrap());
        world.approve(first, "ann").await.unwrap();
        assert_eq!(world.authority().activate(&rules, &by).await.unwrap(), Activated::Done);
        world.challenged("scale", r#"{"n":1}"#).await;
        world.settled().await;
        let id = waits(world.authority().activate(&to, &by).await.unwrap());
        let (_, card, _) = world.authority().begin_consent(id, world.id("ann")).await.unwrap().unwrap();
        let would: Vec<String> = card.unusual.iter().map(terms::card::Unusual::says).collect();
        let told = "1 of the 3 decisions of the last 7 days would have been others: 1 stepped up (release) would be permitted at once";
        assert!(would.iter().any(|says| says.contains(told)), "{would:?}");
        let replayed =
            world.authority().replay(&world.would(&to), terms::Time::from_millis(0)).await.unwrap();
        assert_eq!(replayed.changes.len(), 1, "and so is whoever asks before: {replayed:?}");
        world.verified().await;
    }
}

#[tokio::test]
async fn to_be_in_a_group_is_asked_of_the_rules_however_a_member_comes_to_be_there() {
    let (world, by) = world().await;
    let guards = format!(
        r#"{RULES}
@id("groups") @stepup("release") forbid (principal, action == Action::"administer", resource == Installation::"stepup/groups")
unless {{ context.arguments has group && context.arguments.group == "readers" }};"#
    );
    let authority = world.authority();
    assert_eq!(authority.recover(&bundle_of(&guards), &by).await.unwrap(), Activated::Done);
    let groups = ["readers".to_owned(), "security".to_owned()];
    let Added::Done((ghost, _)) = authority.add_human("ghost", &groups, &by).await.unwrap() else { panic!() };
    let of_ghost = authority.active().groups_of(ghost);
    assert_eq!(of_ghost.iter().map(String::as_str).collect::<Vec<_>>(), ["readers"]);
    let new = NewCaller {
        name: "robot".to_owned(),
        kind: CallerKind::Agent,
        owner: "ghost".to_owned(),
        groups: groups.to_vec(),
        act: Vec::new(),
    };
    let Added::Done((robot, _)) = authority.add_caller(&new, &by).await.unwrap() else { panic!() };
    let of_robot = authority.active().groups_of_member(authority::Member::Caller(robot));
    assert_eq!(of_robot.iter().map(String::as_str).collect::<Vec<_>>(), ["readers"]);
    for name in ["ghost", "robot"] {
        asked(authority.set_member("security", name, true, &by).await.unwrap());
    }
    world.verified().await;
}
