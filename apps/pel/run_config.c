/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a private daemon needs when nobody says otherwise: a tap device, of which the kernel has the other
 * end, as its gateway. Whether the kernel forwards what comes from there is the machine's configuration.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/pel/run.h"

#define DEVICES_MAX 256
#define KEYRING_DIR "/etc/pellucid/keyrings"

/* The first device whose name is free; its number is its network's, too. */
static bool choose_device(struct run_daemon *daemon)
{
    for (daemon->number = 0; daemon->number < DEVICES_MAX; daemon->number++) {
        snprintf(daemon->device, sizeof daemon->device, "pel%u", daemon->number);
        if (if_nametoindex(daemon->device) == 0)
            return true;
    }
    fprintf(stderr, "pel run: the devices pel0 to pel%d all exist; give --config FILE\n", DEVICES_MAX - 1);
    return false;
}

/* Beside the policy, or the machine's. */
static void choose_keyring_dir(const char *policy, char ret_dir[PATH_MAX])
{
    char copy[PATH_MAX], beside[PATH_MAX];
    struct stat stat_of;
    snprintf(copy, sizeof copy, "%s", policy);
    snprintf(beside, sizeof beside, "%.3900s/keyrings", dirname(copy));
    if (stat(beside, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode) || realpath(beside, ret_dir) == NULL)
        snprintf(ret_dir, PATH_MAX, "%s", KEYRING_DIR);
}

/* In a YAML text between single quotes. */
static void put_quoted(FILE *file, const char *text)
{
    fputc('\'', file);
    for (; *text != '\0'; text++)
        fputs((char[3]){*text, *text == '\'' ? '\'' : '\0', '\0'}, file);
    fputc('\'', file);
}

bool run_write_config(const struct run_options *options, struct run_daemon *daemon)
{
    char keyring_dir[PATH_MAX];
    if (!choose_device(daemon))
        return false;
    choose_keyring_dir(options->policy, keyring_dir);
    snprintf(daemon->config, sizeof daemon->config, "%s/stack.yaml", daemon->dir);
    FILE *file = fopen(daemon->config, "we");
    if (file == NULL) {
        fprintf(stderr, "pel run: %s: %s\n", daemon->config, strerror(errno));
        return false;
    }
    fprintf(file,
            "port:\n  device: 'net_tap0,iface=%s'\nip:\n  addresses: [ 10.7.%u.1/24 ]\n"
            "  gateway4: 10.7.%u.2\nattach:\n  mode: '0600'\npolicy:\n  keyring_dir: ",
            daemon->device, daemon->number, daemon->number);
    put_quoted(file, keyring_dir);
    fputc('\n', file);
    bool written = fflush(file) == 0 && ferror(file) == 0;
    if (fclose(file) == 0 && written)
        return true;
    fprintf(stderr, "pel run: %s: cannot be written\n", daemon->config);
    return false;
}

static bool set_address(int fd, const char *device, unsigned long request, const char *text)
{
    struct ifreq ifreq = {0};
    struct sockaddr_in address = {.sin_family = AF_INET};
    snprintf(ifreq.ifr_name, sizeof ifreq.ifr_name, "%s", device);
    inet_pton(AF_INET, text, &address.sin_addr);
    memcpy(&ifreq.ifr_addr, &address, sizeof address);
    return ioctl(fd, request, &ifreq) == 0;
}

static bool take_up(int fd, const char *device)
{
    struct ifreq ifreq = {0};
    snprintf(ifreq.ifr_name, sizeof ifreq.ifr_name, "%s", device);
    if (ioctl(fd, SIOCGIFFLAGS, &ifreq) != 0)
        return false;
    ifreq.ifr_flags = (short)(ifreq.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &ifreq) == 0;
}

bool run_set_kernel_side(const struct run_daemon *daemon)
{
    char address[24];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address, sizeof address, "10.7.%u.2", daemon->number);
    bool done = fd >= 0 && set_address(fd, daemon->device, SIOCSIFADDR, address) &&
                set_address(fd, daemon->device, SIOCSIFNETMASK, "255.255.255.0") &&
                take_up(fd, daemon->device);
    if (!done)
        fprintf(stderr, "pel run: the kernel's end of %s cannot be given its address %s: %s\n",
                daemon->device, address, strerror(errno));
    if (fd >= 0)
        close(fd);
    return done;
}
