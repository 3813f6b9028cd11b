// People are told by mail, through a real server: over TLS, signed in, in threads, and whatever goes wrong on the way.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterEach, describe, test } from "node:test";
import { Agent, challenge } from "../lib/agent.mjs";
import { Home, sleep, until } from "../lib/home.mjs";
import { Mailbox, certificate, header } from "../lib/mailbox.mjs";
import { ops } from "../lib/upstreams.mjs";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PASSWORD = "canary-of-the-mail-server";
const production = (version) => ({ service: "checkout", version, environment: "production" });

let home, boxes;
afterEach(async () => {
  boxes?.forEach((box) => box.close());
  boxes = [];
  await home?.remove();
});

/** An installation whose people get mail: alice approves, robin owns the agent. */
async function told(channel, more = "", first = "") {
  home = await Home.make({ upstreams: (home) => ({ ops: ops(home) }) });
  home.edit(/$/, `
${first}
[notify.channels.mail]
from = "stepup <stepup@example.com>"
${channel}
${more}
[notify.people]
alice = "alice@example.com"
robin = "robin@example.com"
`);
}

async function serve({ env = {} } = {}) {
  await home.serve({ env: { STEPUP_MAIL_PASSWORD: PASSWORD, STEPUP_HOOK: SECRET, ...env } });
}

/** Serves, with somebody who approves and an agent. */
async function begin() {
  await serve();
  const key = await home.caller("agent");
  const alice = await home.person();
  await home.pinned("ops/deploy");
  return { key, alice, agent: await Agent.open(home, "ops", key) };
}

async function box(options) {
  const made = await Mailbox.open(options);
  (boxes ??= []).push(made);
  return made;
}

const unwritten = (folder) => { mkdirSync(folder, { recursive: true }); return folder; };
const count = (what, look, n) => until(`${n} ${what}`, () => look().length >= n, 40_000);
const readiness = async () => JSON.parse((await home.operations("/readyz")).text).notifications;

describe("mail through a server that asks for TLS and a password", () => {
  for (const [tls, url] of [["starttls", "smtp"], ["implicit", "smtps"]]) {
    test(`over ${tls}: who is asked and who owns the caller are told, and each copy is followed by how it ended`, async () => {
      await told(`tls_is = "set below"`);
      const files = certificate(unwritten(home.outside));
      const mail = await box({ tls, user: "stepup", password: PASSWORD, ...files });
      home.edit('tls_is = "set below"', `smtp = "${url}://localhost:${mail.port}"\nca = "${files.cert}"\nuser = "stepup"\npassword = { env = "STEPUP_MAIL_PASSWORD" }\ntext = "full"`);
      const { alice, agent } = await begin();
      const hostile = "2.4.1\r\nBcc: eve@example.com\r\n\r\nhttps://evil.example/\u202e";
      const { elevation } = challenge(await agent.call("deploy", production(hostile)));
      await count("mails", () => mail.taken, 2);
      await alice.approve(elevation);
      await count("mails", () => mail.taken, 4);
      for (const one of mail.taken) {
        assert.deepEqual([one.tls, one.user, one.kind, one.defects], [true, "stepup", "text/plain", []]);
        assert.equal(one.sender, "stepup@example.com");
        assert.equal(header(one, "From"), "stepup <stepup@example.com>");
        assert.deepEqual([header(one, "To")], one.to);
        assert.equal(header(one, "Bcc"), undefined);
        assert.equal(header(one, "Auto-Submitted"), "auto-generated");
        assert.deepEqual(one.text.match(/https?:\/\/\S+/g), [`${home.peopleUrl}/r/${elevation}`], "one link, and it is ours");
        assert.doesNotMatch(one.text + header(one, "Subject"), /[\u202e\r]/);
        assert.match(header(one, "Subject"), /evil\[\.\]example/);
      }
      for (const [to, words] of [["alice@example.com", /Look at it and decide:/], ["robin@example.com", /It takes other people than you\./]]) {
        const [first, second] = mail.taken.filter((one) => one.to[0] === to);
        assert.match(first.text, words);
        assert.match(second.text, /^Approved by alice, /);
        assert.equal(header(second, "In-Reply-To"), header(first, "Message-ID"));
        assert.equal(header(second, "References"), header(first, "Message-ID"));
        assert.equal(header(second, "Subject"), `Re: ${header(first, "Subject")}`);
      }
      await home.judge({ canaries: [PASSWORD] });
    });
  }

  test("a server that is not who it should be, or lets anybody listen, is sent nothing", async () => {
    await told(`tls_is = "set below"`, "[notify.channels.open]\nhere = 1");
    const [other, right] = [certificate(unwritten(join(home.outside, "other"))), certificate(unwritten(home.outside))];
    const [forged, plain] = [await box({ tls: "implicit", ...other }), await box()];
    home.edit('tls_is = "set below"', `smtp = "smtps://localhost:${forged.port}"\nca = "${right.cert}"`);
    home.edit("here = 1", `smtp = "smtp://localhost:${plain.port}"\nfrom = "s@example.com"`);
    const { agent } = await begin();
    challenge(await agent.call("deploy", production("1")));
    await until("both to have failed", async () => (await readiness()).failing === 4, 40_000);
    assert.match(home.said(), /no good TLS/);
    assert.match(home.said(), /offers no STARTTLS/);
    assert.deepEqual([forged.taken, plain.taken], [[], []]);
  });
});

describe("a server that does not take it", () => {
  test("refuses, hangs, lies or hangs up: no call waits, the same mail comes again, and it arrives once it is taken", async () => {
    const mail = await box();
    await told(`smtp = "smtp://localhost:${mail.port}"\ntls = "none"`, '[notify.groups.release-managers]\nto = ["oncall@example.com"]', "[notify]\nowners = []");
    const { agent } = await begin();
    for (const [n, word] of ["451", "550", "rcpt-550", "drop", "cut"].entries()) {
      await mail.will(word);
      const from = Date.now();
      challenge(await agent.call("deploy", production(`1.${n}`)));
      assert.ok(Date.now() - from < 3000, "the call waits for no mail");
      await count(word, () => mail.did(word), 2);
    }
    // Each is tried again after 5 s, with the ids that it had.
    await mail.will("take");
    await count("mails", () => mail.taken, 10);
    const ids = (all) => all.map((one) => header(one, "Message-ID")).sort();
    assert.equal(new Set(ids(mail.taken)).size, 10);
    const lied = ids(mail.did("drop"));
    assert.deepEqual(ids(mail.taken).filter((id) => lied.includes(id)), [...new Set(lied)], "what it said nothing of comes again as the same");
    await until("nothing to wait", async () => (await readiness()).waiting === 0);

    await mail.will("hang");
    challenge(await agent.call("deploy", production("2")));
    await count("hang", () => mail.did("hang"), 2);
    assert.equal((await agent.call("get_ticket", { id: "OPS-17" })).isError ?? false, false);
    await home.judge();
  });

  test("kill -9 between sending and marking: it is sent again as the same, and never not at all", async () => {
    const mail = await box();
    await told(`smtp = "smtp://localhost:${mail.port}"\ntls = "none"`);
    const { agent } = await begin();
    await mail.will("hang");
    challenge(await agent.call("deploy", production("1")));
    await count("mails that it has heard", () => mail.did("hang"), 2);
    await home.stop("SIGKILL");
    await mail.will("take");
    await serve();
    await count("mails", () => mail.taken, 2);
    const ids = (all) => all.map((one) => header(one, "Message-ID")).sort();
    assert.deepEqual(ids(mail.taken), ids(mail.did("hang")));
    await home.judge();
  });

  test("kill -9 right after the request is opened: whoever is asked is told after the next start", async () => {
    const mail = await box();
    await told(`smtp = "smtp://localhost:${mail.port}"\ntls = "none"`);
    const { agent: first, key } = await begin();
    for (let n = 1, agent = first; n <= 5; n++) {
      challenge(await agent.call("deploy", production(`${n}`)));
      await home.stop("SIGKILL");
      await serve();
      await count("mails", () => mail.taken, 2 * n);
      await home.pinned("ops/deploy");
      agent = await Agent.open(home, "ops", key);
    }
    const ids = new Set(mail.taken.map((one) => header(one, "Message-ID")));
    assert.equal(ids.size, 10);
  });
});

describe("a webhook beside it", () => {
  test("says the same in JSON, and is followed up", async () => {
    const received = [];
    const hook = createServer((request, answer) => {
      let body = "";
      request.on("data", (piece) => { body += piece; }).on("end", () => {
        received.push(JSON.parse(body));
        answer.writeHead(204).end();
      });
    });
    await new Promise((done) => hook.listen(0, "127.0.0.1", done));
    const mail = await box();
    const chat = `[notify.channels.chat]\nwebhook = "http://127.0.0.1:${hook.address().port}/"\nsecret = { env = "STEPUP_HOOK" }`;
    await told(`smtp = "smtp://localhost:${mail.port}"\ntls = "none"`, chat);
    const { alice, agent } = await begin();
    const { elevation } = challenge(await agent.call("deploy", production("2.4.1")));
    await alice.reject(elevation, "wrong week");
    await count("messages", () => received, 2);
    hook.close();
    assert.deepEqual(received.map(({ type }) => type), ["elevation.opened", "elevation.rejected"]);
    const [opened, rejected] = received.map(({ data }) => data);
    assert.match(opened.text, /^\[production\] agent asks: call ops\/deploy · needs 1 approval from release-managers · expires \d\d:\d\d UTC · code /);
    assert.equal(opened.link, `${home.peopleUrl}/r/${elevation}`);
    assert.match(rejected.text, / · rejected by alice$/);
    assert.deepEqual(rejected.by, ["alice"]);
    assert.doesNotMatch(JSON.stringify(received), /2\.4\.1|wrong week/);
  });
});
