#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes lwIP an object: every writable variable of the core becomes a member of one struct, reached by one thread pointer.

As shipped lwIP keeps its state in some 50 globals, so that a process has one instance. Here a copy of the sources is
written in which each of them is `pel_lwip->NAME`, a member of `struct pel_lwip_state`; an instance is such a struct, and a
thread switches instances by setting `pel_lwip`. The sources that were unpacked stay as they are.

Nothing is guessed. VARIABLES names each variable by file and definition; a definition that is not found exactly once, or
that looks like a writable variable and is neither named here nor in LEFT_OUT, is an error. What this misses, the `nm` test of
stack/lwip finds in the archive. Small changes that no option of lwIP allows are changes/*.patch, each with its reason at the
top; they apply without fuzz or not at all. (They are not the set-up's, because lwIP's files have line ends of both kinds.)

    percore.py --source LWIP/src --out DIR --depfile FILE FILE...     (the sources to compile, relative to LWIP/src)
"""
import argparse
import os
import pathlib
import re
import sys

# File, the definition as it stands there. `static` ones are known in their file alone and get the file's name as a prefix
# where two files use one name.
VARIABLES = [
    ('core/ip.c', 'struct ip_globals ip_data;'),
    ('core/netif.c', 'struct netif *netif_list;'),
    ('core/netif.c', 'struct netif *netif_default;'),
    ('core/netif.c', 'static u8_t netif_num;'),
    ('core/tcp.c', 'static u16_t tcp_port = TCP_LOCAL_PORT_RANGE_START;'),
    ('core/tcp.c', 'u32_t tcp_ticks;'),
    ('core/tcp.c', 'struct tcp_pcb *tcp_bound_pcbs;'),
    ('core/tcp.c', 'union tcp_listen_pcbs_t tcp_listen_pcbs;'),
    ('core/tcp.c', 'struct tcp_pcb *tcp_active_pcbs;'),
    ('core/tcp.c', 'struct tcp_pcb *tcp_tw_pcbs;'),
    ('core/tcp.c', 'u8_t tcp_active_pcbs_changed;'),
    ('core/tcp.c', 'static u8_t tcp_timer;'),
    ('core/tcp.c', 'static u8_t tcp_timer_ctr;'),
    ('core/tcp.c', 'static u8_t tcp_ext_arg_id;'),
    ('core/tcp_in.c', 'static struct tcp_seg inseg;'),
    ('core/tcp_in.c', 'static struct tcp_hdr *tcphdr;'),
    ('core/tcp_in.c', 'static u16_t tcphdr_optlen;'),
    ('core/tcp_in.c', 'static u16_t tcphdr_opt1len;'),
    ('core/tcp_in.c', 'static u8_t *tcphdr_opt2;'),
    ('core/tcp_in.c', 'static u16_t tcp_optidx;'),
    ('core/tcp_in.c', 'static u32_t seqno, ackno;'),
    ('core/tcp_in.c', 'static tcpwnd_size_t recv_acked;'),
    ('core/tcp_in.c', 'static u16_t tcplen;'),
    ('core/tcp_in.c', 'static u8_t flags;'),
    ('core/tcp_in.c', 'static u8_t recv_flags;'),
    ('core/tcp_in.c', 'static struct pbuf *recv_data;'),
    ('core/tcp_in.c', 'struct tcp_pcb *tcp_input_pcb;'),
    ('core/udp.c', 'static u16_t udp_port = UDP_LOCAL_PORT_RANGE_START;'),
    ('core/udp.c', 'struct udp_pcb *udp_pcbs;'),
    ('core/ipv4/dhcp.c', 'u32_t dhcp_rx_options_val[DHCP_OPTION_IDX_MAX];'),
    ('core/ipv4/dhcp.c', 'u8_t  dhcp_rx_options_given[DHCP_OPTION_IDX_MAX];'),
    ('core/ipv4/dhcp.c', 'static struct udp_pcb *dhcp_pcb;'),
    ('core/ipv4/dhcp.c', 'static u8_t dhcp_pcb_refcount;'),
    ('core/ipv4/dhcp.c', '  static u32_t xid;'),
    ('core/ipv4/etharp.c', 'static struct etharp_entry arp_table[ARP_TABLE_SIZE];'),
    ('core/ipv4/ip4.c', 'static u16_t ip_id;'),
    ('core/ipv4/ip4_addr.c', '  static char str[IP4ADDR_STRLEN_MAX];'),
    ('core/ipv4/ip4_frag.c', 'static struct ip_reassdata *reassdatagrams;'),
    ('core/ipv4/ip4_frag.c', 'static u16_t ip_reass_pbufcount;'),
    ('core/ipv6/ip6_addr.c', '  static char str[40];'),
    ('core/ipv6/ip6_frag.c', 'static struct ip6_reassdata *reassdatagrams;'),
    ('core/ipv6/ip6_frag.c', 'static u16_t ip6_reass_pbufcount;'),
    ('core/ipv6/ip6_frag.c', '  static u32_t identification;'),
    ('core/ipv6/nd6.c', 'struct nd6_neighbor_cache_entry neighbor_cache[LWIP_ND6_NUM_NEIGHBORS];'),
    ('core/ipv6/nd6.c', 'struct nd6_destination_cache_entry destination_cache[LWIP_ND6_NUM_DESTINATIONS];'),
    ('core/ipv6/nd6.c', 'struct nd6_prefix_list_entry prefix_list[LWIP_ND6_NUM_PREFIXES];'),
    ('core/ipv6/nd6.c', 'struct nd6_router_list_entry default_router_list[LWIP_ND6_NUM_ROUTERS];'),
    ('core/ipv6/nd6.c', 'u32_t reachable_time = LWIP_ND6_REACHABLE_TIME;'),
    ('core/ipv6/nd6.c', 'u32_t retrans_timer = LWIP_ND6_RETRANS_TIMER; /* @todo implement this value in timer */'),
    ('core/ipv6/nd6.c', 'static u8_t nd6_cached_neighbor_index;'),
    ('core/ipv6/nd6.c', 'static netif_addr_idx_t nd6_cached_destination_index;'),
    ('core/ipv6/nd6.c', 'static ip6_addr_t multicast_address;'),
    ('core/ipv6/nd6.c', 'static u8_t nd6_tmr_rs_reduction;'),
    ('core/ipv6/nd6.c', 'static union ra_options nd6_ra_buffer;'),
    ('core/ipv6/nd6.c', '  static s8_t last_router;'),
]

# Their types or sizes are known in their own file alone: they get room in bytes, and a static assertion there checks it.
OPAQUE = {
    'arp_table': '64 * ARP_TABLE_SIZE',
    'nd6_ra_buffer': '64',
    'dhcp_rx_options_val': '4 * 32',
    'dhcp_rx_options_given': '32',
}

# Only those initial values that are not zero and that the init functions do not set (tcp_init and udp_init set the ports).
INITIAL = {'reachable_time': 'LWIP_ND6_REACHABLE_TIME', 'retrans_timer': 'LWIP_ND6_RETRANS_TIMER'}

# Extra members, for the macros and hooks of stack/lwip/port.
EXTRA = ['tcpwnd_size_t tcp_wnd', 'tcpwnd_size_t tcp_snd_buf', 'void *owner', 'struct tcp_pcb *tcp_idle_pcbs',
         'struct tcp_pcb **tcp_tw_end', 'struct tcp_pcb *tcp_timer_next']

# Definitions that our options leave out of the build, so that they may stay.
LEFT_OUT = [
    ('core/mem.c', 'ram'), ('core/mem.c', 'ram_end'), ('core/mem.c', 'mem_mutex'), ('core/mem.c', 'mem_free_count'),
    ('core/mem.c', 'lfree'), ('core/timeouts.c', 'next_timeout'), ('core/timeouts.c', 'current_timeout_due_time'),
    ('core/timeouts.c', 'tcpip_tcp_timer_active'),
    ('core/netif.c', 'ext_callback'), ('core/netif.c', 'netif_client_id'), ('core/netif.c', 'loop_netif'),
    ('core/pbuf.c', 'pbuf_free_ooseq_pending'), ('core/tcp.c', 'iss'), ('core/ipv4/dhcp.c', 'xid'),
    ('core/ipv4/dhcp.c', 'xid_initialised'), ('core/ipv4/etharp.c', 'etharp_cached_entry'),
    ('core/ipv4/ip4.c', 'ip4_default_multicast_netif'),
]

# Never written: made constants.
CONSTANTS = [('core/ipv4/dhcp.c', 'static u8_t dhcp_discover_request_options[] = {')]

STATE_INCLUDES = ['opt', 'ip', 'tcp', 'priv/tcp_priv', 'udp', 'netif', 'etharp', 'ip4_frag', 'ip6_frag', 'nd6',
                  'priv/nd6_priv', 'dhcp']

DEFINITION = re.compile(r'^(?:\s+static |static |)(?!extern|typedef|return|const|goto|struct \w+;|union \w+;)(?:volatile )?'
                        r'(?:(?:struct|union) \w+|u?int|char|[a-z_0-9]+_t) +[*\s]*(?P<name>\w+)(?:, ?\w+)*(?:\[[^\]]*\])*'
                        r'(?: = [^;]*)?(?:;| = *\{|\[\] = \{)')


def fail(message):
    sys.exit(f'percore.py: {message}')


class Variable:
    """One row of VARIABLES, taken apart."""

    def __init__(self, file, definition):
        self.file, self.definition = file, definition
        found = re.match(r'\s*(static )?(.*?[ *])(\w+(?:, \w+)*)(\[\w+\])?(?: = \w+)?;', definition)
        self.is_static = bool(found[1])
        self.type, self.dimension = found[2].strip(), found[4] or ''
        self.names = [name.strip() for name in found[3].split(',')]

    def member(self, name):
        stem = pathlib.Path(self.file).stem
        return f'{stem}_{name}' if self.is_static and not name.startswith(stem) else name

    def declarations(self):
        for name in self.names:
            if name in OPAQUE:
                yield f'_Alignas(8) unsigned char {self.member(name)}[{OPAQUE[name]}]'
            else:
                yield f'{self.type} {self.member(name)}{self.dimension}'

    def expression(self, name):
        if name not in OPAQUE:
            return f'(pel_lwip->{self.member(name)})'
        pointer = f'{self.type} (*){self.dimension}' if self.dimension else f'{self.type} *'
        return f'(*({pointer})(void *)pel_lwip->{self.member(name)})'

    def in_place_of_definition(self):
        """What stands where the variable was defined."""
        indent = re.match(r'\s*', self.definition)[0]
        checks = [f'_Static_assert(sizeof({self.type}{self.dimension}) <= sizeof(pel_lwip->{self.member(name)}), "room");'
                  for name in self.names if name in OPAQUE]
        return indent + (' '.join(checks) or f'/* {", ".join(self.names)}: in struct pel_lwip_state */')


def apply_change(change, texts):
    """Applies a unified diff, exactly, to the lines of `texts` (path, without its src/ -> lines)."""
    lines = change.read_text(encoding='latin1').split('\n')
    path, at, offset = None, 0, 0
    for i, line in enumerate(lines):
        if line.startswith('--- '):
            continue
        if line.startswith('+++ '):
            path, offset = line[4:].removeprefix('b/').removeprefix('src/'), 0
            if i < 2 or path not in texts:
                fail(f'{change.name} begins without its reason, or names {path}, which is not there')
        elif line.startswith('@@'):
            at = int(re.match(r'@@ -(\d+)', line)[1]) - 1 + offset
        elif path and line[:1] in ('-', ' '):
            if at >= len(texts[path]) or texts[path][at] != line[1:]:
                fail(f'{change.name}:{i + 1} does not fit {path}:{at + 1}')
            if line[0] == '-':
                del texts[path][at]
                offset -= 1
            else:
                at += 1
        elif path and line.startswith('+'):
            texts[path].insert(at, line[1:])
            at, offset = at + 1, offset + 1


def replace_names(lines, variable, in_macros_only):
    for name in variable.names:
        word = re.compile(r'(?<![\w.])(?<!->)' + name + r'\b(?!\s*\()')
        for i, line in enumerate(lines):
            is_macro = line.startswith('#define') or (i > 0 and lines[i - 1].endswith('\\'))
            is_other = re.match(r'\s*#\s*(if|elif|include|undef)|\s*\*(\s|/|$)|\s*/\*.*\*/\s*$', line)
            if name in line and not is_other and (is_macro or not in_macros_only):
                lines[i] = word.sub(lambda _, n=name: variable.expression(n), line)


def remove_definition(lines, variable):
    where = [i for i, line in enumerate(lines) if line == variable.definition]
    if len(where) != 1:
        fail(f'{variable.file}: found {len(where)} times, not once: {variable.definition.strip()}')
    lines[where[0]] = variable.in_place_of_definition()


def check_nothing_is_unknown(path, lines):
    depth = 0
    for number, line in enumerate(lines, 1):
        found = DEFINITION.match(line)
        is_variable = depth == 0 or line.lstrip().startswith('static ')
        if found and is_variable and (path, found['name']) not in LEFT_OUT and not re.search(r'\bconst\b', line):
            fail(f'{path}:{number}: an unknown variable: {line.strip()}')
        depth += line.count('{') - line.count('}')
        if line.startswith('}'):
            depth = 0


def remove_declarations(texts):
    """The headers' `extern` lines go; the struct's member takes the name's place."""
    shared = {name for variable in map(lambda row: Variable(*row), VARIABLES) if not variable.is_static
              for name in variable.names}
    removed = set()
    for path in (p for p in texts if p.endswith('.h')):
        for i, line in enumerate(texts[path]):
            found = re.match(r'extern .*?(\w+)(?:\[\])?;(.*)$', line)
            if found and found[1] in shared:
                removed.add(found[1])
                texts[path][i] = found[2]
    private = {'dhcp_rx_options_val', 'dhcp_rx_options_given'}
    if removed != shared - private:
        fail(f'headers do not declare: {sorted(shared - private - removed)}')


def include_state(lines):
    last = max(i for i, line in enumerate(lines) if line.startswith('#include'))
    while lines[last + 1].startswith('#endif'):
        last += 1
    lines.insert(last + 1, '#include "pel_lwip_state.h"')


def state_header(variables):
    members = [text for variable in variables for text in variable.declarations()] + EXTRA
    includes = ''.join(f'#include "lwip/{name}.h"\n' for name in STATE_INCLUDES)
    body = ''.join(f'    {member};\n' for member in members)
    return ('/* Made by percore.py: all of lwIP\'s writable state. */\n#ifndef PEL_LWIP_STATE_H\n#define PEL_LWIP_STATE_H\n'
            f'{includes}\nstruct pel_lwip_state {{\n{body}}};\n\n'
            '/* The instance that the thread works for. */\nextern __thread struct pel_lwip_state *pel_lwip;\n\n'
            '/* Makes the state as a freshly started program has it. */\n'
            'void pel_lwip_state_init(struct pel_lwip_state *state);\n\n'
            '/* Windows are a matter of the instance; the options\' values are their upper bounds. */\n'
            '#undef TCP_WND\n#define TCP_WND (pel_lwip->tcp_wnd)\n'
            '#undef TCP_SND_BUF\n#define TCP_SND_BUF (pel_lwip->tcp_snd_buf)\n'
            '#endif\n')


def state_source(variables):
    names = {variable.member(name) for variable in variables for name in variable.names}
    unknown = set(INITIAL) - names
    if unknown:
        fail(f'initial values of no variable: {sorted(unknown)}')
    sets = ''.join(f'    state->{name} = {value};\n' for name, value in INITIAL.items())
    return ('/* Made by percore.py. */\n#include "pel_lwip_state.h"\n#include <string.h>\n\n'
            '__thread struct pel_lwip_state *pel_lwip;\n\n'
            'void pel_lwip_state_init(struct pel_lwip_state *state)\n{\n    memset(state, 0, sizeof(*state));\n'
            f'{sets}}}\n')


def rewrite(texts, files):
    variables = [Variable(*row) for row in VARIABLES]
    for variable in variables:
        remove_definition(texts[variable.file], variable)
    for path, definition in CONSTANTS:
        texts[path][texts[path].index(definition)] = definition.replace('static ', 'static const ')
    remove_declarations(texts)
    for path in files:
        check_nothing_is_unknown(path, texts[path])
    for variable in variables:
        for path in [variable.file] if variable.is_static else texts:
            replace_names(texts[path], variable, path.endswith('.h'))
    for path in files:
        if path != 'core/init.c':
            include_state(texts[path])
    return variables


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--depfile', required=True)
    parser.add_argument('files', nargs='+')
    options = parser.parse_args()
    source, out = pathlib.Path(options.source), pathlib.Path(options.out)

    folders = ['include/lwip', 'include/lwip/priv', 'include/lwip/prot', 'include/netif', 'include/netif/ppp']
    headers = [str(p.relative_to(source)) for folder in folders for p in sorted((source / folder).glob('*.h'))]
    texts = {path: (source / path).read_text(encoding='latin1').split('\n') for path in [*options.files, *headers]}
    changes = sorted((pathlib.Path(__file__).parent / 'changes').glob('*.patch'))
    for change in changes:
        apply_change(change, texts)
    variables = rewrite(texts, options.files)

    for path, lines in texts.items():
        to = out / (path if path.startswith('include/') else os.path.basename(path))
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text('\n'.join(lines), encoding='latin1')
    (out / 'pel_lwip_state.h').write_text(state_header(variables))
    (out / 'pel_lwip_state.c').write_text(state_source(variables))
    pathlib.Path(options.depfile).write_text('pel_lwip_state.h: ' + ' '.join(map(str, [*(source / path for path in texts), *changes])) + '\n')


if __name__ == '__main__':
    main()
