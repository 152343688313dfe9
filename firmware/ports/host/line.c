/* The serial line of the host port: a pseudo-terminal, or TCP on 127.0.0.1, one host at a time. */
#define _XOPEN_SOURCE 700

#include "host.h"

#include "hm_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum { IDLE_MS = 10, WRITE_MS = 2000 };

static int line = -1;     /* what is read and written */
static int listener = -1; /* where a host connects */

static void open_terminal(void)
{
    struct termios raw;
    line = posix_openpt(O_RDWR | O_NOCTTY);
    if (line < 0 || grantpt(line) != 0 || unlockpt(line) != 0) {
        host_refuse("pseudo-terminal", strerror(errno));
    }
    /* Kept open at the host's end as well: a host that goes does not end the line, no more than a pulled cable does. */
    const char *const name = ptsname(line);
    const int end = name == NULL ? -1 : open(name, O_RDWR | O_NOCTTY);
    if (end < 0 || tcgetattr(end, &raw) != 0) {
        host_refuse("pseudo-terminal", strerror(errno));
    }
    raw.c_iflag = 0;
    raw.c_oflag = 0;
    raw.c_lflag = 0;
    raw.c_cflag = CS8 | CREAD | CLOCAL;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(end, TCSANOW, &raw) != 0) {
        host_refuse("pseudo-terminal", strerror(errno));
    }
    printf("%s\n", name);
}

static void open_socket(void)
{
    const int yes = 1;
    struct sockaddr_in address;
    socklen_t n = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)host.port);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &n) != 0) {
        host_refuse("tcp", strerror(errno));
    }
    printf("tcp:127.0.0.1:%d\n", ntohs(address.sin_port));
}

void host_open_line(void)
{
    if (host.port < 0) {
        open_terminal();
    } else {
        open_socket();
    }
    (void)fflush(stdout);
}

static bool wait_for(int file, short events, int ms)
{
    struct pollfd one = {file, events, 0};
    return poll(&one, 1, ms) > 0;
}

static void hang_up(void)
{
    if (listener >= 0) {
        (void)close(line);
        line = -1;
    }
}

size_t hm_port_read(uint8_t *bytes, size_t n)
{
    if (line < 0) {
        const int yes = 1;
        line = wait_for(listener, POLLIN, 0) ? accept(listener, NULL, NULL) : -1;
        if (line < 0) {
            return 0;
        }
        (void)setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
    if (!wait_for(line, POLLIN, 0)) {
        return 0;
    }
    const ssize_t got = read(line, bytes, n);
    if (got <= 0) {
        hang_up();
        return 0;
    }
    return (size_t)got;
}

bool hm_port_write(const uint8_t *bytes, size_t n)
{
    while (n > 0 && line >= 0) {
        if (!wait_for(line, POLLOUT, WRITE_MS)) {
            return false; /* nobody reads; a UART would not wait at all */
        }
        const ssize_t sent = listener >= 0 ? send(line, bytes, n, MSG_NOSIGNAL) : write(line, bytes, n);
        if (sent <= 0) {
            hang_up();
            return false;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
    return n == 0;
}

void hm_port_idle(void)
{
    (void)wait_for(line >= 0 ? line : listener, POLLIN, IDLE_MS);
}
