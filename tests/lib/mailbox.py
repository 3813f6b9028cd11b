"""A real mail server (aiosmtpd) that takes mail, and sometimes does not. One JSON line on standard output for each thing
that happened; what it does with the mails that come next is read from standard input, one word a line.

Words: take | 451 | 550 | rcpt-550 | hang | drop (takes it and goes away without saying so) | cut (goes away within DATA).
The last one stands until another comes.
"""
import asyncio, json, ssl, sys, threading
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

how = json.loads(sys.argv[1])  # {"tls": "implicit" | "starttls" | "none", "cert", "key", "user", "password"}
does = {"next": "take"}


def say(**what):
    print(json.dumps(what), flush=True)


class Server(SMTP):
    async def smtp_DATA(self, arg):
        if does["next"] == "cut":
            await self.push("354 go on")
            say(did="cut")
            return self.transport.abort()
        await super().smtp_DATA(arg)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if does["next"] == "rcpt-550":
            say(did="rcpt-550")
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        word = does["next"]
        mail = message_from_bytes(envelope.original_content, policy=policy.default)
        said = dict(
            to=envelope.rcpt_tos, sender=envelope.mail_from, headers=[[name, str(value)] for name, value in mail.items()],
            defects=[str(defect) for defect in mail.defects], text=mail.get_content().replace("\r\n", "\n"), kind=mail.get_content_type(),
            tls=session.ssl is not None or how["tls"] == "implicit", user=session.auth_data.login.decode() if session.auth_data else None,
        )
        if word == "hang":
            say(did="hang", **said)
            await asyncio.sleep(3600)
        if word == "drop":
            say(did="drop", **said)
            return server.transport.abort()
        if word in ("451", "550"):
            say(did=word, **said)
            return f"{word} no"
        say(did="take", **said)
        return "250 taken"


def authenticates(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (how["user"], how["password"])
    if not good:
        say(did="unauthorized")
    return AuthResult(success=good, handled=good, auth_data=data if good else None)


class Post(Controller):
    def factory(self):
        return Server(self.handler, **self.SMTP_kwargs)


context = None
if how["tls"] != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(how["cert"], how["key"])
signs_in = dict(authenticator=authenticates, auth_required=True, auth_require_tls=how["tls"] == "starttls") if how.get("user") else {}
if how["tls"] == "starttls":
    signs_in.update(tls_context=context, require_starttls=True)
post = Post(Handler(), hostname="127.0.0.1", port=how["port"], ssl_context=context if how["tls"] == "implicit" else None, **signs_in)
post.start()
say(did="listen")
for line in sys.stdin:
    does["next"] = line.strip()
    say(did="will", word=does["next"])
post.stop()
