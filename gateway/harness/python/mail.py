"""A mail server for the tests. It writes each mail that it gets to standard output, one JSON object per line. With
`--refuse N` it refuses the first N mails temporarily."""

import argparse
import email
import email.policy
import json
import time

from aiosmtpd.controller import Controller


class Handler:
    def __init__(self, refuse):
        self.refuse = refuse

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        is_refused = self.refuse > 0
        self.refuse -= 1
        print(
            json.dumps(
                {
                    "is_refused": is_refused,
                    "to": envelope.rcpt_tos,
                    "from": envelope.mail_from,
                    "subject": mail["Subject"],
                    "message_id": mail["Message-ID"],
                    "type": mail.get_content_type(),
                    "text": mail.get_content(),
                }
            ),
            flush=True,
        )
        return "451 try again later" if is_refused else "250 accepted"


parser = argparse.ArgumentParser()
parser.add_argument("--refuse", type=int, default=0)
parser.add_argument("--port", type=int, required=True)
arguments = parser.parse_args()
controller = Controller(Handler(arguments.refuse), hostname="127.0.0.1", port=arguments.port)
controller.start()
while True:
    time.sleep(3600)
