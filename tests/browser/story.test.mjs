// A person's whole story in a real browser with a passkey: enrol, look, approve, reject, lock, lift, take back.
// The tests are chapters: each goes on where the one before ended.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Agent, challenge, refusal, words } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { Browser, DESKTOP, PHONE } from "../lib/browser.mjs";
import { Home } from "../lib/home.mjs";
import { ops } from "../lib/upstreams.mjs";

let home, browser, alice, page, agent, key;

before(async () => {
  home = await Home.make({ challenge: { hold: "10s" }, upstreams: (home) => ({ ops: ops(home) }) });
  await home.serve();
  key = await home.caller("release-bot");
  agent = await Agent.open(home, "ops", key);
  await home.pinned("ops/deploy");
  browser = await Browser.open(home.peopleUrl);
  alice = await browser.device();
  page = alice.page;
});

after(async () => {
  await browser?.close();
  await home?.remove();
});

const production = (version, service = "checkout") => ({ service, version, environment: "production" });
const ran = (version) => arrivals(home.arrivals).filter(({ tool, arguments: a }) => tool === "deploy" && a.version === version).length;
const stop = async (version, service) => challenge(await agent.call("deploy", production(version, service)));
const button = (name) => page.getByRole("button", { name });
const at = (path) => page.goto(home.peopleUrl + path);
const row = (text) => page.locator("[data-row]", { hasText: text });

/** Answers the dialog that asks for a reason. */
async function because(reason, ok) {
  await page.locator("#ask-why").fill(reason);
  await page.locator("#ask").getByRole("button", { name: ok, exact: true }).click();
}

async function withdrawAll() {
  for (const { request } of await home.pending()) await home.cli("requests", "withdraw", request);
}

async function shoot(name) {
  assert.deepEqual(await alice.shoot(name), [], "scrolls sideways");
}

test("without being signed in there is nothing but a sign-in", async () => {
  const stranger = await browser.device();
  for (const path of ["/", "/history", "/callers", "/locks", "/log", "/r/elv_00000000000000000000000000", "/no/such/thing"]) {
    await stranger.page.goto(home.peopleUrl + path);
    assert.equal(await stranger.page.getByRole("heading", { level: 1 }).innerText(), "Sign in", path);
  }
  await stranger.page.context().close();
  // A 401 is what was asked for here, and browsers say so.
  browser.wrong = browser.wrong.filter((said) => !/status of 401/.test(said));
});

test("an invitation makes a passkey, once", async () => {
  const { link } = await home.cli("human", "invite", "alice", "--group", "release-managers", "--group", "auditors");
  await page.goto(link);
  await page.getByRole("heading", { name: "Welcome, alice" }).waitFor();
  await shoot("enrol");
  await button(/Create your passkey/).click();
  await page.getByRole("heading", { name: "Nothing waits." }).waitFor();
  await shoot("empty");
  const again = await page.request.get(link);
  assert.equal(again.status(), 404);
});

test("signs out and in with the passkey alone", async () => {
  await at("/me");
  await button("Sign out").and(page.getByText("Sign out", { exact: true })).click();
  await page.waitForURL(/sign-in/);
  await shoot("sign-in");
  await button(/^Sign in/).click();
  await page.waitForURL(`${home.peopleUrl}/`);
  assert.match(await page.locator(".person").innerText(), /alice/);
});

let first;

test("a stopped call appears in the open inbox by itself", async () => {
  await page.locator("[data-live-state].on").waitFor();
  first = await stop("2.4.1");
  await row("Deploy checkout 2.4.1 to production").waitFor();
  assert.match(await page.title(), /^\(1\)/);
  assert.ok((await row("2.4.1").innerText()).includes("release-bot"));
});

test("the card shows who, what, where, what is granted, and the caller's four words", async () => {
  await row("2.4.1").click();
  await page.getByRole("heading", { level: 1, name: "Deploy checkout 2.4.1 to production" }).waitFor();
  const text = await page.locator("main").innerText();
  for (const part of ["release-bot", "robin", "checkout", "2.4.1", "production", "not checked", "once", "15 min", "bearer key", "sha256:", "release-managers"]) {
    assert.ok(text.toLowerCase().includes(part.toLowerCase()), `the card says ${part}`);
  }
  assert.equal((await page.locator(".big .words").innerText()).split(/\s+/).join(" "), first.words);
  assert.equal(page.url(), first.link);
  const focused = await page.evaluate(() => document.activeElement.tagName);
  assert.equal(focused, "BODY", "nothing has the focus by itself");
  await shoot("card");
});

test("a passkey that verifies nobody approves nothing", async () => {
  await alice.verified(false);
  await button(/^Approve/).click();
  await page.locator("#status.bad").waitFor();
  assert.match(await page.locator("#status").innerText(), /Nothing was signed/);
  await alice.verified(true);
  assert.equal((await home.pending()).length, 1);
});

test("approved, it runs once, and the page says so", async () => {
  await button(/^Approve/).click();
  await page.locator(".story").getByText(/approved/i).first().waitFor();
  assert.equal(ran("2.4.1"), 0, "approving runs nothing by itself");
  const done = await agent.call("stepup_run", { elevation: first.elevation });
  assert.equal(done.structuredContent.version, "2.4.1");
  await page.locator(".story").getByText(/done/i).first().waitFor();
  assert.equal(ran("2.4.1"), 1);
  assert.ok(challenge(await agent.call("deploy", production("2.4.1"))), "the same call again is stopped again");
  assert.equal(ran("2.4.1"), 1);
  await shoot("done");
});

test("a rejection reaches the agent with its reason", async () => {
  await stop("2.5.0-rc1");
  await at("/");
  await row("2.5.0-rc1").click();
  await button(/^Reject…/).click();
  await shoot("reject");
  await because("no release candidates in production", "Reject");
  await page.locator(".story").getByText(/rejected/i).first().waitFor();
  const told = await agent.call("deploy", production("2.5.0-rc1"));
  assert.equal(refusal(told).slug, "rejected");
  assert.ok(words(told).includes("no release candidates in production"));
  assert.equal(ran("2.5.0-rc1"), 0);
});

test("the keyboard is enough: j, k, Enter, a, Enter, i, r", async () => {
  await withdrawAll();
  await stop("3.0.1");
  await stop("3.0.2");
  await at("/");
  await row("3.0.2").waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  const title = await page.evaluate(() => document.activeElement.querySelector(".title").textContent);
  const version = /3\.0\.\d/.exec(title)[0];
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: new RegExp(version) }).waitFor();
  await page.keyboard.press("a");
  assert.equal(await page.evaluate(() => document.activeElement.id), "approve", "a only goes to the button");
  assert.equal((await home.pending()).length, 2);
  await page.keyboard.press("Enter");
  await page.locator(".story").getByText(/approved/i).first().waitFor();
  await page.keyboard.press("i");
  await page.waitForURL(`${home.peopleUrl}/`);
  await page.locator("[data-row]").first().waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /3\.0\.\d/ }).waitFor();
  await page.keyboard.press("r");
  await page.keyboard.type("not this one");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(".story").getByText(/rejected/i).first().waitFor();
  assert.equal((await home.pending()).length, 0);
  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
});

test("a grant is taken back before it is spent", async () => {
  const { elevation } = await stop("4.0.0");
  await at(`/r/${elevation}`);
  await button(/^Approve/).click();
  await button(/^Take this grant back/).click();
  await because("the window is closed", "Take it back");
  await page.locator(".story").getByText(/taken back|revoked/i).first().waitFor();
  const told = await agent.call("stepup_run", { elevation });
  assert.equal(told.isError, true);
  assert.equal(ran("4.0.0"), 0);
});

test("what an agent wrote is shown as text, all of it, and never obeyed", async () => {
  await withdrawAll();
  const markup = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
  const version = `9\u202e1.0\u202c ${markup}`;
  const service = `check\u043eut ${"long ".repeat(4000)}THE-END`;
  const { elevation } = await stop(version, service);
  await at(`/r/${elevation}`);
  const text = await page.locator("main").innerText();
  assert.ok(text.includes(markup), "markup is text");
  assert.ok(text.includes("U+202E"), "what reorders is shown");
  assert.ok(text.includes("THE-END"), "nothing is cut off");
  assert.equal(await page.locator("main img, main script").count(), 0);
  await shoot("hostile");
  await button(/^Approve/).click();
  await page.locator("#status.bad").getByText(/Read this value to its end/).waitFor();
  assert.equal((await home.pending()).length, 1, "not approved unread");
  await page.getByRole("button", { name: "show at once" }).first().click();
  await button(/^Approve/).click();
  await page.locator(".story").getByText(/approved/i).first().waitFor();
});

test("more arguments than fill the screen are not approved before their end was on it", async () => {
  await withdrawAll();
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`part-${i}`, "x"]));
  const { elevation } = challenge(await agent.call("deploy", { ...production("7.7.7"), ...many }));
  await at(`/r/${elevation}`);
  await button(/^Approve/).click();
  await page.locator("#status.bad").getByText(/Read the arguments to their end/).waitFor();
  assert.equal((await home.pending()).length, 1, "not approved unread");
  await page.locator("[data-end]").evaluate((end) => end.scrollIntoView());
  await button(/^Approve/).click();
  await page.locator(".story").getByText(/approved/i).first().waitFor();
});

test("reject and lock stops everything that the caller does, until a passkey lifts it", async () => {
  const { elevation } = await stop("6.6.6");
  await at(`/r/${elevation}`);
  await button(/^Reject and lock/).click();
  await because("it does not stop asking", "Reject and lock");
  await page.locator(".story").getByText(/rejected/i).first().waitFor();
  assert.equal(refusal(await agent.call("get_ticket", { id: "OPS-17" })).slug, "caller_locked");
  await at("/locks");
  await shoot("locks");
  await button(/^Lift…/).click();
  await because("spoke to robin", "Lift it");
  await page.getByRole("heading", { name: "Nothing is locked." }).waitFor();
  assert.equal((await agent.call("get_ticket", { id: "OPS-17" })).structuredContent.id, "OPS-17");
});

test("everything is stopped by one press, on every page", async () => {
  await at("/locks");
  await button(/^Lock everything/).click();
  await because("drill", "Lock");
  await page.locator(".rows").getByText("Everything", { exact: true }).waitFor();
  await at("/history");
  assert.match(await page.locator(".stopped").innerText(), /^Everything is locked/);
  assert.equal(refusal(await agent.call("get_ticket", { id: "OPS-17" })).slug, "caller_locked");
  await page.getByRole("link", { name: "See the lock" }).click();
  await button(/^Lift…/).click();
  await because("drill is over", "Lift it");
  await page.getByRole("heading", { name: "Nothing is locked." }).waitFor();
});

test("a page that stays open hears that everything is locked, and that it is over", async () => {
  await at("/history");
  assert.equal(await page.locator(".stopped").count(), 0);
  await home.cli("lock", "all", "--why", "drill", "--for", "4s");
  await page.getByRole("alert").getByText("Everything is locked.").waitFor();
  await shoot("alarm");
  await page.locator(".stopped").waitFor({ state: "detached" });
  await home.cli("lock", "all", "--why", "drill");
  await page.getByRole("alert").getByText("Everything is locked.").waitFor();
  await at("/locks");
  await button(/^Lift…/).click();
  await because("drill is over", "Lift it");
  await page.locator(".stopped").waitFor({ state: "detached" });
});

test("a page on which nothing moves says that it is out of touch, and catches up by itself", async () => {
  await at("/history");
  await home.stop();
  await page.getByText("Reconnecting…").waitFor();
  await shoot("reconnecting");
  await home.serve();
  await page.locator("#away").waitFor({ state: "hidden", timeout: 40_000 });
  agent = await Agent.open(home, "ops", key);
  const { elevation } = await stop("6.9.0");
  await page.locator("#places .count").waitFor();
  await home.cli("requests", "withdraw", elevation);
  await page.locator("#places .count").waitFor({ state: "detached" });
  // What cannot be reached is what was asked for here, and browsers say so.
  browser.wrong = browser.wrong.filter((said) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(said));
});

test("a second passkey is made, signed for with the first, and signs in when that one is revoked", async () => {
  await at("/me");
  await page.getByText("This is your only one").waitFor();
  assert.equal(await button(/^Revoke/).count(), 0, "the last one stays");
  await alice.touch(false);
  const second = await alice.plugInAnother();
  await button(/^Add a passkey/).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("work phone");
  await shoot("passkey-name");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sign for it" }).waitFor();
  await shoot("passkey-sign");
  await alice.touch(false, second);
  await alice.touch(true);
  await page.keyboard.press("Enter");
  await page.locator(".rows .title").getByText("work phone").waitFor();
  await shoot("passkeys");
  await page.locator("li.row", { hasText: "invited by" }).getByRole("button", { name: /^Revoke/ }).click();
  await because("sold that laptop", "Revoke");
  await page.waitForURL(/sign-in/);
  await alice.touch(false);
  await alice.touch(true, second);
  await button(/^Sign in/).click();
  await page.waitForURL(`${home.peopleUrl}/`);
});

test("every place reads well at every width, light and dark", async () => {
  await stop("7.0.0");
  for (const [path, heading] of [["/", "Inbox"], ["/history", "History"], ["/callers", "Callers"], ["/tools", "Tools"], ["/policies", "Policy"], ["/log", "Log"], ["/locks", "Locks"], ["/me", "alice"]]) {
    await at(path);
    assert.match(await page.getByRole("heading", { level: 1 }).innerText(), new RegExp(heading, "i"), path);
    await shoot(`place${path.replace("/", "-")}`);
  }
  await at("/history");
  await page.setViewportSize(PHONE);
  for (const badge of await page.locator(".badge").all()) {
    assert.ok((await badge.boundingBox()).height < 30, "a short name stays on one line");
  }
  await page.setViewportSize(DESKTOP);
  for (const seen of ["2.4.1", "2.5.0-rc1", "no release candidates in production", "4.0.0"]) {
    assert.ok((await page.locator("main").innerText()).includes(seen), `history has ${seen}`);
  }
  await at("/callers");
  await page.locator("main").getByRole("link", { name: /release-bot/ }).first().click();
  await page.getByRole("heading", { level: 1, name: "release-bot" }).waitFor();
  await shoot("caller");
});

test("why: a call that nobody makes is tried on the rules, and a request says which of them stopped it", async () => {
  const records = (await home.cli("log", "tail")).size;
  await at("/policies");
  await page.getByRole("link", { name: "Try a call on them" }).click();
  await page.getByRole("heading", { level: 1, name: "Would this need approval?" }).waitFor();
  await page.locator("#caller").focus();
  await page.keyboard.type("release-bot");
  await page.keyboard.press("Tab");
  await page.keyboard.type("ops/deploy");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type(JSON.stringify(production("8.0.0")));
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const answer = page.locator("#answer");
  await answer.getByText(/It takes more first/).waitFor();
  for (const part of ["8.0.0", "could give it", "alice", "forbid", ".cedar:"]) assert.ok((await answer.innerText()).includes(part), part);
  await shoot("explain");
  const [{ link }] = await home.pending();
  await page.goto(link);
  await page.getByRole("link", { name: /^Why\?/ }).click();
  await page.getByRole("heading", { name: /^Because of/i }).waitFor();
  assert.match(await page.locator("main").innerText(), /could give it: alice/);
  await shoot("why");
  assert.equal((await home.cli("log", "tail")).size, records, "reading writes nothing");
});

test("somebody who may not approve sees no button for it", async () => {
  const { link } = await home.cli("human", "invite", "robin");
  const robin = await browser.device({ viewport: PHONE });
  await robin.page.goto(link);
  await robin.page.getByRole("button", { name: /Create your passkey/ }).click();
  await robin.page.getByRole("heading", { name: "Inbox" }).waitFor();
  const [{ link: waiting }] = await home.pending();
  await robin.page.goto(waiting);
  await robin.page.getByRole("heading", { level: 1, name: /7\.0\.0/ }).waitFor();
  assert.equal(await robin.page.getByRole("button", { name: /^Approve|^Confirm/ }).count(), 0);
  assert.ok(await robin.page.getByRole("button", { name: /^Reject…/ }).count(), "the owner may stop it");
  await robin.page.context().close();
});

if (process.env.STEPUP_SHOTS) test("the pictures of the README", async () => {
  const to = (name) => join(process.env.STEPUP_SHOTS, name);
  await withdrawAll();
  const { elevation } = await stop("2.4.2");
  await stop("1.9.0", "billing");
  await page.setViewportSize({ ...DESKTOP, height: 900 });
  await at(`/r/${elevation}`);
  await page.screenshot({ path: to("card-desktop.png") });
  await page.setViewportSize(PHONE);
  await page.screenshot({ path: to("card-phone.png") });
});

test("the pages did nothing wrong, and the checker agrees", async () => {
  assert.deepEqual(browser.wrong, []);
  await home.judge();
});
