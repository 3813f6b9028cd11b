//! What is wrong with a configuration is said with its file, its line and what to do.

use std::fs;

use crate::world::{golden, run};

/// What is wrong, and a configuration that is.
const BAD: &[(&str, &str)] = &[
    ("not TOML", "[agents]\nlisten = \n"),
    ("a table that nothing ends", "[store"),
    ("an unknown key", "[agents]\nlistn = \"127.0.0.1:1\"\n"),
    ("an unknown key that is like no other", "[log]\ncolour = \"red\"\n"),
    ("an unknown table", "[agents]\n[upstream.ops]\nurl = \"http://localhost/mcp\"\n"),
    ("a key twice", "[log]\norigin = \"a\"\norigin = \"b\"\n"),
    ("a bad duration", "[people]\nlisten = \"localhost:1\"\nsession = \"8 parsecs\"\n"),
    ("a duration without a unit", "[challenge]\nhold = \"50\"\n"),
    ("a number below zero", "[budgets]\nin_flight = -1\n"),
    ("more than anybody looks through", "[budgets]\nowner_pending = 1001\n"),
    ("connections of none", "[agents]\nconnections = 0\n"),
    ("a word out of a list", "[policy]\nactivate = \"sometimes\"\n"),
    ("an address without a port", "[agents]\n\nlisten = \"localhost\"\n"),
    ("an address with an impossible port", "[operations]\nlisten = \"127.0.0.1:99999\"\n"),
    (
        "a listener for Envoy without a port",
        "[envoy]\nlisten = \"localhost\"\n[upstreams.a]\nasked_by = [\"::1\"]\n",
    ),
    ("a listener for Envoy where nobody may ask", "[envoy]\n"),
    ("a public address without a scheme", "[people]\npublic_url = \"approve.example\"\n"),
    ("TLS by a certificate without a key", "[agents]\ntls = { cert = \"cert.pem\" }\n"),
    ("TLS and a word", "[people]\ntls = { cert = \"c.pem\", key = \"k.pem\", version = \"1.3\" }\n"),
    ("TLS for probes", "[operations]\ntls = { cert = \"c.pem\", key = \"k.pem\" }\n"),
    (
        "a public address without TLS where it is spoken",
        "[people]\ntls = { cert = \"c.pem\", key = \"k.pem\" }\npublic_url = \"http://approve.example\"\n",
    ),
    ("a page that is an address", "[people]\nlisten = \"127.0.0.1:7301\"\n"),
    ("a name of another page", "[people]\npublic_url = \"https://approve.example\"\nrp_id = \"ample\"\n"),
    ("another database", "[store]\n\nurl = \"postgres://db/stepup\"\n"),
    ("both url and command", "[upstreams.ops]\nurl = \"https://ops.example/mcp\"\ncommand = [\"ops\"]\n"),
    ("neither url nor command", "[log]\n\n[upstreams.ops]\nenvironment = \"production\"\n"),
    ("an upstream that is asked all the time", "[upstreams.ops]\ncommand = [\"ops\"]\nrelist = \"900ms\"\n"),
    ("an upstream's url without a scheme", "[upstreams.ops]\nurl = \"ops.example/mcp\"\n"),
    ("a bad upstream name", "[upstreams.\"The Ops\"]\nurl = \"https://ops.example/mcp\"\n"),
    ("an upstream name of a path", "[upstreams.\"../ops\"]\nurl = \"https://ops.example/mcp\"\n"),
    ("a credential for a program", "[upstreams.ops]\ncommand = [\"ops\"]\ncredential = { env = \"KEY\" }\n"),
    (
        "a bad pointer",
        "[upstreams.ops]\nurl = \"https://x.example\"\n[upstreams.ops.tools.t]\nsecrets = [\"value\"]\n",
    ),
    (
        "a review that says nothing known",
        "[upstreams.ops]\nurl = \"https://x.example\"\n[upstreams.ops.tools.t]\nreviewed = \"yes\"\n",
    ),
    (
        "two applications of one asker that do the same",
        "[upstreams.a]\naskers = [\"app\"]\n[upstreams.a.operations.purge]\non = \"todo\"\n\n\
         [upstreams.b]\naskers = [\"app\"]\n[upstreams.b.operations.clear]\non = \"todo\"\naction = \"purge\"\n",
    ),
    (
        "a place of a key that is none",
        "[upstreams.ops]\nurl = \"https://x.example\"\n[upstreams.ops.tools.t]\ntouches = [{ kind = \"batch\", from = \"/id\" }]\n",
    ),
    (
        "a kind of two words",
        "[upstreams.ops]\nurl = \"https://x.example\"\n[upstreams.ops.tools.t]\ntouches = [{ kind = \"a batch\", from = \"/arguments/id\" }]\n",
    ),
    (
        "a key that is a secret",
        "[upstreams.ops]\nurl = \"https://x.example\"\n[upstreams.ops.tools.t]\nsecrets = [\"/a\"]\ntouches = [{ kind = \"batch\", from = \"/arguments/a/b\" }]\n",
    ),
    (
        "a key in the answer that may be the first",
        "[upstreams.ops]\nurl = \"https://x.example\"\n[upstreams.ops.tools.t]\ntouches = [{ kind = \"batch\", from = \"/result/id\", first = true }]\n",
    ),
    (
        "a key in an answer that a proxy has",
        "[upstreams.crm]\nurl = \"https://x.example\"\nasked_by = [\"127.0.0.1\"]\n[upstreams.crm.routes.add]\non = \"POST /batches\"\ntouches = [{ kind = \"batch\", from = \"/result/id\" }]\n",
    ),
    (
        "a credential for nobody",
        "[upstreams.crm]\nurl = \"https://x.example\"\n[upstreams.crm.routes.rotate]\non = \"POST /rotate\"\ncapture = { from = \"/key\", to = \"credential:crn\" }\n",
    ),
    (
        "the whole of an answer as a credential",
        "[upstreams.crm]\nurl = \"https://x.example\"\n[upstreams.crm.routes.rotate]\non = \"POST /rotate\"\ncapture = { from = \"\", to = \"credential:crm\" }\n",
    ),
    (
        "a credential into a file",
        "[upstreams.crm]\nurl = \"https://x.example\"\n[upstreams.crm.routes.rotate]\non = \"POST /rotate\"\ncapture = { from = \"/key\", to = \"file:key\" }\n",
    ),
    (
        "a credential that a proxy would pass on",
        "[upstreams.crm]\nurl = \"https://x.example\"\nasked_by = [\"127.0.0.1\"]\n[upstreams.crm.routes.rotate]\non = \"POST /rotate\"\ncapture = { from = \"/key\", to = \"credential:crm\" }\n",
    ),
    ("a requirement of nothing", "[requirements.r]\npending_for = \"15m\"\n"),
    ("two kinds of evidence in one place", "[requirements.r]\napprovals = 1\nfrom = \"a\"\nowner = \"2m\"\n"),
    (
        "two kinds deeper down",
        "[requirements.r]\nall = [\n  { approvals = 1, from = \"a\" },\n  { purpose = true, ticket = \"A\" },\n]\n",
    ),
    ("no person's signature", "[requirements.good]\nowner = \"2m\"\n\n[requirements.r]\npurpose = true\n"),
    (
        "a way around every signature",
        "[requirements.r]\nany = [{ approvals = 2, from = \"a\" }, { purpose = true }]\n",
    ),
    (
        "a bad pattern for tickets",
        "[requirements.r]\nall = [{ owner = \"2m\" }, { ticket = \"OPS-[0-9\" }]\n",
    ),
    ("binds nonsense", "[requirements.r]\nowner = \"2m\"\ngrant = { binds = \"most\" }\n"),
    ("binds a bad pointer", "[requirements.r]\nowner = \"2m\"\ngrant = { binds = [\"version\"] }\n"),
    ("an unknown key of a grant", "[requirements.r]\nowner = \"2m\"\ngrant = { use = 1 }\n"),
    ("an unknown key of a requirement", "[requirements.r]\naproval = 1\nfrom = \"a\"\n"),
    ("a grant inside a branch", "[requirements.r]\nall = [{ owner = \"2m\", pending_for = \"15m\" }]\n"),
    ("no approvals", "[requirements.r]\napprovals = 0\nfrom = \"a\"\n"),
    ("approvals from nobody", "[requirements.r]\napprovals = 1\n"),
    ("uses of none", "[requirements.r]\nowner = \"2m\"\ngrant = { uses = 0 }\n"),
    ("a purpose that is not", "[requirements.r]\nall = [{ owner = \"2m\" }, { purpose = false }]\n"),
    ("a secret from nowhere", "[notify.channels.c]\nwebhook = \"https://chat.example\"\nsecret = { }\n"),
    (
        "a secret from two places",
        "[notify.channels.c]\nwebhook = \"https://chat.example\"\nsecret = { env = \"A\", file = \"b\" }\n",
    ),
    (
        "a secret in the file itself",
        "[notify.channels.c]\nwebhook = \"https://chat.example\"\nsecret = \"whsec_hunter2\"\n",
    ),
    ("a webhook without a secret", "[notify.channels.c]\nwebhook = \"https://chat.example\"\n"),
    ("a webhook that others can read", "[notify.channels.c]\nwebhook = \"http://chat.example:80/x\"\n"),
    ("a channel of neither kind", "[notify.channels.c]\ntext = \"full\"\n"),
    (
        "a channel of both kinds",
        "[notify.channels.c]\nwebhook = \"https://a.example\"\nsmtp = \"smtps://b\"\n",
    ),
    (
        "a webhook with a key of mail",
        "[notify.channels.c]\nwebhook = \"https://a.example\"\nfrom = \"a@b.c\"\n",
    ),
    ("a channel's name", "[notify.channels.\"a b\"]\nsmtp = \"smtps://b\"\n"),
    ("a channel whose name is taken", "[notify.channels.desktop]\nsmtp = \"smtps://b\"\n"),
    ("a mail server without a scheme", "[notify.channels.c]\nsmtp = \"mail.example\"\n"),
    ("a mail server with a path", "[notify.channels.c]\nsmtp = \"smtps://mail.example/x\"\n"),
    (
        "a mail server without encryption",
        "[notify.channels.c]\nsmtp = \"smtp://mail.example\"\ntls = \"none\"\n",
    ),
    ("mail from nobody", "[notify.channels.c]\nsmtp = \"smtps://mail.example\"\n"),
    (
        "mail from what is no address",
        "[notify.channels.c]\nsmtp = \"smtps://mail.example\"\nfrom = \"stepup\"\n",
    ),
    (
        "a user without a password",
        "[notify.channels.c]\nsmtp = \"smtps://mail.example\"\nfrom = \"a@b.c\"\nuser = \"u\"\n",
    ),
    (
        "a password in the file itself",
        "[notify.channels.c]\nsmtp = \"smtps://b.c\"\nfrom = \"a@b.c\"\nuser = \"u\"\npassword = \"hunter2\"\n",
    ),
    (
        "a group that nobody asks",
        "[requirements.r]\napprovals = 1\nfrom = \"managers\"\n[notify.groups.manager]\nchannels = []\n",
    ),
    (
        "a channel of a group that is none",
        "[requirements.r]\napprovals = 1\nfrom = \"a\"\n[notify.groups.a]\nchannels = [\"deskto\"]\n",
    ),
    (
        "a mailbox that is none",
        "[requirements.r]\napprovals = 1\nfrom = \"a\"\n[notify.groups.a]\nto = [\"ann\"]\n",
    ),
    (
        "a requirement that is none",
        "[requirements.release]\nowner = \"2m\"\n[notify.requirements]\nrelase = [\"desktop\"]\n",
    ),
    ("owners over no channel", "[notify]\nowners = [\"chat\"]\n"),
    ("a person's address that is none", "[notify.people]\nann = \"ann@example.com, eve@example.com\"\n"),
];

#[test]
fn every_mistake_is_named_with_file_line_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stepup.toml");
    let home = folder.path().canonicalize().unwrap();
    let mut all = String::new();
    for (what, text) in BAD {
        fs::write(&file, text).unwrap();
        let said = run(folder.path(), &["check"]).failed(1, &["error: stepup.toml:"]);
        assert_eq!(said.matches("error: ").count(), 1, "{what}: {said}");
        let line = said.strip_prefix("error: stepup.toml:").and_then(|rest| rest.split(':').next());
        let line: usize = line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{what}: {said}"));
        assert!((1..=text.lines().count()).contains(&line), "{what}: {said}");
        all.push_str(&format!("# {what}\n{said}\n"));
    }
    golden("tests/golden/config.txt", &all.replace(home.to_str().unwrap(), "HOME"));
}

#[test]
fn nothing_starts_with_a_configuration_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stepup.toml"), "[agents]\nlistn = \"x\"\n").unwrap();
    for words in [&["serve"][..], &["check"], &["caller", "list"], &["lock", "all"]] {
        run(folder.path(), words).failed(1, &["stepup.toml:2", "did you mean `listen`?"]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_secret_is_never_quoted_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stepup.toml");
    fs::write(file, "[notify.channels.c]\nwebhook = \"https://x\"\nsecret = \"whsec_hunter2\"\n").unwrap();
    let said = run(folder.path(), &["check"]).failed(1, &["stepup.toml:3"]);
    assert!(!said.contains("hunter2"), "{said}");
}
