// A console that is open in a browser tells its person on the desktop: only if they asked for it, once, and how it ended.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Agent, challenge } from "../lib/agent.mjs";
import { Browser } from "../lib/browser.mjs";
import { Home, sleep, until } from "../lib/home.mjs";
import { ops } from "../lib/upstreams.mjs";

let home, browser, alice, page, agent;

/** The browser's own notifications, written down as they are made and closed. */
const WATCH = () => {
  const own = window.Notification;
  window.asked = 0;
  window.away = false;
  window.popped = JSON.parse(sessionStorage.getItem("popped") ?? "[]");
  const note = (what) => {
    window.popped.push(what);
    sessionStorage.setItem("popped", JSON.stringify(window.popped));
  };
  window.Notification = class extends own {
    static requestPermission(...words) {
      window.asked += 1;
      return super.requestPermission(...words);
    }
    constructor(title, options) {
      super(title, options);
      note({ title, text: options.body, tag: options.tag, silent: options.silent });
      window.last = this;
      this.addEventListener("close", () => note({ closed: options.tag }));
    }
  };
  document.hasFocus = () => !window.away;
};

before(async () => {
  home = await Home.make({ upstreams: (home) => ({ ops: ops(home) }) });
  await home.serve();
  agent = await Agent.open(home, "ops", await home.caller("release-bot"));
  await home.pinned("ops/deploy");
  browser = await Browser.open(home.peopleUrl);
  alice = await browser.device();
  page = alice.page;
  await page.context().grantPermissions(["notifications"], { origin: home.peopleUrl });
  await page.addInitScript(WATCH);
  const { link } = await home.cli("human", "invite", "alice", "--group", "release-managers");
  await page.goto(link);
  await page.getByRole("button", { name: /Create your passkey/ }).click();
  await page.locator("[data-live-state].on").waitFor();
});

after(async () => {
  await browser?.close();
  await home?.remove();
});

const stop = async (version) => challenge(await agent.call("deploy", { service: "checkout", version, environment: "production" })).elevation;
const popped = () => page.evaluate(() => window.popped.filter(({ title }) => title));
const row = (text) => page.locator("[data-row]", { hasText: text });
const away = (is) => page.evaluate((is) => { window.away = is; }, is);

test("nothing pops up and nothing is asked for that nobody asked for", async () => {
  await away(true);
  await stop("1.0.0");
  await row("1.0.0").waitFor();
  await sleep(300);
  assert.deepEqual(await popped(), []);
  assert.equal(await page.evaluate(() => window.asked), 0);
});

test("who asked for it is told of what waits, once, and not while they look at it", async () => {
  await away(false);
  await page.getByRole("button", { name: "Tell me on this desktop" }).click();
  await page.getByRole("button", { name: "Told on this desktop. Stop" }).waitFor();
  assert.equal(await page.evaluate(() => window.asked), 1);
  await stop("2.0.0");
  await row("2.0.0").waitFor();
  await sleep(300);
  assert.deepEqual(await popped(), [], "they look at it");
  await away(true);
  const id = await stop("3.0.0");
  await until("what waits", async () => (await popped()).length === 3);
  const last = (await popped()).find(({ tag }) => tag === id);
  assert.equal(last.title, "[production] release-bot asks: call ops/deploy");
  assert.match(last.text, /^needs 1 approval from release-managers · expires \d\d:\d\d UTC · code \w+ \w+ \w+ \w+$/);
  await page.reload();
  await away(true);
  await page.locator("[data-live-state].on").waitFor();
  await home.cli("requests", "withdraw", await stop("4.0.0"));
  await sleep(500);
  const tags = (await popped()).filter(({ silent }) => !silent).map(({ tag }) => tag);
  assert.equal(new Set(tags).size, tags.length, "nothing is told twice");
});

test("how it ended takes the place of what was asked, and a click leads to the request and answers nothing", async () => {
  await away(true);
  const id = await stop("5.0.0");
  await until("what waits", async () => (await popped()).some(({ tag, silent }) => tag === id && !silent));
  await page.evaluate(() => window.last.onclick());
  await page.waitForURL(`${home.peopleUrl}/r/${id}`);
  assert.ok((await home.pending()).some(({ request }) => request === id), "it waits as before");
  await page.goto(home.peopleUrl);
  await page.locator("[data-live-state].on").waitFor();
  await away(true);
  await home.cli("requests", "withdraw", id);
  await until("its end", async () => (await popped()).some(({ tag, silent }) => tag === id && silent));
  const end = (await popped()).find(({ tag, silent }) => tag === id && silent);
  assert.match(end.text, /^withdrawn by os:\d+$/);
});

test("told to stop, it stops; and nothing of all this offends the browser", async () => {
  await page.getByRole("button", { name: "Told on this desktop. Stop" }).click();
  await page.getByRole("button", { name: "Tell me on this desktop" }).waitFor();
  await away(true);
  const before = (await popped()).length;
  await stop("6.0.0");
  await row("6.0.0").waitFor();
  await sleep(300);
  assert.equal((await popped()).length, before);
  assert.deepEqual(browser.wrong, []);
});
