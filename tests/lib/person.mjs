// A person at the console without a browser: the same pages, a cookie, and a passkey in software.
import { Authenticator } from "./authenticator.mjs";

export class Person {
  #url;
  #cookie;
  #passkey = new Authenticator();

  constructor(url) {
    this.#url = url;
  }

  static async enrol(link) {
    const { origin, pathname } = new URL(link);
    const person = new Person(origin);
    const { nonce, publicKey } = await person.post(`${pathname}/ceremony`, {});
    const made = person.#passkey.create({ rpId: publicKey.rp.id, origin, challenge: publicKey.challenge });
    await person.post(pathname, { nonce, ...made });
    return person;
  }

  /** Approves what the page shows: the ceremony names the card that was looked at. */
  async approve(id, forged, by) {
    const { text } = await this.page(`/r/${id}`);
    const card = /data-card="([^"]+)"/.exec(text)?.[1];
    return this.#sign(`/r/${id}`, "vote", {}, { card }, forged, by);
  }

  /** A new passkey of this session that no good one has signed for yet. */
  async another() {
    const { nonce, publicKey } = await this.post("/me/passkeys/ceremony", {});
    const passkey = new Authenticator();
    const made = passkey.create({ rpId: publicKey.rp.id, origin: this.#url, challenge: publicKey.challenge });
    return { passkey, begun: await this.post("/me/passkeys/made", { nonce, ...made }) };
  }

  /** Adds a passkey of this name, signed for with `by`, or with this person's own. */
  async add(name, { begun: { nonce, publicKey } }, by = this.#passkey) {
    const signed = by.get({ rpId: publicKey.rpId, origin: this.#url, challenge: publicKey.challenge });
    return this.post("/me/passkeys", { name, nonce, ...signed });
  }

  reject(id, reason, lock = false) {
    return this.post(`/r/${id}/reject`, lock ? { reason, lock } : { reason });
  }

  get credential() {
    return this.#passkey.id;
  }

  signIn() {
    this.#cookie = undefined;
    return this.#sign("/sign-in", "", {});
  }

  unlock(id, reason = "seen enough") {
    return this.#sign(`/locks/${id}`, "unlock", { reason });
  }

  /** `forged`: what an attacker changes, of what is `asked` of the authenticator or of what is then `posted`. */
  async #sign(page, act, body = {}, seen = {}, { asked = {}, posted = {} } = {}, by = this.#passkey) {
    const { nonce, publicKey } = await this.post(`${page}/ceremony`, { ...body, ...seen });
    const made = by.get({ rpId: publicKey.rpId, origin: this.#url, challenge: publicKey.challenge, ...asked });
    return this.post(act ? `${page}/${act}` : page, { ...body, nonce, ...made, ...posted });
  }

  async page(path) {
    const answer = await fetch(this.#url + path, { headers: { cookie: this.#cookie } });
    return { status: answer.status, text: await answer.text() };
  }

  async post(path, body) {
    const headers = { "content-type": "application/json", accept: "application/json", origin: this.#url };
    if (this.#cookie) headers.cookie = this.#cookie;
    const answer = await fetch(this.#url + path, { method: "POST", headers, body: JSON.stringify(body) });
    this.#cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? this.#cookie;
    const text = await answer.text();
    if (!answer.ok) throw Object.assign(new Error(`POST ${path}: ${answer.status}: ${text}`), { status: answer.status });
    return text ? JSON.parse(text) : null;
  }
}
