// A passkey in software: P-256, user present and verified, attestation "none". What it makes is what a browser
// would hand on (W3C WebAuthn Level 3, 6.1 and 6.5).
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

const UP_UV = 0x05;
const AT = 0x40;
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const b64url = (bytes) => Buffer.from(bytes).toString("base64url");

export class Authenticator {
  #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  #id = randomBytes(32);
  #count = 0;

  get id() {
    return b64url(this.#id);
  }

  /** The answer to `navigator.credentials.create()`, as the console's pages post it. */
  create({ rpId, origin, challenge }) {
    const { x, y } = this.#keys.publicKey.export({ format: "jwk" });
    const part = (text) => Buffer.concat([Buffer.from("5820", "hex"), Buffer.from(text, "base64url")]);
    // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
    const cose = Buffer.concat([Buffer.from("a50102032620", "hex"), Buffer.from("0121", "hex"), part(x), Buffer.from("22", "hex"), part(y)]);
    const data = Buffer.concat([this.#data(rpId, UP_UV | AT), Buffer.alloc(16), Buffer.from([0, this.#id.length]), this.#id, cose]);
    const head = Buffer.concat([Buffer.from("a363666d74646e6f6e656761747453746d74a068617574684461746158", "hex"), Buffer.from([data.length])]);
    return { clientDataJSON: b64url(client("webauthn.create", origin, challenge)), attestationObject: b64url(Buffer.concat([head, data])) };
  }

  /** The answer to `navigator.credentials.get()`; what is given beside the first three is a forger's. */
  get({ rpId, origin, challenge, type = "webauthn.get", flags = UP_UV }) {
    this.#count += 1;
    const data = this.#data(rpId, flags);
    const said = client(type, origin, challenge);
    const signature = sign("sha256", Buffer.concat([data, sha256(said)]), this.#keys.privateKey);
    return {
      credential: b64url(this.#id), clientDataJSON: b64url(said), authenticatorData: b64url(data),
      signature: b64url(signature), userHandle: null,
    };
  }

  #data(rpId, flags) {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(this.#count);
    return Buffer.concat([sha256(rpId), Buffer.from([flags]), count]);
  }
}

const client = (type, origin, challenge) => Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
