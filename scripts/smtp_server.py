"""A real mail server for the tests: aiosmtpd with STARTTLS and logins, on loopback.

    smtp_server.py PORT FOLDER CERTIFICATE KEY

What it takes is read with Python's own e-mail parser, and what that finds is written as JSON to
FOLDER, so that a message is judged by other hands than those that wrote it.
"""

import asyncio
import email
import email.policy
import hashlib
import json
import os
import pathlib
import ssl
import sys
import uuid

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = b"looker", b"correct-horse-battery"
SIZE = 64 << 20


class Mailbox:
    """Takes every message but those to nobody@."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        # Elsewhere, or a large message would make all other connections wait.
        return await asyncio.to_thread(self.keep, session, envelope)

    def keep(self, session, envelope):
        data = envelope.original_content
        message = email.message_from_bytes(data, policy=email.policy.SMTPUTF8)
        parts = []
        for part in message.walk():
            if part.is_multipart():
                continue
            payload = part.get_payload(decode=True)
            text = part.get_content() if part.get_content_maintype() == "text" and not part.get_filename() else None
            parts.append({
                "type": part.get_content_type(),
                "name": part.get_filename(),
                "disposition": part.get_content_disposition(),
                "bytes": len(payload),
                "sha256": hashlib.sha256(payload).hexdigest(),
                "text": text,
                "defects": [repr(defect) for defect in part.defects],
            })
        found = {
            "from": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "options": list(envelope.mail_options),
            "encrypted": session.ssl is not None,
            "login": bool(session.authenticated),
            "headers": [[name, str(value)] for name, value in message.items()],
            "defects": [repr(defect) for defect in message.defects],
            "longest_line": max(len(line) for line in data.split(b"\r\n")),
            "bare": data.replace(b"\r\n", b"").count(b"\n") + data.replace(b"\r\n", b"").count(b"\r"),
            "parts": parts,
        }
        # Written whole or not at all: tests look while others write.
        name = self.folder / f"{uuid.uuid4().hex}.part"
        name.write_text(json.dumps(found))
        os.replace(name, name.with_suffix(".json"))
        return "250 2.0.0 Ok: queued as " + name.stem


def authenticate(server, session, envelope, mechanism, login):
    right = isinstance(login, LoginPassword) and (login.login, login.password) == (USER, PASSWORD)
    # Not handled: the server itself says 535.
    return AuthResult(success=right, handled=False)


def main():
    port, folder, certificate, key = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    controller = Controller(
        Mailbox(folder),
        hostname="127.0.0.1",
        port=int(port),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
        data_size_limit=SIZE,
        enable_SMTPUTF8=True,
    )
    controller.start()
    asyncio.new_event_loop().run_forever()


main()
