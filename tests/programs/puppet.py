# SPDX-License-Identifier: Apache-2.0
"""A program that does what it is told, a line of Python at a time, and a client that must never be disturbed."""
import contextlib
import os
import select
import subprocess
import threading
import time

from programs_lab import expect, receive

PROGRAM = """
import errno, os, select, socket, sys, threading, time
world = {'errno': errno, 'os': os, 'select': select, 'socket': socket, 'threading': threading, 'time': time, 'kept': []}
for line in sys.stdin:
    try:
        try:
            answer = repr(eval(line, world))
        except SyntaxError:
            exec(line, world)
            answer = 'done'
    except OSError as error:
        answer = '!' + (errno.errorcode.get(error.errno, '') if error.errno is not None else type(error).__name__)
    except Exception as error:
        answer = '!!' + repr(error)
    print(answer, flush=True)
"""

# Echoes what comes, in a thread for each connection; says "listening" when it does.
ECHO = """
import socket, sys, threading
def serve(sock):
    try:
        with sock:
            while True:
                data = sock.recv(1 << 16)
                if not data:
                    break
                sock.sendall(data)
    except OSError as error:
        print('ended:', error, flush=True)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('', int(sys.argv[1])))
listener.listen(256)
print('listening', flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Puppet:
    """`python3` under the stack that evaluates lines; an answer of "!NAME" is the errno that the line ended with."""

    def __init__(self, lab, *before, **more):
        command = ("ip", "netns", "exec", lab.ns, *before, *lab.under_stack("python3", "-u", "-c", PROGRAM, **more))
        self.errors = lab.path(f"puppet-{len(lab.started)}.err")
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err)
        self.process.log = self.errors
        self.partial = b""
        lab.started.append(self.process)
        self.lab = lab
        expect(self.ask("1 + 1") == "2", f"the program did not start: {lab.log_of(self.process)}")

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, seconds=30):
        end = time.monotonic() + seconds
        while b"\n" not in self.partial:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            expect(ready, f"no answer in {seconds} s: it hangs")
            piece = os.read(self.process.stdout.fileno(), 65536)
            expect(piece, f"it ended: {self.lab.log_of(self.process)[-1500:]}")
            self.partial += piece
        line, self.partial = self.partial.split(b"\n", 1)
        return line.decode()

    def ask(self, line, seconds=30):
        self.tell(line)
        return self.hear(seconds)

    def end(self):
        self.lab.stop(self.process)
        self.process.stdout.close()


class Steady:
    """A kernel client of an echo server, that goes on until it is stopped; every answer must come, and soon. How soon leaves
    room for a machine that stops one of us for seconds; what lasts is to be tried by `goes_on` while it does."""

    def __init__(self, lab, port):
        self.lab = lab
        self.sock = lab.connect(port)
        self.gap = 0.0
        self.num = 0
        self.error = None
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over:
                words = os.urandom(self.num * 37 % 3000 + 1)
                begun = time.monotonic()
                self.sock.sendall(words)
                expect(receive(self.sock, len(words)) == words, "another's words came back")
                self.gap = max(self.gap, time.monotonic() - begun)
                self.num += 1
                time.sleep(0.002)
        except Exception as error:  # told at the end
            self.error = error

    def goes_on(self, num=20):
        """Waits for so many answers more."""
        wanted = self.num + num
        self.lab.wait_for("the other application's answers", lambda: self.num > wanted or self.error, 30)

    def end(self, longest=5.0):
        self.is_over = True
        self.thread.join(20)
        expect(not self.thread.is_alive(), "it hangs")
        with contextlib.suppress(OSError):
            self.sock.close()
        expect(self.error is None, f"another application was disturbed: {type(self.error).__name__}: {self.error}")
        expect(self.num > 20 and self.gap < longest, f"another application was slow: {self.num} answers, longest {self.gap:.2f} s")


@contextlib.contextmanager
def undisturbed(lab, port):
    """What is done meanwhile must not be felt by the echo server at this port. Gives its client."""
    steady = Steady(lab, port)
    yield steady
    steady.goes_on()
    steady.end()


def start_echo(lab, port, **more):
    server = lab.start_under("python3", "-u", "-c", ECHO, str(port), log=f"echo-{port}.log", **more)
    lab.wait_served(port, server)
    return server
