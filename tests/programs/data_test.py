#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data servers that know no TLS here, under the stack: redis with redis-benchmark, memcached with its threads, PostgreSQL with
its processes and pgbench on either side. Rules are chosen by job and by user, by the kernel's word."""
import glob
import os
import pwd
import re
import signal
import threading

from programs_lab import (GROUP, KERNEL_NAME, ON_KERNEL, STACK, STACK_NAME, Skip, expect, inbound, main, need, outbound,
                          receive)

PORTS = {"redis": 6379, "memcached": 11211, "postgres": 5432, "relay": 5433, "out": 5434}


def of(condition, rule):
    """The same rule for one job or user only."""
    return rule.replace("  Priority", f"  {condition}\n  Priority", 1)


POLICY = GROUP + "".join((
    of("Jobname redis*", inbound("REDIS", PORTS["redis"], "root/web", priority=9)),
    of("Jobname memcached", inbound("MEMCACHED", PORTS["memcached"], "root/web", priority=9)),
    of("Userid postgres", inbound("POSTGRES", PORTS["postgres"], "root/web", priority=9)),
    of("Userid nobody", inbound("NOT_OURS", "5000-12000", "root/web", priority=5)),
    outbound("TO_POSTGRES", PORTS["out"], "root/trusting"),
))


class Data:
    def __init__(self, lab, case):
        self.lab = lab
        self.case = case
        self.tls = () if ON_KERNEL else ("--tls", "--cacert", lab.ca, "--sni", STACK_NAME)


# ---- redis ----

def redis_cases(data):
    need("redis-check-rdb", "redis-benchmark", "redis-cli")
    lab, case = data.lab, data.case
    # Debian's redis-tools has the server too: it is the program that its name says it is.
    os.symlink("/usr/bin/redis-check-rdb", lab.path("redis-server"))
    server = lab.start_under(lab.path("redis-server"), "--port", str(PORTS["redis"]), "--bind", "0.0.0.0", "--save", "",
                             "--protected-mode", "no", "--dir", lab.dir, "--io-threads", "2", job="redis-main", log="redis.log")
    case("redis-server starts", lambda: lab.wait_served(PORTS["redis"], server))
    at = ("-h", STACK, "-p", str(PORTS["redis"]), *data.tls)

    def equal():
        with open(lab.path("www/mega"), "rb") as mega:
            value = mega.read()
        expect("OK" in lab.run("redis-cli", *at, "-x", "SET", "mega", input=value).text, "not set")
        got = lab.run("redis-cli", "--raw", *at, "GET", "mega").stdout
        expect(got == value + b"\n", f"{len(got)} bytes came back, or others")
        lab.expect_rule("REDIS", direction="inbound")
    case("redis-cli: 1 MB set and got, equal; the rule of a job that pel run named", equal)

    def bench(*more):
        result = lab.run("redis-benchmark", *at, "-q", *more, timeout=120)
        lines = [line for line in result.text.replace("\r", "\n").splitlines() if "requests per second" in line]
        expect(lines and "rror" not in result.text, result.text[-1500:])
        print("".join(f"# {line.strip()}\n" for line in lines), end="", flush=True)
    case("redis-benchmark, 50 clients", lambda: bench("-t", "set,get", "-n", "20000", "-c", "50"))
    case("redis-benchmark, a pipeline of 100", lambda: bench("-t", "set,get,lpush", "-n", "200000", "-c", "20", "-P", "100"))
    case("redis-benchmark, values of 100 kB", lambda: bench("-t", "set,get", "-n", "2000", "-c", "10", "-d", "100000"))

    def subscribers():
        """Publishing to many at once, and one that leaves without a word."""
        socks = [lab.connect(PORTS["redis"]) for _ in range(20)]
        for sock in socks:
            sock.sendall(b"SUBSCRIBE news\r\n")
            expect(receive(sock, 13).startswith(b"*3\r\n$9\r\n"), "no subscription")
        socks.pop().close()
        lab.run("redis-cli", *at, "PUBLISH", "news", "x" * 1000)
        for sock in socks:
            got = b""
            while b"x" * 1000 not in got:
                piece = sock.recv(4096)
                expect(piece, "closed")
                got += piece
            sock.close()
    case("redis: 20 subscribers, each hears", subscribers)
    case("redis: nothing in clear", lambda: lab.expect_no_clear(PORTS["redis"], b"PING\r\n", b"PONG"))
    case("redis ends", lambda: lab.ended_well(server))


# ---- memcached ----

def memcached_client(lab, index, failed):
    """Sets and gets values of all sizes, several in one write, and compares."""
    try:
        with lab.connect(PORTS["memcached"]) as sock:
            for round_ in range(60):
                values = [os.urandom((round_ * 997 + i * 3001) % 60000 + 1) for i in range(4)]
                sock.sendall(b"".join(b"set k%d-%d 0 60 %d\r\n%s\r\n" % (index, i, len(value), value)
                                      for i, value in enumerate(values)))
                expect(receive(sock, 8 * 4) == b"STORED\r\n" * 4, "not stored")
                sock.sendall(b"get " + b" ".join(b"k%d-%d" % (index, i) for i in range(4)) + b"\r\n")
                wanted = b"".join(b"VALUE k%d-%d 0 %d\r\n%s\r\n" % (index, i, len(value), value)
                                  for i, value in enumerate(values)) + b"END\r\n"
                expect(receive(sock, len(wanted)) == wanted, "what came back differs")
    except Exception as error:  # a thread's failure is told by the case
        failed.append(f"client {index}: {type(error).__name__}: {error}")


def memcached_cases(data):
    need("memcached")
    lab, case = data.lab, data.case
    server = lab.start_under("memcached", "-u", "root", "-l", STACK, "-p", str(PORTS["memcached"]), "-U", "0", "-t", "4", "-m",
                             "64", log="memcached.log")
    case("memcached starts", lambda: lab.wait_served(PORTS["memcached"], server))

    def load():
        failed = []
        threads = [threading.Thread(target=memcached_client, args=(lab, i, failed)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        expect(not failed, "\n".join(failed))
        expect(not any(thread.is_alive() for thread in threads), "a client hangs")
        lab.expect_rule("MEMCACHED", direction="inbound")
    case("memcached, 4 threads: 12 connections, 60 rounds of values of all sizes, equal", load)

    def counted():
        with lab.connect(PORTS["memcached"]) as sock:
            def ask():
                sock.sendall(b"stats\r\n")
                text = b""
                while not text.endswith(b"END\r\n"):
                    text += receive(sock, 1)
                return dict(line.split()[1:3] for line in text.decode().splitlines() if line.startswith("STAT"))
            stats = ask()
            expect(stats["threads"] == "4" and stats["cmd_set"] == str(12 * 60 * 4), f"{stats['threads']}, {stats['cmd_set']}")
            # Those of earlier cases are gone, also for the program, as soon as it has heard of it.
            lab.wait_for("earlier connections to be closed", lambda: int(ask()["curr_connections"]) <= 4, 20)
    case("memcached counts what was sent, and its connections are closed", counted)
    case("memcached: nothing in clear", lambda: lab.expect_no_clear(PORTS["memcached"], b"version\r\n", b"VERSION"))
    case("memcached ends", lambda: lab.ended_well(server))


# ---- PostgreSQL ----

def postgres_bin():
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not folders:
        raise Skip("PostgreSQL is not installed: scripts/setup brings it")
    return folders[-1]


class Postgres:
    def __init__(self, data):
        self.lab = data.lab
        self.case = data.case
        self.bin = postgres_bin()
        self.folder = self.lab.path("pg")
        user = pwd.getpwnam("postgres")
        os.makedirs(self.folder, mode=0o700)
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "env", "-C", self.folder,
                            "LC_ALL=C")

    def prepare(self):
        pel = self.lab.app("pel")
        if self.lab.run(*self.as_postgres, "test", "-x", pel, check=False).returncode != 0:
            raise Skip(f"the user postgres may not run {pel}")
        self.lab.run(*self.as_postgres, f"{self.bin}/initdb", "-A", "trust", "-N", "-D", self.folder + "/data")
        with open(self.folder + "/data/pg_hba.conf", "a") as out:
            out.write("host all all 10.7.0.0/24 trust\n")

    def start(self):
        return self.lab.start(*self.as_postgres, *self.lab.under_stack(
            f"{self.bin}/postgres", "-D", self.folder + "/data", "-p", str(PORTS["postgres"]), "-c", "listen_addresses=0.0.0.0",
            "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off", "-c", "shared_buffers=64MB", "-c",
            "max_parallel_workers=2"), log="postgres.log")

    def bench(self, at, *more, under=False):
        command = (f"{self.bin}/pgbench", "-h", at[0], "-p", str(at[1]), "-U", "postgres", *more, "postgres")
        command = ("env", "PGSSLMODE=disable", "PGGSSENCMODE=disable", *command)
        result = (self.lab.run_under if under else self.lab.run)(*command, timeout=120)
        return result.text

    def psql(self, at, *more, **options):
        return self.lab.run("env", "PGSSLMODE=disable", "PGGSSENCMODE=disable", f"{self.bin}/psql", "-h", at[0], "-p",
                            str(at[1]), "-U", "postgres", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *more, "postgres",
                            **options)


def expect_transactions(text, number):
    done = re.search(r"number of transactions actually processed: (\d+)", text)
    expect(done and int(done.group(1)) == number and "failed transactions: 0" in text and "aborted" not in text, text[-2000:])
    print("".join(f"# {line}\n" for line in text.splitlines() if line.startswith("tps")), end="", flush=True)


def postgres_cases(data):
    postgres = Postgres(data)
    lab, case = data.lab, data.case
    postgres.prepare()
    server = postgres.start()
    relay = lab.relay_in(PORTS["postgres"], PORTS["relay"])
    at = ("127.0.0.1", PORTS["relay"])
    case("PostgreSQL starts, as user postgres", lambda: lab.wait_served(PORTS["postgres"], server))

    def bench():
        postgres.bench(at, "-i", "-s", "1", "-q")
        expect_transactions(postgres.bench(at, "-c", "10", "-j", "2", "-t", "100"), 1000)
        lab.expect_rule("POSTGRES", direction="inbound")
    case("pgbench: 10 clients, 100 transactions each; the rule of the user postgres", bench)
    case("pgbench: a connection for each transaction",
         lambda: expect_transactions(postgres.bench(at, "-C", "-c", "4", "-S", "-t", "25"), 100))

    def copy():
        """30 MB out and in again by COPY; the server's own digest of both."""
        query = "SELECT md5(string_agg(aid::text || bid::text || abalance::text || filler, '' ORDER BY aid)) FROM "
        rows = postgres.psql(at, "-c", "COPY (SELECT * FROM pgbench_accounts, generate_series(1, 3) ORDER BY 1) TO STDOUT")
        lab.write("rows.txt", "".join(line.rsplit("\t", 1)[0] + "\n" for i, line in enumerate(rows.text.splitlines())
                                      if i % 3 == 0))
        postgres.psql(at, "-c", "CREATE TABLE again (LIKE pgbench_accounts)")
        with open(lab.path("rows.txt"), "rb") as text:
            postgres.psql(at, "-c", "COPY again FROM STDIN", input=text.read())
        one = postgres.psql(at, "-c", query + "pgbench_accounts").text
        expect(len(one.strip()) == 32 and one == postgres.psql(at, "-c", query + "again").text, "the tables differ")
        expect(len(rows.text) > 25000000, f"only {len(rows.text)} bytes")
    case("psql: COPY out and in, 100,000 rows, equal", copy)

    def cancel():
        """A cancel request is a connection of its own, and a signal to the process that serves the first."""
        client = lab.start("env", "PGSSLMODE=disable", f"{postgres.bin}/psql", "-h", at[0], "-p", str(at[1]), "-U", "postgres",
                           "-X", "-c", "SELECT pg_sleep(60)", "postgres", log="cancel.log")
        count = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
        lab.wait_for("the query", lambda: postgres.psql(at, "-c", count).text.strip() == "1", 30)
        client.send_signal(signal.SIGINT)
        lab.ends(client)
        expect("canceling statement due to user request" in lab.log_of(client), lab.log_of(client))
    case("psql: a query is cancelled", cancel)

    def both_sides():
        lab.relay_out(PORTS["out"], PORTS["relay"])
        expect_transactions(postgres.bench((KERNEL_NAME, PORTS["out"]), "-c", "6", "-j", "2", "-t", "50", under=True), 300)
        lab.expect_rule("TO_POSTGRES", direction="outbound")
    case("pgbench under the stack too: TLS out by policy, TLS in by policy", both_sides)
    case("PostgreSQL: nothing in clear",
         lambda: lab.expect_no_clear(PORTS["postgres"], b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"N"))
    lab.stop(relay)
    case("PostgreSQL ends, a fast shutdown", lambda: lab.ended_well(server, signal.SIGINT))


def cases(lab, case):
    lab.start_stack(POLICY, attach='  jobs_named: [ "root" ]\n')
    data = Data(lab, case)
    for program in (redis_cases, memcached_cases, postgres_cases):
        try:
            program(data)
        except Exception as error:  # said as a case; the other programs go on
            def again(error=error):
                raise error
            case(program.__name__, again)


if __name__ == "__main__":
    raise SystemExit(main("data", cases))
