#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starting: what `pel run` refuses and how it says so, rights on the sockets, two daemons for one port, logs on a full disk,
a daemon of one program's own."""
import os
import signal
import socket
import time

from programs_lab import (GROUP, KERNEL_NAME, ON_KERNEL, Skip, expect, inbound, main, need, outbound)
from puppet import start_echo, undisturbed

PORTS = {"steady": 9100, "origin": 8443, "other": 9101}
POLICY = GROUP + "".join((
    inbound("STEADY", "9100-9101", "root/web"),
    outbound("TO_ORIGIN", PORTS["origin"], "root/trusting"),
))
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")

C_PROGRAM = '#include <stdio.h>\nint main(void) { puts("it ran"); return 0; }\n'
GO_PROGRAM = 'package main\n\nimport (\n\t"fmt"\n\t"net"\n)\n\nfunc main() {\n\t_, _ = net.LookupPort("tcp", "http")\n\tfmt.Println("it ran")\n}\n'


def refused(lab, *command, words=(), before=(), **more):
    """`pel run` must not run it, and say so with these words."""
    result = lab.run(*before, *lab.under_stack(*command, **more), check=False)
    expect(result.returncode != 0 and "it ran" not in result.text, f"it was run:\n{result.text}")
    missing = [word for word in words if word.lower() not in result.text.lower()]
    expect(not missing, f"the message lacks {missing}:\n{result.text}")
    print(f"# status {result.returncode}: {result.text.strip()[:400]}".replace("\n", "\n# "), flush=True)
    return result


def refused_and_allowed(lab, path, *words, before=()):
    """Not without --allow-kernel, which the message names, beside the file that is the reason; with it, it runs."""
    refused(lab, path, words=("--allow-kernel", *words), before=before)
    result = lab.run(*before, *lab.under_stack(path, allow_kernel=True), check=False)
    expect(result.returncode == 0 and "it ran" in result.text, f"--allow-kernel: status {result.returncode}:\n{result.text}")


def may_run(lab, user):
    pel = lab.app("pel")
    if lab.run(*user, "test", "-x", pel, check=False).returncode != 0:
        raise Skip(f"the user nobody may not run {pel}")


def kinds_cases(lab, case):
    source = lab.write("hello.c", C_PROGRAM)

    def static():
        need("cc")
        lab.run("cc", "-static", "-o", lab.path("static-hello"), source)
        refused_and_allowed(lab, lab.path("static-hello"), "static", "static-hello")
    case("a static program is refused, and runs with --allow-kernel", static)

    def static_pie():
        need("cc")
        lab.run("cc", "-static-pie", "-o", lab.path("pie-hello"), source)
        refused_and_allowed(lab, lab.path("pie-hello"), "static", "pie-hello")
    case("a static program that is position-independent too", static_pie)

    def setuid():
        may_run(lab, AS_NOBODY)
        lab.run("cc", "-o", lab.path("suid-hello"), source)
        os.chmod(lab.path("suid-hello"), 0o4755)
        refused_and_allowed(lab, lab.path("suid-hello"), "set", "suid-hello", before=AS_NOBODY)
    case("a set-user-ID program likewise", setuid)

    def go(name, cgo):
        need("go", "gcc")
        lab.write("hello.go", GO_PROGRAM)
        home = os.environ.get("HOME") or lab.dir
        lab.run("env", f"HOME={home}", f"CGO_ENABLED={cgo}", "GO111MODULE=off", "GOPROXY=off", "go", "build", "-o", lab.path(name),
                lab.path("hello.go"), timeout=200)
        refused_and_allowed(lab, lab.path(name), name, "Go program")
    case("a Go program, static", lambda: go("go-static", 0))
    case("a Go program that is linked with libc: it makes its system calls itself", lambda: go("go-dynamic", 1))

    def script():
        lab.run("cc", "-static", "-o", lab.path("static-shell"), source)
        path = lab.write("script", f"#!{lab.path('static-shell')}\n")
        os.chmod(path, 0o755)
        refused_and_allowed(lab, path, "static-shell")
    case("a script whose interpreter is static likewise", script)

    def child():
        result = lab.run_under("sh", "-c", '"$0"; echo "status $?"', lab.path("static-hello"), check=False)
        expect("it ran" not in result.text and "status 0" not in result.text, f"a child went to the kernel:\n{result.text}")
        expect("static-hello" in result.text, f"nobody says why:\n{result.text}")
        result = lab.run_under("sh", "-c", '"$0"; echo "status $?"', lab.path("static-hello"), allow_kernel=True)
        expect("it ran" in result.text and "status 0" in result.text, result.text)
    case("a static child of a program under the stack likewise", child)

    def plain_script():
        path = lab.write("plain-script", "#!/bin/sh\necho it ran\n")
        os.chmod(path, 0o755)
        expect("it ran" in lab.run_under(path).text, "it did not run")
    case("a script whose interpreter is not", plain_script)


def word_cases(lab, case):
    def nothing_there():
        result = refused(lab, "/no/such/program", words=("/no/such/program", "not found"))
        expect(result.returncode == 127, f"exit status {result.returncode}")
        result = refused(lab, "no-such-program", words=("no-such-program",))
        expect(result.returncode == 127, f"exit status {result.returncode}")
    case("a program that is not there: status 127", nothing_there)

    def not_executable():
        result = refused(lab, lab.path("www/hello"), words=("ermission",))
        expect(result.returncode == 126, f"exit status {result.returncode}")
    case("a file that is no program: status 126", not_executable)

    def status():
        result = lab.run_under("sh", "-c", "exit 42", check=False)
        expect(result.returncode == 42, f"exit status {result.returncode}")
        result = lab.run_under("sh", "-c", "kill -TERM $$", check=False)
        expect(result.returncode in (-signal.SIGTERM, 143), f"exit status {result.returncode}")
    case("the exit status is the program's", status)

    def no_daemon():
        result = lab.run(lab.app("pel"), "run", "--attach", lab.path("nobody.sock"), "--", "echo", "it ran", check=False)
        expect(result.returncode != 0 and "nobody.sock" in result.text and "it ran" not in result.text, result.text)
    case("no daemon at the socket: the message names it", no_daemon)

    def time_of_true():
        for name, command in (("the kernel's", ("/bin/true",)), ("pel run's", lab.under_stack("/bin/true"))):
            best = None
            for _ in range(10):
                begun = time.monotonic()
                lab.run(*command)
                best = min(best or 9.0, time.monotonic() - begun)
            print(f"# {name} /bin/true: {best * 1000:.1f} ms, with ip netns exec", flush=True)
    case("the time that /bin/true takes is printed", time_of_true)


# ---- rights ----

def rights_cases(lab, case):
    def attach():
        may_run(lab, AS_NOBODY)
        os.chmod(lab.attach, 0o600)
        try:
            refused(lab, "echo", "it ran", words=("may not attach", "attach.sock"), before=AS_NOBODY)
        finally:
            os.chmod(lab.attach, 0o666)
        expect("it ran" in lab.run(*AS_NOBODY, *lab.under_stack("echo", "it ran")).text, "with rights it must run")
    case("an attach socket that the user has no right to: the message says so", attach)

    def control():
        may_run(lab, AS_NOBODY)
        result = lab.run(*AS_NOBODY, lab.app("pel"), "stats", "--socket", lab.path("stack.sock"), check=False)
        expect(result.returncode != 0 and "ermission" in result.text and "stack.sock" in result.text, result.text)
    case("a control socket that the user has no right to: the message says so", control)

    def job():
        may_run(lab, AS_NOBODY)
        result = lab.run(*AS_NOBODY, *lab.under_stack("curl", "-sS", "-m", "5", f"http://{KERNEL_NAME}:{PORTS['origin']}/hello",
                                                      job="STOLEN"), check=False)
        expect(result.returncode != 0 and "job" in result.text.lower(), f"status {result.returncode}:\n{result.text}")
    case("a job's name that the user may not choose (attach.jobs_named): refused", job)


# ---- daemons ----

def daemon_cases(lab, case):
    def second(config, *words):
        with undisturbed(lab, PORTS["steady"]):
            daemon = lab.start(lab.app("pel"), "stack", "--config", config, log="second.log")
            expect(lab.ends(daemon, 20) != 0, "it started")
            text = lab.log_of(daemon)
            missing = [word for word in words if word.lower() not in text.lower()]
            expect(not missing, f"the message lacks {missing}:\n{text}")
            print("# " + text.strip()[-500:].replace("\n", "\n# "), flush=True)
        expect(os.path.exists(lab.attach) and os.path.exists(lab.path("stack.sock")), "it took the first one's sockets away")
        expect("it ran" in lab.run_under("echo", "it ran").text, "nobody can attach any more")

    def same_socket():
        second(lab.config("second", POLICY, device="net_tap0,iface=pel9", addresses=("10.9.0.1/24",),
                          more=f"attach:\n  socket: \"{lab.attach}\"\n"), "attach.sock")
    case("a second daemon for the same attach socket: refused, the first goes on", same_socket)

    def same_port():
        second(lab.config("third", POLICY, device="net_tap0,iface=pel0", addresses=("10.7.0.1/24",),
                          more=f"attach:\n  socket: \"{lab.path('third-attach.sock')}\"\n"), "pel0")
    case("a second daemon for the same tap: refused, the first goes on", same_port)
    case("the same configuration twice: refused, the first goes on", lambda: second(lab.path("stack.yaml")))


def own_daemon(lab):
    """`pel run --policy FILE --config FILE -- PROGRAM`: a stack for this program alone, gone with it."""
    config = lab.write("own.yaml", f"""port:
  device: "net_tap0,iface=pel1"
ip:
  addresses: [ "10.8.0.1/24" ]
policy:
  keyring_dir: "{lab.path('rings')}"
""")
    policy = lab.write("own.policy", POLICY)
    script = ("until ip link show pel1 >/dev/null 2>&1; do sleep 0.05; done; ip link set pel1 up; ip addr add 10.8.0.2/24 dev pel1; "
              f"nginx -e {lab.path('own.err')} -c {lab.path('own-nginx.conf')} -p {lab.dir}")
    cert, key = lab.cert_of("origin")
    lab.write("own-nginx.conf", f"""pid {lab.path('own.pid')}; user root; worker_processes 1; error_log {lab.path('own.err')};
events {{ }}
http {{ access_log off; root {lab.path('www')}; client_body_temp_path {lab.path('t1')}; proxy_temp_path {lab.path('t2')};
fastcgi_temp_path {lab.path('t3')}; uwsgi_temp_path {lab.path('t4')}; scgi_temp_path {lab.path('t5')};
server {{ listen 10.8.0.2:{PORTS['origin']} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; }} }}
""")
    kernel_side = lab.start("sh", "-c", script, log="own-kernel.log")
    waits = f"until ss -Hltn | grep -q 10.8.0.2:{PORTS['origin']}; do sleep 0.05; done; exec curl -sSf -m 20 -o {lab.path('got')} "
    command = (lab.app("pel"), "run", "--policy", policy, "--config", config, "--", "sh", "-c",
               waits + f"http://10.8.0.2:{PORTS['origin']}/mega")
    try:
        lab.run(*command, timeout=60)
        lab.expect_same("www/mega", "got")
        lab.wait_for("its tap to be gone", lambda: lab.run("ip", "link", "show", "pel1", check=False).returncode != 0, 30)
    finally:
        lab.stop(kernel_side)
        if os.path.exists(lab.path("own.pid")):
            lab.run("nginx", "-e", lab.path("own.err"), "-c", lab.path("own-nginx.conf"), "-p", lab.dir, "-s", "quit", check=False)


def full_disk_case(lab):
    """A log that cannot be written must not end or slow down the daemon, nor a program under it."""
    lab.stop(lab.daemon)
    fill = ("sh", "-c", 'mkdir -p "$0" && mount -t tmpfs -o size=64k none "$0" && head -c 65536 /dev/zero > "$0/rest"; '
            'exec "$@" > "$0/log" 2>&1', lab.path("full"))
    lab.daemon = lab.start(*fill, lab.app("pel"), "stack", "--config", lab.path("stack.yaml"), log="full.log")
    lab.wait_started(lab.daemon)
    expect(lab.daemon.poll() is None, f"it ended, status {lab.daemon.returncode}")
    server = start_echo(lab, PORTS["steady"])
    for _ in range(50):  # each is something to complain of
        lab.expect_no_clear(PORTS["steady"], b"words in clear", b"words in clear")
    with undisturbed(lab, PORTS["steady"]):
        pass
    lab.stop(server, signal.SIGKILL)
    status = lab.stop(lab.daemon)
    expect(status == 0, f"exit status {status}")


def ready_case(lab):
    """READY=1 to the service manager, when programs can attach and not before."""
    path = lab.path("notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(20)
        daemon = lab.start("env", f"NOTIFY_SOCKET={path}", lab.app("pel"), "stack", "--config", lab.path("stack.yaml"),
                           log="ready.log")
        words = b""
        while b"READY=1" not in words:
            words = sock.recv(4096)
        expect("it ran" in lab.run_under("echo", "it ran").text, "ready, but nobody can attach")
        expect(lab.stop(daemon) == 0, lab.log_of(daemon)[-1500:])


def cases(lab, case):
    if ON_KERNEL:
        def none():
            raise Skip("there is no daemon")
        case("starting", none)
        return
    lab.start_stack(POLICY, more="stop:\n  drain_s: 1\n")
    lab.start_origin(PORTS["origin"])
    steady = start_echo(lab, PORTS["steady"])
    for part in (kinds_cases, word_cases, rights_cases, daemon_cases):
        part(lab, case)
    case("a daemon of a program's own: TLS by its policy, gone with the program", lambda: own_daemon(lab))
    lab.stop(steady, signal.SIGKILL)
    case("logs on a full disk: nobody notices", lambda: full_disk_case(lab))
    case("READY=1 when programs can attach", lambda: ready_case(lab))


if __name__ == "__main__":
    raise SystemExit(main("launch", cases))
