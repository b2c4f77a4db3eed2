#!/usr/bin/env python3
"""Asks a running image over its control line (docs/inspect.md), as `undercroft inspect` does, for checks that have no host program.

ask_image.py SOCKET REQUEST...: prints the value of each answer as JSON, a line each; exits 1 where one is an error, with its text.
"""
import json
import socket
import sys


class ControlLine:
    """One client of the line; answers are matched to requests by number, since one that went away may have left some."""

    def __init__(self, path):
        self.client = socket.socket(socket.AF_UNIX)
        self.client.settimeout(60)
        self.client.connect(path)
        self.answers = self.client.makefile()
        self.number = 0

    def ask(self, request):
        self.number += 1
        self.client.sendall(f"\n#{self.number} {request}\n".encode())
        while True:
            line = self.answers.readline()
            assert line, "the line ended"
            if line.startswith(f"#{self.number} "):
                return json.loads(line.split(" ", 1)[1])


def main():
    line = ControlLine(sys.argv[1])
    for request in sys.argv[2:]:
        answer = line.ask(request)
        if "error" in answer:
            print(f"{request}: {answer['error']}")
            sys.exit(1)
        print(json.dumps(answer["value"]))


if __name__ == "__main__":
    main()
