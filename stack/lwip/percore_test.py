#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rewrite of lwIP refuses what it does not know: a new variable, one that is gone, a change that does not
fit."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

lwip = pathlib.Path(sys.argv[1])
files = sys.argv[2:]


def run(root):
    command = [sys.executable, root / 'percore.py', '--source', root / 'src', '--out', root / 'out',
               '--depfile', root / 'd', *files]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stderr


def edit(root, path, old, new):
    file = root / path
    text = file.read_text(encoding='latin1')
    assert old in text, (path, old)
    file.write_text(text.replace(old, new), encoding='latin1')


PCBS = 'struct udp_pcb *udp_pcbs;'
INIT = 'udp_init(void)\n{'

CASES = [
    ('nothing', None, 0, ''),
    ('a new static', ('src/core/udp.c', PCBS, PCBS + '\nstatic u16_t surprise;'), 1, 'surprise'),
    ('a new function static', ('src/core/udp.c', INIT, INIT + '\n  static int calls = 0;'), 1, 'calls'),
    ('a new array', ('src/core/udp.c', PCBS, PCBS + '\nu8_t table[] = {1, 2};'), 1, 'table'),
    ('a variable that is gone', ('src/core/tcp.c', 'u32_t tcp_ticks;', ''), 1, 'tcp_ticks'),
    ('a declaration that is gone', ('src/include/lwip/udp.h', 'extern ' + PCBS, ''), 1, 'udp_pcbs'),
    ('a change that does not fit', ('src/core/ipv4/ip4.c', '++ip_id;', 'ip_id++;'), 1, 'random-ids'),
]


def main():
    failed = False
    for name, change, expected, word in CASES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            shutil.copytree(lwip / 'src', root / 'src')
            shutil.copytree(lwip / 'changes', root / 'changes')
            shutil.copy(lwip / 'percore.py', root)
            if change:
                edit(root, *change)
            status, message = run(root)
        if (status != 0) != (expected != 0) or word not in message:
            print(f'{name}: status {status}, and says: {message.strip()}')
            failed = True
    sys.exit(failed)


main()
