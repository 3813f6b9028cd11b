// The only script: passkeys, posting, looking again when something changed, keys and countdowns. Every page can be
// read without it. It writes text and swaps nodes; it never turns a string into markup (Trusted Types forbid it).
"use strict";
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- Saying things ----
  const status = one("#status");
  let quiet;
  const say = (text, bad = false) => {
    status.classList.toggle("bad", bad);
    status.textContent = text;
    clearTimeout(quiet);
    quiet = setTimeout(() => { status.textContent = ""; }, bad ? 12000 : 5000);
  };

  // ---- Time: countdowns run by the server's clock, moments are shown by the reader's ----
  const now = Number(document.body.dataset.now);
  const skew = now ? now - Date.now() : 0;
  const two = (n) => String(n).padStart(2, "0");
  const left = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s === 0) return "time is over";
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
    return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  };
  const tick = () => all("time[data-until]").forEach((time) => {
    const ms = Number(time.dataset.until) - Date.now() - skew;
    const text = left(ms);
    if (time.textContent !== text) time.textContent = text;
    time.classList.toggle("soon", ms < 120000);
    // What is over looks different: nobody tells of that, so the page looks by itself.
    if (ms <= 0 && ms > -5000) changed();
  });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  const localise = (root) => all("time[data-at]", root).forEach((time) => {
    const at = new Date(Number(time.dataset.at));
    const today = at.toDateString() === new Date(Date.now() + skew).toDateString();
    time.title = time.getAttribute("datetime");
    time.textContent = today ? clock.format(at) : day.format(at);
  });

  // ---- Posting ----
  const post = async (url, body) => {
    const answer = await fetch(url, {
      method: "POST", mode: "same-origin", credentials: "same-origin", redirect: "error", cache: "no-store",
      headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body),
    }).catch(() => {
      const error = new Error("The server does not answer, so it may or may not have been done. Look again in a moment.");
      throw Object.assign(error, { again: true });
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    const error = new Error(said.error || `The server answered ${answer.status}. Nothing was done.`);
    error.again = said.again === true;
    throw error;
  };

  // ---- Passkeys ----
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));
  const get = async ({ nonce, publicKey }) => {
    const options = { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: known(publicKey.allowCredentials) };
    const { id, response } = await navigator.credentials.get({ publicKey: options });
    return {
      nonce, credential: id, clientDataJSON: text(response.clientDataJSON), authenticatorData: text(response.authenticatorData),
      signature: text(response.signature), userHandle: response.userHandle ? text(response.userHandle) : null,
    };
  };
  const create = async ({ nonce, publicKey }) => {
    const options = {
      ...publicKey, challenge: bytes(publicKey.challenge), user: { ...publicKey.user, id: bytes(publicKey.user.id) },
      excludeCredentials: known(publicKey.excludeCredentials),
    };
    const { response } = await navigator.credentials.create({ publicKey: options });
    return { nonce, clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject) };
  };
  const reasons = {
    NotAllowedError: "The passkey was not used: it was cancelled or took too long. Nothing was signed.",
    InvalidStateError: "This device already holds a passkey for you here. Sign in with it.",
    NotSupportedError: "This device cannot make a passkey of the kind that is needed.",
    SecurityError: "The browser does not allow passkeys at this address. Open the page by its configured name.",
    AbortError: "The passkey was not used. Nothing was signed.",
  };

  // ---- Acts: what a button says it does, in its data attributes ----
  const ask = one("#ask");
  // What was typed into the field that is asked for, something where none is, or null when it was cancelled.
  const asked = (button, field, { title, says, ok: does }) => new Promise((resolve) => {
    let typed = null;
    all("[data-field]", ask).forEach((part) => {
      part.hidden = part.dataset.field !== field;
      const input = one("input, textarea", part);
      input.disabled = part.hidden;
      input.value = "";
      if (!part.hidden) typed = input;
    });
    one("#ask-title").textContent = title;
    one("#ask-says").textContent = says;
    const ok = one("#ask-ok");
    ok.textContent = does;
    ok.className = button.className;
    ask.returnValue = "";
    ok.value = "ok";
    ask.addEventListener("close", () => {
      button.focus();
      const said = typed ? typed.value.trim() : "ok";
      resolve(ask.returnValue === "ok" && said ? said : null);
    }, { once: true });
    ask.showModal();
    (typed || ok).focus();
  });
  const vouched = { title: "Sign for it", says: "The new passkey is made. It counts once you sign for it with one that you have already.", ok: "Sign" };
  // What is posted beside what was asked: a signature, a new passkey, or a signature for a new passkey.
  const signed = {
    get: ({ begun }) => get(begun),
    create: ({ begun }) => create(begun),
    add: async ({ button, begun, url }) => {
      const made = await post(`${url}/made`, await create(begun));
      if ((await asked(button, null, vouched)) === null) throw new Error("Nobody signed for the new passkey, so it was not added. You can delete it on your device.");
      return get(made);
    },
  };
  const unread = () => all("[data-long]").find((box) => !box.dataset.read);
  const read = (box) => {
    if (box.scrollTop + box.clientHeight >= box.scrollHeight - 4) box.dataset.read = "1";
  };
  // Arguments that fill more than the screen, by their text: the same ones need not be read again.
  const ended = new Set();
  const ends = new IntersectionObserver((seen) => seen.forEach(({ isIntersecting, target }) => {
    if (isIntersecting) ended.add(target.parentElement.textContent);
  }));
  const unended = () => all("[data-all]").find((part) => part.offsetHeight > innerHeight && !ended.has(part.textContent));
  let held = 0;
  let busy = false;
  const act = async (button) => {
    const { post: url, ceremony, kind, body, then } = button.dataset;
    const long = "whole" in button.dataset ? unread() : null;
    if (long) {
      long.focus();
      long.scrollIntoView({ block: "center" });
      return say("Read this value to its end first, or show it at once.", true);
    }
    const rest = "whole" in button.dataset ? unended() : null;
    if (rest) {
      rest.scrollIntoView();
      return say("Read the arguments to their end first.", true);
    }
    if ("whole" in button.dataset && Date.now() < held) return say("What is shown has just changed. Look again.", true);
    const send = body ? JSON.parse(body) : {};
    const field = button.dataset.ask;
    if (field) {
      const said = await asked(button, field, button.dataset);
      if (said === null) return;
      if (field !== "sure") send[field] = said;
    }
    busy = true;
    button.setAttribute("aria-busy", "true");
    try {
      if (ceremony) {
        if (!window.PublicKeyCredential) throw new Error("This browser has no passkeys.");
        const seen = button.closest("[data-card]");
        const begun = await post(ceremony, { ...send, ...(seen ? { card: seen.dataset.card } : {}) });
        Object.assign(send, await signed[kind || "get"]({ button, begun, url }));
      }
      const said = await post(url, send);
      if (said.says) say(said.says);
      if (then === "refresh") await refresh();
      else if (then === "reload") location.reload();
      else location.assign(then || "/");
    } catch (error) {
      say(reasons[error.name] || error.message, true);
      if (error.again && now) await refresh().catch(() => {});
    } finally {
      busy = false;
      button.removeAttribute("aria-busy");
    }
  };

  // ---- Looking again: the same page is read as a document, and its live parts take the place of the old ones ----
  const load = () => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Error("The server does not answer."));
    request.send();
  });
  const refresh = async () => {
    const { status, response } = await load();
    if (status === 401) return location.reload();
    if (status !== 200 || !response) return;
    document.body.dataset.seen = response.body.dataset.seen;
    const focused = document.activeElement;
    const place = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.matches("a[href]") ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : null);
    localise(response);
    all("[data-live]").forEach((old) => {
      const fresh = old.id && response.getElementById(old.id);
      if (!fresh || old.isEqualNode(fresh)) return;
      // After one's own answer there is nothing left to answer.
      if (old.dataset.card && old.dataset.card !== fresh.dataset.card && one("#approve", fresh)) {
        held = Date.now() + 2000;
        say("What is shown has changed. Look again before you answer.");
      }
      // A value that was read stays read only if it is the same value.
      const known = new Set(all("[data-long][data-read]", old).map((box) => box.textContent));
      all("[data-long]", fresh).forEach((box) => { if (known.has(box.textContent)) box.dataset.read = "1"; });
      const [taken, along] = [document.importNode(fresh, true), old.scrollLeft];
      old.replaceWith(taken);
      taken.scrollLeft = along;
    });
    if (response.title) document.title = response.title;
    if (place && !ask?.open && !document.contains(focused)) one(place)?.focus();
    tick();
    live(streaming);
    watch();
  };
  let streaming = null;
  const live = (on) => {
    streaming = on;
    all("[data-live-state]").forEach((line) => {
      line.classList.toggle("on", on === true);
      line.classList.toggle("off", on === false);
      line.textContent = on === true ? "Live" : on === false ? "Reconnecting…" : "As of now";
    });
  };
  const watch = () => {
    all("[data-long]").forEach((box) => {
      read(box);
      box.addEventListener("scroll", () => read(box), { passive: true });
    });
    all("[data-end]").forEach((end) => ends.observe(end));
  };
  // Nothing is swapped under the fingers of somebody who is answering.
  const inHand = () => busy || ask?.open;
  let again = null;
  const changed = () => {
    clearTimeout(again);
    again = setTimeout(() => (inHand() ? changed() : refresh().then(tell).catch(() => {})), 60);
  };

  // ---- Telling on the desktop: the browser is asked for leave by a button alone. What pops up of a request has its id,
  // so that it is there once, however many pages are open, and how it ended takes its place. ----
  const bell = one("#tell");
  const kept = (name, none) => { try { return JSON.parse(localStorage.getItem(name)) ?? none; } catch { return none; } };
  const keep = (name, value) => { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* this page alone */ } };
  const tells = () => Boolean(bell && window.Notification) && Notification.permission === "granted" && kept("tell", false);
  const pop = ({ id, title, text }, silent) => {
    const popped = new Notification(title, { body: text, tag: id, silent });
    popped.onclick = () => {
      window.focus();
      popped.close();
      location.assign(`/r/${encodeURIComponent(id)}`);
    };
    return popped;
  };
  const looksOn = () => !document.hidden && document.hasFocus();
  const tell = async () => {
    if (!tells()) return;
    const answer = await fetch("/told", { mode: "same-origin", credentials: "same-origin", redirect: "error", cache: "no-store" });
    if (!answer.ok) return;
    const { waiting, over } = await answer.json();
    const told = new Set(kept("told", []));
    if (!looksOn()) {
      waiting.filter(({ id }) => !told.has(id)).forEach((one) => {
        told.add(one.id);
        pop(one, false);
      });
    }
    over.filter(({ id }) => told.delete(id)).forEach((one) => {
      const popped = pop(one, true);
      setTimeout(() => popped.close(), 10000);
    });
    keep("told", [...told].slice(-200));
  };
  const ring = () => {
    bell.hidden = false;
    bell.setAttribute("aria-pressed", String(tells()));
    bell.textContent = tells() ? "Told on this desktop. Stop" : "Tell me on this desktop";
  };
  bell?.addEventListener("click", async () => {
    const stop = tells();
    const leave = stop ? "granted" : await Notification.requestPermission();
    keep("tell", !stop && leave === "granted");
    if (leave !== "granted") say("Your browser does not let this page do that. It can be allowed in the browser's settings.", true);
    else if (!stop) say("You are told on this desktop while the inbox is open in some tab.");
    ring();
    tell().catch(() => {});
  });
  if (bell && window.Notification) ring();

  // ---- Following: a page that is looked at hears that something changed, and the inbox hears it in the background
  // too. No more than that: browsers hold only six connections to one server.
  const [SOON, LATE, UNNOTICED] = [1000, 30000, 3000];
  let [events, retry, wait, lost] = [null, null, SOON, 0];
  const idle = () => document.hidden && !one("[data-live-state]");
  const leave = () => {
    clearTimeout(retry);
    events?.close();
    events = null;
  };
  const away = () => { one("#away").hidden = !lost || Date.now() - lost < UNNOTICED; };
  const follow = () => {
    leave();
    if (idle()) return;
    events = new EventSource(`/events?seen=${document.body.dataset.seen}`);
    events.onopen = () => {
      [wait, lost] = [SOON, 0];
      live(true);
      away();
    };
    events.addEventListener("changed", changed);
    events.onerror = lose;
  };
  // The page is read before it is followed again: whoever is signed out by then sees that, and not this.
  const catchUp = () => (inHand() ? Promise.resolve() : refresh()).then(follow, lose);
  const lose = () => {
    leave();
    lost ||= Date.now();
    live(false);
    retry = setTimeout(catchUp, wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, LATE);
  };
  const looked = () => {
    if (idle()) return leave();
    if (events) return;
    clearTimeout(retry);
    catchUp();
  };

  // ---- Keys ----
  const step = (by) => {
    const rows = all("[data-row]");
    const at = rows.indexOf(document.activeElement);
    rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
  };
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    o: () => { if (document.activeElement.matches("[data-row]")) document.activeElement.click(); },
    a: () => one("#approve")?.focus(),
    r: () => one("#reject")?.click(),
    i: () => location.assign("/"),
    "?": () => one("#keys")?.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || one("dialog[open]")) return;
    if (event.target.matches("input, textarea, select")) return;
    const does = keys[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
  document.addEventListener("click", (event) => {
    const unfold = event.target.closest("[data-unfold]");
    if (unfold) {
      const box = unfold.closest("td, div")?.querySelector("[data-long]");
      box?.classList.add("whole");
      if (box) box.dataset.read = "1";
      return;
    }
    const button = event.target.closest("button[data-post]");
    if (button && !busy) act(button);
  });
  one("#ask-no")?.addEventListener("click", () => ask.close(""));

  one("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  localise(document);
  tick();
  setInterval(tick, 1000);
  watch();
  if (now) {
    follow();
    tell().catch(() => {});
    setInterval(away, 1000);
    document.addEventListener("visibilitychange", looked);
    addEventListener("online", looked);
  }
})();
