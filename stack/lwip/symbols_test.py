#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The archives given hold no writable global that is not thread-local, and nothing of lwIP's that is not to be
there.

Every instance's state is in its struct pel_lwip_state; a variable that the rewrite missed would be shared by all
threads."""
import re
import subprocess
import sys

# The one thread-local: the instance that the thread works for.
THREAD_LOCALS = {'pel_lwip'}

# Parts of lwIP that are not compiled: applications, PPP, SNMP, the sequential API, protocols that are not served.
ABSENT = re.compile(r'^(httpd?_|lwiperf|mdns|mqtt|netbiosns|smtp|sntp|snmp|tftp|ppp|slip|lowpan6|netconn_|netbuf_'
                    r'|netifapi|lwip_(socket|accept|bind|connect|recv|send|select)|tcpip_(init|thread|callback)|dns_'
                    r'|igmp_|autoip_|raw_|altcp_|sys_(mbox|sem|mutex|thread))')

# Of sanitizers and coverage, in builds that have them.
INSTRUMENTATION = re.compile(r'^(__unnamed_|\.|_*(asan|ubsan|odr_asan|sancov|llvm|sanitizer)|__start_|__stop_)')


def symbols(archive):
    """Name, type and section of each symbol that the archive defines."""
    command = ['nm', '--defined-only', '--format=sysv', archive]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in out.split('\n'):
        fields = [field.strip() for field in line.split('|')]
        if len(fields) == 7 and not INSTRUMENTATION.match(fields[0]):
            yield fields[0], fields[3], fields[6]


def problems(archive):
    """One line for each symbol that may not be there."""
    num = 0
    for name, kind, section in symbols(archive):
        num += 1
        if ABSENT.match(name):
            yield f'{name} is compiled, and is not to be'
        is_writable = section.startswith(('.data', '.bss', '*COM*')) and not section.startswith('.data.rel.ro')
        if is_writable and kind in ('OBJECT', 'NOTYPE', 'COMMON'):
            yield f'{name} is a writable global, in {section}'
        if (kind == 'TLS' or section.startswith(('.tdata', '.tbss'))) and name not in THREAD_LOCALS:
            yield f'{name} is thread-local, and not of the list'
    if num == 0:
        yield 'no symbol at all: the archive was not read'


def main():
    failed = False
    for archive in sys.argv[1:]:
        for problem in problems(archive):
            print(f'{archive}: {problem}')
            failed = True
    # The gate must see what it is there for: the pointer is thread-local, in one of the archives.
    names = {name for archive in sys.argv[1:] for name, kind, section in symbols(archive) if kind == 'TLS'}
    if names != THREAD_LOCALS:
        print(f'thread-local are {sorted(names)}, and not {sorted(THREAD_LOCALS)}')
        failed = True
    sys.exit(failed)


main()
