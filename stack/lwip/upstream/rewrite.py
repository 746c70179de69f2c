#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes lwIP's own unit tests fit a lwIP whose variables are members of an instance.

The same rewrite as that of the core (percore.py, beside the sources) and on top of it changes/*.patch, each with its reason;
the sources that were unpacked stay as they are. Also written is pel_lwip_cases.h, a row for each case that the tests have,
those of the files that are not compiled too, so that none can go missing in silence.

    rewrite.py --lwip SUBPROJECT --out DIR --depfile FILE FILE...      (the files to compile, relative to test/unit)
"""
import argparse
import importlib.util
import pathlib
import re

parser = argparse.ArgumentParser()
parser.add_argument('--lwip', required=True, type=pathlib.Path)
parser.add_argument('--out', required=True, type=pathlib.Path)
parser.add_argument('--depfile', required=True, type=pathlib.Path)
parser.add_argument('files', nargs='+')
options = parser.parse_args()

spec = importlib.util.spec_from_file_location('percore', options.lwip / 'percore.py')
percore = importlib.util.module_from_spec(spec)
spec.loader.exec_module(percore)


def include_ours(lines):
    """After the last of lwIP's headers: a name that is a member must not be rewritten before they are read."""
    last = max(i for i, line in enumerate(lines) if line.startswith('#include'))
    lines.insert(last + 1, '#include "stack/lwip/upstream/upstream.h"')


def cases_of(path):
    text = path.read_text(encoding='latin1')
    return re.findall(r'^\s*TESTFUNC\((\w+)\)', text, re.MULTILINE)


def main():
    unit = options.lwip / 'test' / 'unit'
    sources = [unit / name for name in options.files]
    texts = {f'test/unit/{name}': source.read_text(encoding='latin1').split('\n')
             for name, source in zip(options.files, sources)}
    folder = pathlib.Path(__file__).resolve().parent / 'changes'
    changes = sorted(folder.glob('*.patch'))
    for change in changes:
        percore.apply_change(change, texts)
    for path, lines in texts.items():
        for variable in map(lambda row: percore.Variable(*row), percore.VARIABLES):
            if not variable.is_static:
                percore.replace_names(lines, variable, False)
        include_ours(lines)
        (options.out / pathlib.Path(path).name).write_text('\n'.join(lines), encoding='latin1')

    every = sorted(unit.glob('*/test_*.c'))
    rows = [f'    {{"{path.relative_to(unit)}", "{case}"}},' for path in every for case in cases_of(path)]
    (options.out / 'pel_lwip_cases.h').write_text('/* Made by rewrite.py: {file, case}. */\n' + '\n'.join(rows) + '\n')
    read = map(str, [*every, *sources, folder, *changes, options.lwip / 'percore.py'])
    options.depfile.write_text('pel_lwip_cases.h: ' + ' '.join(read) + '\n')


main()
