// Payments, played whole: what README.md beside this file tells, and every misuse that it names.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { challenge } from "../../tests/lib/agent.mjs";
import { Case, asked, denied, ran, sleep, stopped } from "../lib/case.mjs";

const KNOWN = "DE02120300000000202051";
const WHY = { purpose: "invoices of week 47" };

describe("payments", () => {
  let one, bank, fay, fred, tom, olga;

  before(async () => {
    one = await Case.install(import.meta.dirname, "payments", {
      people: { fay: "finance", fred: "finance", tom: "treasury", olga: "finance" },
      caller: { name: "batch-bot", owner: "dave", group: "finance-automations" },
      api: true,
      env: { BANK_CREDENTIAL: "bank-credential" },
      // A grant that is a second too old is one of the misuses; nobody waits five minutes for it.
      requirements: (text) => text.replace('valid_for = "5m"', 'valid_for = "2s"'),
    });
    ({ fay, fred, tom, olga } = one);
    await one.home.pinned("bank/transfer");
    bank = await one.on("bank");
  });

  after(() => one?.remove());

  const paid = () => one.rows("SELECT amount, payee FROM transfers");
  const prepared = async (agent = bank, source = "erp") => JSON.parse(await ran(agent, "prepare_batch", { source, count: 12 })).batch;
  const transfer = (batch, amount = 100) => ({ batch, amount, currency: "EUR", payee: KNOWN });
  const refuses = (acts) => assert.rejects(acts, ({ status }) => status >= 400 && status < 500);

  test("the rules do what their scenarios say", async () => {
    const { code, stdout, stderr } = await one.home.saidBy("policy", "test", "--strict");
    assert.equal(code, 0, stdout + stderr);
  });

  test("batches are prepared and looked at, with nobody asked, and no money moves", async () => {
    assert.match(await ran(bank, "get_batch", { batch: await prepared() }), /erp/);
    assert.equal((await one.home.pending()).length, 0);
    assert.deepEqual(paid(), []);
  });

  test("a transfer takes a second person and what it is for, and is paid once", async () => {
    const pays = transfer(await prepared());
    const elevation = await asked(bank, "transfer", pays, WHY);
    const { text } = await fred.page(`/r/${elevation}`);
    assert.match(text, /Pay 100 EUR to DE02120300000000202051/);
    assert.match(text, /dave<\/bdi><\/strong>, through <bdi>batch-bot/, "the card says who prepared it");
    await fred.approve(elevation);
    assert.match(await ran(bank, "transfer", pays), /paid 100/);
    assert.notEqual((await stopped(bank, "transfer", pays)).elevation, elevation, "the second is another request");
    assert.equal(paid().length, 1);
  });

  test("what was signed is this amount to this payee out of this batch", async () => {
    const pays = transfer(await prepared(), 250);
    const elevation = await asked(bank, "transfer", pays, WHY);
    await fred.approve(elevation);
    for (const other of [
      { ...pays, amount: 250.01 }, { ...pays, amount: 249.99 }, { ...pays, currency: "USD" }, { ...pays, payee: "NL91ABNA0417164300" },
      { ...pays, payee: "DE02120300000000202052" }, { ...pays, batch: await prepared() },
    ]) {
      assert.notEqual((await stopped(bank, "transfer", other)).elevation, elevation, JSON.stringify(other));
    }
    assert.equal(paid().length, 1);
    await ran(bank, "transfer", pays);
    assert.deepEqual(paid().at(-1), { amount: "250.0", payee: KNOWN });
  });

  test("who prepared a batch does not approve its transfer, whoever's automation asks for it", async () => {
    const fays = await one.on("bank", await one.home.caller("fays-bot", { owner: "fay", groups: ["finance-automations"] }));
    const pays = transfer(await prepared(fays), 300);
    const elevation = await asked(bank, "transfer", pays, WHY);
    const { text } = await fay.page(`/r/${elevation}`);
    assert.match(text, /fay<\/bdi><\/strong>, through <bdi>fays-bot/);
    assert.match(text, /You prepared what this acts on/);
    await refuses(fay.approve(elevation));
    assert.equal((await stopped(bank, "transfer", pays)).elevation, elevation);
    await fred.approve(elevation);
    await ran(bank, "transfer", pays);
    assert.equal(paid().length, 3);
  });

  test("nor does the person behind the automation that pays", async () => {
    const olgas = await one.on("bank", await one.home.caller("olgas-bot", { owner: "olga", groups: ["finance-automations"] }));
    const pays = transfer(await prepared(), 400);
    const elevation = await asked(olgas, "transfer", pays, WHY);
    await refuses(olga.approve(elevation));
    await fred.approve(elevation);
    assert.notEqual((await stopped(bank, "transfer", pays)).elevation, elevation, "it is olgas-bot's alone");
    await ran(olgas, "transfer", pays);
    assert.equal(paid().length, 4);
  });

  test("a batch that nobody is known to have prepared is not paid, whoever would approve", async () => {
    assert.equal(await denied(bank, "transfer", transfer("by-hand")), "preparer_unknown");
    for (const spelling of ["batch-1 ", "Batch-1", "batch-01"]) {
      assert.equal(await denied(bank, "transfer", transfer(spelling)), "preparer_unknown", spelling);
    }
    assert.equal(await prepared(bank, "forgetful"), undefined);
    const [{ batch }] = one.rows("SELECT batch FROM batches WHERE source = 'forgetful'");
    assert.equal(await denied(bank, "transfer", transfer(batch)), "preparer_unknown", "its answer did not say which it was");
    assert.equal(paid().length, 4);
  });

  test("over the limit it takes two people of two groups, and one in both is one", async () => {
    const pays = transfer(await prepared(), 20_000);
    const elevation = await asked(bank, "transfer", pays, WHY);
    await fred.approve(elevation);
    await refuses(fred.approve(elevation));
    assert.equal((await stopped(bank, "transfer", pays)).elevation, elevation, "one of two");
    await tom.approve(elevation);
    await ran(bank, "transfer", pays);
    assert.equal(paid().length, 5);
  });

  test("an approval that is a second too old pays nothing", async () => {
    const pays = transfer(await prepared(), 500);
    const elevation = await asked(bank, "transfer", pays, WHY);
    await fred.approve(elevation);
    await sleep(3_000);
    assert.notEqual((await stopped(bank, "transfer", pays)).elevation, elevation);
    assert.equal(paid().length, 5);
  });

  describe("over the bank's HTTP API", () => {
    before(async () => {
      await one.alsoUpstreams(join(import.meta.dirname, "api.toml"));
      await one.alsoRules(readFileSync(join(import.meta.dirname, "api.cedar"), "utf8"));
      for (const person of [fay, fred]) await person.signIn();
      bank = await one.on("bank");
    });

    const send = (body, headers = {}, key = one.key) => fetch(`${one.home.agentsUrl}/http/bank-api/transfers`, {
      method: "POST", body: JSON.stringify(body),
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "stepup-purpose": WHY.purpose, ...headers },
    }).then(async (answer) => ({ status: answer.status, json: await answer.json() }));

    test("a retry under the same Idempotency-Key is one transfer", async () => {
      const pays = transfer(await prepared(), 600);
      const once = { "idempotency-key": "invoice-600" };
      const { status, json } = await send(pays, once);
      assert.equal(status, 401);
      await fred.approve(json.elevation);
      const all = await Promise.all(Array.from({ length: 8 }, () => send(pays, once)));
      assert.equal(all.filter((answer) => answer.status === 201).length, 1, JSON.stringify(all));
      assert.ok(all.every((answer) => answer.status === 201 || ["already_running", "already_ran"].includes(answer.json.slug)));
      assert.equal((await send(pays, once)).json.slug, "already_ran");
      assert.equal((await send({ ...pays, amount: 600.01 }, once)).json.slug, "key_reused");
      assert.equal(paid().length, 6);
    });

    test("what is unusual over MCP is as unusual here", async () => {
      const batch = await prepared();
      for (const [other, requires] of [
        [{ amount: 1_000_000 }, "large-transfer + transfer"], [{ amount: 10_000.01 }, "large-transfer + transfer"],
        [{ amount: 0 }, "large-transfer + transfer"], [{ amount: -5 }, "large-transfer + transfer"], [{ currency: "USD" }, "large-transfer + transfer"],
        [{ currency: "eur" }, "large-transfer + transfer"], [{ payee: "DE00000000000000000001" }, "new-payee + transfer"],
      ]) {
        const { status, json } = await send({ ...transfer(batch, 650), ...other });
        assert.deepEqual([status, json.requires], [401, requires], JSON.stringify(other));
      }
      assert.equal(paid().length, 6);
    });

    test("who prepared it over MCP does not approve it here either", async () => {
      const fays = await one.on("bank", await one.home.caller("fays-other-bot", { owner: "fay", groups: ["finance-automations"] }));
      const { json } = await send(transfer(await prepared(fays), 700));
      await refuses(fay.approve(json.elevation));
      assert.equal((await send(transfer("by-hand", 700))).json.slug, "preparer_unknown");
      assert.equal(paid().length, 6);
    });

    test("a key that leaked asks, and pays nothing", async () => {
      const pays = transfer(await prepared(), 800);
      assert.equal((await send(pays)).status, 401);
      assert.ok(challenge(await bank.call("transfer", pays)));
      const { status, json } = await send(pays, {}, `${one.key}x`);
      assert.deepEqual([status, json.elevation], [401, undefined]);
      assert.equal(paid().length, 6);
    });
  });

  test("a rule that came after the approval is what counts", async () => {
    const pays = transfer(await prepared(), 900);
    await fred.approve(await asked(bank, "transfer", pays, WHY));
    await one.alsoRules('@id("month-end") forbid (principal, action == Action::"tools/call:bank/transfer", resource);');
    assert.equal(await denied(bank, "transfer", pays), "policy_denied");
    assert.equal(paid().length, 6);
  });

  test("the log says all of it, who prepared what too, and verifies", async () => {
    await one.home.judge({ canaries: [one.key, "bank-credential"] });
  });
});
