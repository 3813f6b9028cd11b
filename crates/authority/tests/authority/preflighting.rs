//! What a call would come to is what it comes to, and asking does nothing but leave its record.

use authority::{Added, Ask, Permit, Preflight, Ruling};
use elevation::Outcome;
use terms::{Json, Slug};

use crate::world::{RULES, World, bundle_of, deploy};

/// A call and what comes before it.
struct Row {
    what: &'static str,
    tool: &'static str,
    arguments: String,
    before: Before,
}

#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Waits,
    Approved,
    Runs,
    Ran,
    LostSightOf,
    Rejected,
    Locked,
    Forbidden,
    Quarantined,
    Full,
}

fn table() -> Vec<Row> {
    let row =
        |what, tool, arguments: &str, before| Row { what, tool, arguments: arguments.to_owned(), before };
    let d = deploy("1");
    vec![
        row("baseline", "read_ticket", r#"{"id":7}"#, Before::Nothing),
        row("a harmless argument", "deploy", r#"{"environment":"staging"}"#, Before::Nothing),
        row("a step-up", "deploy", &d, Before::Nothing),
        row("two people", "set_secret", r#"{"token":"x"}"#, Before::Nothing),
        row("the owner", "scale", r#"{"n":1}"#, Before::Nothing),
        row("a purpose and a ticket", "export", "{}", Before::Nothing),
        row("forbidden", "destroy", "{}", Before::Nothing),
        row("what waits", "deploy", &d, Before::Waits),
        row("what is approved", "deploy", &d, Before::Approved),
        row("what runs", "deploy", &d, Before::Runs),
        row("what ran", "deploy", &d, Before::Ran),
        row("what may have run", "deploy", &d, Before::LostSightOf),
        row("what was rejected", "deploy", &d, Before::Rejected),
        row("a locked caller", "deploy", &d, Before::Locked),
        row("a locked caller at baseline", "read_ticket", "{}", Before::Locked),
        row("what a new rule forbids", "deploy", &d, Before::Forbidden),
        row("a changed definition", "deploy", &d, Before::Quarantined),
        row("too much that waits", "deploy", &d, Before::Full),
    ]
}

impl Row {
    /// Answers what runs now.
    async fn prepare(&self, world: &World) -> Option<Permit> {
        let opened = async || world.challenged(self.tool, &self.arguments).await.elevation;
        let approved = async || {
            let id = opened().await;
            world.approve(id, "ann").await.unwrap();
        };
        let run = async |outcome| {
            approved().await;
            let permit = world.permitted(self.tool, &self.arguments).await;
            world.run_to(permit, outcome, Some(true)).await;
        };
        match self.before {
            Before::Nothing => {}
            Before::Waits => {
                opened().await;
            }
            Before::Approved => approved().await,
            Before::Runs => {
                approved().await;
                return Some(world.permitted(self.tool, &self.arguments).await);
            }
            Before::Ran => run(Outcome::Done).await,
            Before::LostSightOf => run(Outcome::Unknown).await,
            Before::Rejected => {
                let id = opened().await;
                world.authority().reject(id, world.id("ann"), "not today", false).await.unwrap().unwrap();
            }
            Before::Locked => {
                let subject = authority::LockSubject::Caller(world.bot().id);
                world.authority().lock(subject, "test".to_owned(), "test".to_owned(), None).await.unwrap();
            }
            Before::Forbidden => {
                let rules = RULES.replace("@id(\"deploy\") @stepup(\"release\")", "@id(\"deploy\")");
                world.activate(&bundle_of(&rules)).await;
            }
            Before::Quarantined => {
                let mut stated = crate::world::definitions();
                stated.iter_mut().for_each(|one| {
                    let Json::Object(members) = one else { panic!() };
                    members.insert("description", "Another one.");
                });
                world.authority().observe("ops", stated).await.unwrap();
            }
            Before::Full => {
                for n in 0..5 {
                    world.challenged("deploy", &deploy(&format!("9.{n}"))).await;
                }
            }
        }
        None
    }
}

/// What can be told of both alike.
fn told(preflight: &Preflight) -> String {
    match preflight {
        Preflight::Permitted { granted } => format!("permitted, by a grant: {granted}"),
        Preflight::NeedsApproval(needs) => {
            let lines: Vec<_> = needs.lines.iter().map(|l| (&l.says, l.have, l.need)).collect();
            format!("needs {} {lines:?} ran {:?}", needs.label, needs.ran)
        }
        Preflight::Denied(denial) => format!("denied {} {:?} {:?}", denial.slug, denial.why, denial.attempt),
        Preflight::Depends { .. } => panic!("the arguments are there"),
    }
}

/// The same of a ruling.
fn ruled(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Permitted(permit) => format!("permitted, by a grant: {}", permit.grant().is_some()),
        Ruling::Challenged(challenge) => {
            let lines: Vec<_> = challenge.lines.iter().map(|l| (&l.says, l.have, l.need)).collect();
            format!("needs {} {lines:?} ran {:?}", challenge.label, challenge.ran)
        }
        Ruling::Denied(denial) => format!("denied {} {:?} {:?}", denial.slug, denial.why, denial.attempt),
    }
}

/// Decides on what was asked about just before, which comes out as was told.
pub async fn foreseen(world: &World, ask: &Ask) -> Ruling {
    world.settled().await; // what was dropped is settled beside all else
    let foreseen = world.authority().preflight(ask).await.unwrap().unwrap();
    let ruling = world.authority().decide(ask).await.unwrap();
    assert_eq!(told(&foreseen), ruled(&ruling));
    ruling
}

#[tokio::test]
async fn what_is_foreseen_is_what_is_decided_then() {
    for row in table() {
        let world = World::new().await;
        let ask = world.ask(row.tool, &row.arguments);
        let running = row.prepare(&world).await;
        println!("{}", row.what);
        let once = world.authority().preflight(&ask).await.unwrap().unwrap();
        let again = world.authority().preflight(&ask).await.unwrap().unwrap();
        assert_eq!(once, again, "asking changed the answer");
        if let Ruling::Permitted(permit) = foreseen(&world, &ask).await {
            world.run(permit).await;
        }
        drop(running);
        world.verified().await;
    }
}

#[tokio::test]
async fn a_preflight_leaves_its_record_and_nothing_else() {
    let mut rules = RULES.to_owned();
    rules.push_str("@id(\"first\") @stepup(\"release\") forbid (principal, action == Action::\"tools/call:ops/read_ticket\", resource) when { context.history.first_time };");
    let world = World::with(crate::world::settings(), &bundle_of(&rules)).await;
    let id = world.challenged("deploy", &deploy("2")).await.elevation;
    world.approve(id, "ann").await.unwrap();
    let directory = async || format!("{:?}", world.authority().store().directory().await.unwrap());
    let waiting = async || {
        let all = world.authority().store().elevations(authority::Listing::default()).await.unwrap();
        let outbox = world.authority().store().outbox(String::new(), 100).await.unwrap();
        let attempts = world.authority().store().attempts(None, 100).await.unwrap();
        format!("{all:?} {outbox:?} {attempts:?}")
    };
    let before = (directory().await, waiting().await, world.kinds().await);
    let asked = [
        ("read_ticket", "{}".to_owned()),
        ("deploy", deploy("1")),
        ("deploy", deploy("2")),
        ("destroy", "{}".to_owned()),
    ];
    for (tool, arguments) in &asked {
        world.authority().preflight(&world.ask(tool, arguments)).await.unwrap().unwrap();
    }
    let tool = world.authority().active().tool("ops", "deploy").unwrap();
    let bot = world.bot();
    let without = world.authority().preflight_without(&bot, &tool, "192.0.2.1").await.unwrap().unwrap();
    assert_eq!(without, Preflight::Depends { may_need: vec!["release".to_owned()] });
    let (directory, waiting) = (directory().await, waiting().await);
    assert!(before.0 == directory && before.1 == waiting, "{waiting}");
    let kinds = world.kinds().await;
    let (old, new) = kinds.split_at(before.2.len());
    assert_eq!(old, before.2);
    assert_eq!(new, ["preflighted"; 5]);
    // The history that rules read of a caller does not know of it either.
    let needs = world.authority().preflight(&world.ask("read_ticket", "{}")).await.unwrap().unwrap();
    assert_eq!(needs.name(), "needs_approval", "it is still the first time");
    let bodies = world.bodies("preflighted").await;
    let text = |body: &Json, name: &str| body.get(name).and_then(Json::as_str).map(str::to_owned);
    let rulings: Vec<_> = bodies.iter().map(|body| text(body, "ruling").unwrap()).collect();
    let all = ["needs_approval", "needs_approval", "permitted", "denied", "depends", "needs_approval"];
    assert_eq!(rulings, all);
    assert_eq!(text(&bodies[1], "requirement").as_deref(), Some("release"));
    assert_eq!(text(&bodies[3], "slug").as_deref(), Some("policy_denied"));
    assert_eq!(bodies[1].get("by").unwrap().text(), r#"["deploy"]"#, "people read which rules");
    world.verified().await;
}

#[tokio::test]
async fn without_arguments_it_is_said_what_hangs_on_them() {
    let world = World::new().await;
    let bot = world.bot();
    let ask = async |tool: &str| {
        let tool = world.authority().active().tool("ops", tool).unwrap();
        world.authority().preflight_without(&bot, &tool, "").await.unwrap().unwrap()
    };
    assert_eq!(ask("read_ticket").await, Preflight::Permitted { granted: false });
    assert_eq!(ask("export").await, Preflight::Depends { may_need: vec!["told".to_owned()] });
    let Preflight::Denied(denial) = ask("destroy").await else { panic!() };
    assert_eq!(denial.slug, Slug::PolicyDenied);
    let subject = authority::LockSubject::All;
    world.authority().lock(subject, "test".to_owned(), "test".to_owned(), None).await.unwrap();
    let Preflight::Denied(denial) = ask("read_ticket").await else { panic!() };
    assert_eq!(denial.slug, Slug::CallerLocked);
    world.verified().await;
}

#[tokio::test]
async fn a_caller_whose_key_was_revoked_since_is_told_nothing_of_what_it_could() {
    let world = World::new().await;
    let ask = world.ask("read_ticket", "{}");
    let bot = world.bot();
    let disabled = world.authority().disable_caller("bot", &authority::By::account(0)).await.unwrap();
    assert!(matches!(disabled, Added::Done(())));
    let Preflight::Denied(denial) = world.authority().preflight(&ask).await.unwrap().unwrap() else {
        panic!()
    };
    assert_eq!(denial.slug, Slug::CredentialInvalid);
    let tool = world.authority().active().tool("ops", "read_ticket").unwrap();
    let without = world.authority().preflight_without(&bot, &tool, "").await.unwrap().unwrap();
    assert!(matches!(without, Preflight::Denied(_)), "{without:?}");
    world.verified().await;
}
