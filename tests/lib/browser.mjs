// Debian's Chromium with a virtual authenticator (CDP WebAuthn), watched for everything that a page of ours must not
// do: errors, violations of its own Content Security Policy, requests to anywhere else.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { TESTS } from "./home.mjs";

const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PASSKEY = { protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
export const DESKTOP = { width: 1280, height: 860 };
export const PHONE = { width: 390, height: 844 };
const ARTIFACTS = join(TESTS, "artifacts");

export class Browser {
  static async open(origin) {
    const browser = new Browser();
    const started = await chromium.launch({ executablePath: "/usr/bin/chromium", args: QUIET });
    Object.assign(browser, { origin, started, wrong: [] });
    return browser;
  }

  /** One person's device: its own cookies, its own authenticator. */
  async device({ viewport = DESKTOP, passkey = true } = {}) {
    const context = await this.started.newContext({ viewport, deviceScaleFactor: 1, reducedMotion: "reduce", locale: "en-GB" });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    this.#watch(page);
    const cdp = await context.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const device = new Device(page, cdp);
    if (passkey) await device.plugIn();
    return device;
  }

  #watch(page) {
    const wrong = (what) => this.wrong.push(`${page.url()}: ${what}`);
    page.on("pageerror", (error) => wrong(`threw ${error}`));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) wrong(`said ${message.text()}`);
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && url.origin !== this.origin) wrong(`asked ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 500) wrong(`was answered ${response.status()} at ${response.url()}`);
    });
  }

  async close() {
    await this.started.close();
  }
}

class Device {
  constructor(page, cdp) {
    Object.assign(this, { page, cdp });
  }

  async plugIn() {
    const { authenticatorId } = await this.cdp.send("WebAuthn.addVirtualAuthenticator", { options: PASSKEY });
    this.authenticator = authenticatorId;
  }

  /** A security key beside it; answers its id. */
  async plugInAnother() {
    const options = { ...PASSKEY, transport: "usb" };
    return (await this.cdp.send("WebAuthn.addVirtualAuthenticator", { options })).authenticatorId;
  }

  /** Whether the person touches it when it asks. */
  async touch(enabled, authenticatorId = this.authenticator) {
    await this.cdp.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });
  }

  /** What happens when the person does not touch the key, or somebody else's finger does. */
  async verified(isUserVerified) {
    await this.cdp.send("WebAuthn.setUserVerified", { authenticatorId: this.authenticator, isUserVerified });
  }

  /** The page as it is, at both widths, light and dark; at 390 pixels nothing may scroll sideways. */
  async shoot(name) {
    mkdirSync(ARTIFACTS, { recursive: true });
    const back = this.page.viewportSize();
    const sideways = [];
    for (const [kind, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await this.page.setViewportSize(viewport);
      for (const colorScheme of ["light", "dark"]) {
        await this.page.emulateMedia({ colorScheme });
        const width = await this.page.evaluate(() => document.scrollingElement.scrollWidth);
        if (width > viewport.width) sideways.push(`${name}, ${kind}: ${width} pixels wide`);
        await this.page.screenshot({ path: join(ARTIFACTS, `${name}-${kind}-${colorScheme}.png`), fullPage: true });
      }
    }
    await this.page.setViewportSize(back);
    await this.page.emulateMedia({ colorScheme: "light" });
    return sideways;
  }
}
