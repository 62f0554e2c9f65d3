/* The other end of what `cargo airglow bench xen` measures: runs in dom0 and, as what a kernel of ours is compared with, in a
 * Linux domU. One static program.
 *
 *   boot DOMAIN ADDRESS            lets a paused domain run; microseconds until its first ping reply and first HTTP reply, and
 *                                  of processor time that it used until then
 *   get ADDRESS PATH...            fetches pages whole
 *   fetch ADDRESS PATH             prints the content of one
 *   serve                          TCP 9 reads and drops, TCP 19 sends, UDP 7 answers, TCP 23 runs one line in the shell
 *   send ADDRESS SECONDS           to port 9; bytes a second
 *   receive ADDRESS SECONDS        from port 19; bytes a second
 *   udp ADDRESS SECONDS            32 datagrams of 64 bytes on their way to port 7 and back; replies a second
 *   ask ADDRESS LINE               has port 23 run LINE; its output
 *   vserve DOMAIN PATH             offers a vchan and sends back what comes, in capitals
 *   vclient DOMAIN PATH SECONDS    64 bytes there and back; round trips a second
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libxenvchan.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xenctrl.h>

static char buffer[1 << 17];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in address(const char *text, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = text ? inet_addr(text) : INADDR_ANY;
    return a;
}

static int connected(const char *text, int port)
{
    struct sockaddr_in to = address(text, port);
    struct timeval patience = {.tv_sec = 10};
    /* The other end may have said that it starts, and not listen yet. */
    for (int tries = 0;; tries++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (!connect(s, (struct sockaddr *)&to, sizeof to))
            return s;
        if (errno != ECONNREFUSED || tries == 100)
            die("connect");
        close(s);
        usleep(100000);
    }
}

static void ping(int raw, const struct sockaddr_in *to, unsigned id, unsigned sequence)
{
    struct icmphdr echo = {.type = ICMP_ECHO};
    echo.un.echo.id = htons(id);
    echo.un.echo.sequence = htons(sequence);
    unsigned sum = ICMP_ECHO << 8;
    sum += id + (sequence & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    echo.checksum = htons(~sum & 0xffff);
    sendto(raw, &echo, sizeof echo, 0, (const struct sockaddr *)to, sizeof *to);
}

/* Each try is a new connection, so that no retransmission timer is measured. */
#define TRIES 32

static int boot(int domain, const char *text)
{
    struct sockaddr_in icmp = address(text, 0), http = address(text, 80);
    unsigned id = getpid() & 0xffff, sequence = 0, next = 0;
    int raw = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP), winner = -1;
    struct pollfd fds[TRIES + 1];
    for (int i = 0; i <= TRIES; i++)
        fds[i] = (struct pollfd){.fd = -1, .events = POLLOUT};
    fds[TRIES] = (struct pollfd){.fd = raw, .events = POLLIN};
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    if (raw < 0 || !xc)
        die("boot");
    double start = now(), pinged = 0, answered = 0, ping_at = 0, try_at = 0;
    if (xc_domain_unpause(xc, domain))
        die("unpause");
    while (!pinged || !answered) {
        double t = now();
        if (t - start > 100) {
            fprintf(stderr, "no answer: ping %d, connection %d\n", pinged > 0, winner >= 0);
            return 1;
        }
        if (!pinged && t >= ping_at) {
            ping(raw, &icmp, id, sequence++);
            ping_at = t + 0.002;
        }
        if (winner < 0 && t >= try_at) {
            struct pollfd *p = &fds[next++ % TRIES];
            if (p->fd >= 0)
                close(p->fd);
            p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            connect(p->fd, (struct sockaddr *)&http, sizeof http);
            try_at = t + 0.005;
        }
        if (poll(fds, TRIES + 1, 1) <= 0)
            continue;
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        unsigned char reply[256];
        ssize_t n;
        while ((n = recvfrom(raw, reply, sizeof reply, 0, (struct sockaddr *)&from, &length)) > 0) {
            const struct icmphdr *echo = (const void *)(reply + (reply[0] & 15) * 4);
            if (!pinged && n >= 28 && from.sin_addr.s_addr == icmp.sin_addr.s_addr && echo->type == ICMP_ECHOREPLY &&
                echo->un.echo.id == htons(id))
                pinged = now();
        }
        for (int i = 0; i < TRIES; i++) {
            if (fds[i].fd < 0 || !fds[i].revents)
                continue;
            if (winner == fds[i].fd) {
                n = read(winner, buffer, sizeof buffer);
                if (n > 12 && !memcmp(buffer, "HTTP/1.", 7) && !memcmp(buffer + 9, "200", 3))
                    answered = now();
                else if (n >= 0 || errno != EAGAIN) {
                    fprintf(stderr, "no proper answer over HTTP: %.*s\n", n > 0 ? (int)n : 0, buffer);
                    return 1;
                }
                continue;
            }
            int error = 0;
            length = sizeof error;
            getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &length);
            if (winner < 0 && !error && !(fds[i].revents & (POLLERR | POLLHUP))) {
                static const char request[] = "GET /index.html HTTP/1.0\r\nHost: guest\r\n\r\n";
                winner = fds[i].fd;
                fds[i].events = POLLIN;
                if (write(winner, request, sizeof request - 1) < 0)
                    die("request");
            } else {
                close(fds[i].fd);
                fds[i].fd = -1;
            }
        }
    }
    xc_dominfo_t info;
    if (xc_domain_getinfo(xc, domain, 1, &info) != 1)
        die("getinfo");
    printf("%.0f %.0f %.0f\n", (pinged - start) * 1e6, (answered - start) * 1e6, info.cpu_time / 1e3);
    return 0;
}

static int get(const char *text, char **paths, int print)
{
    struct timeval patience = {.tv_sec = 10};
    for (; *paths; paths++) {
        int s = connected(text, 80);
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        dprintf(s, "GET /%s HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n", *paths);
        long total = 0, wanted = -1;
        ssize_t n;
        while ((n = read(s, buffer, sizeof buffer - 1)) > 0) {
            if (!total) {
                buffer[n] = 0;
                char *length = strcasestr(buffer, "content-length:"), *body = strstr(buffer, "\r\n\r\n");
                if (!strstr(buffer, " 200 ") || !length || !body)
                    break;
                wanted = body + 4 - buffer + atol(length + 15);
            }
            long head = total ? 0 : strstr(buffer, "\r\n\r\n") + 4 - buffer;
            if (print && fwrite(buffer + head, 1, n - head, stdout) != (size_t)(n - head))
                die("output");
            total += n;
        }
        close(s);
        if (total != wanted) {
            fprintf(stderr, "/%s: %ld bytes of %ld\n", *paths, total, wanted);
            return 1;
        }
    }
    return 0;
}

static int listening(int type, int port)
{
    struct sockaddr_in at = address(NULL, port);
    int s = socket(AF_INET, type, 0), one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&at, sizeof at) || (type == SOCK_STREAM && listen(s, 16)))
        die("listen");
    return s;
}

static void drop(int s)
{
    while (read(s, buffer, sizeof buffer) > 0)
        ;
}

static void give(int s)
{
    memset(buffer, 0x55, sizeof buffer);
    while (send(s, buffer, 65536, MSG_NOSIGNAL) > 0)
        ;
}

static void shell(int s)
{
    ssize_t n = read(s, buffer, sizeof buffer - 1);
    if (n <= 0)
        return;
    buffer[n] = 0;
    dup2(s, 1);
    dup2(s, 2);
    /* Else what the line leaves in the background would keep the connection open. */
    for (int i = 3; i < 16; i++)
        close(i);
    execlp("sh", "sh", "-c", buffer, NULL);
}

static void server(int port, void (*service)(int))
{
    int listener = listening(SOCK_STREAM, port);
    if (fork())
        return;
    for (;;) {
        int s = accept(listener, NULL, NULL);
        if (s >= 0 && !fork()) {
            service(s);
            _exit(0);
        }
        close(s);
    }
}

static int serve(void)
{
    signal(SIGCHLD, SIG_IGN);
    server(9, drop);
    server(19, give);
    server(23, shell);
    int s = listening(SOCK_DGRAM, 7);
    for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(s, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
        if (n >= 0)
            sendto(s, buffer, n, 0, (struct sockaddr *)&from, length);
    }
    return 0;
}

static int transmit(const char *text, double seconds)
{
    int s = connected(text, 9);
    double start = now(), total = 0;
    memset(buffer, 0x55, sizeof buffer);
    while (now() - start < seconds) {
        ssize_t n = write(s, buffer, 65536);
        if (n < 0)
            die("send");
        total += n;
    }
    /* The other end closes when it has read everything. */
    shutdown(s, SHUT_WR);
    drop(s);
    printf("%.0f\n", total / (now() - start));
    return 0;
}

static int receive(const char *text, double seconds)
{
    int s = connected(text, 19);
    double start = now(), total = 0;
    while (now() - start < seconds) {
        ssize_t n = read(s, buffer, sizeof buffer);
        if (n <= 0)
            die("receive");
        total += n;
    }
    printf("%.0f\n", total / (now() - start));
    return 0;
}

static int udp(const char *text, double seconds)
{
    struct sockaddr_in to = address(text, 7);
    struct timeval patience = {.tv_usec = 200000};
    int s = socket(AF_INET, SOCK_DGRAM, 0), window = 32, open = 0, lost = 0;
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(s, (struct sockaddr *)&to, sizeof to))
        die("connect");
    double start = now(), replies = 0;
    while (now() - start < seconds) {
        for (; open < window; open++)
            send(s, buffer, 64, 0);
        if (recv(s, buffer, sizeof buffer, 0) < 0) {
            lost += open;
            open = 0;
            continue;
        }
        replies++;
        open--;
        while (open > 0 && recv(s, buffer, sizeof buffer, MSG_DONTWAIT) >= 0) {
            replies++;
            open--;
        }
    }
    printf("%.0f %d\n", replies / (now() - start), lost);
    return 0;
}

static int ask(const char *text, const char *line)
{
    int s = connected(text, 23);
    if (write(s, line, strlen(line)) < 0)
        die("ask");
    ssize_t n;
    while ((n = read(s, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, n) < 0)
            die("output");
    return 0;
}

static int vserve(int domain, const char *path)
{
    struct libxenvchan *v = libxenvchan_server_init(NULL, domain, path, 8192, 8192);
    if (!v)
        die("libxenvchan_server_init");
    v->blocking = 1;
    int n;
    while ((n = libxenvchan_read(v, buffer, 4096)) > 0) {
        for (int i = 0; i < n; i++)
            buffer[i] = toupper(buffer[i]);
        if (libxenvchan_send(v, buffer, n) < 0)
            break;
    }
    libxenvchan_close(v);
    return 0;
}

static int vclient(int domain, const char *path, double seconds)
{
    struct libxenvchan *v = NULL;
    for (int i = 0; i < 100 && !v; i++) {
        v = libxenvchan_client_init(NULL, domain, path);
        if (!v)
            usleep(100000);
    }
    if (!v)
        die("libxenvchan_client_init");
    v->blocking = 1;
    double start = now(), trips = 0;
    while (now() - start < seconds) {
        memset(buffer, 'a', 64);
        if (libxenvchan_send(v, buffer, 64) != 64)
            die("libxenvchan_send");
        for (int got = 0; got < 64;) {
            int n = libxenvchan_read(v, buffer + got, 64 - got);
            if (n <= 0)
                die("libxenvchan_read");
            got += n;
        }
        if (buffer[0] != 'A' || buffer[63] != 'A') {
            fprintf(stderr, "what came back is not what was sent\n");
            return 1;
        }
        trips++;
    }
    printf("%.1f\n", trips / (now() - start));
    libxenvchan_close(v);
    return 0;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(what, "serve"))
        return serve();
    if (!strcmp(what, "boot") && count > 3)
        return boot(atoi(words[2]), words[3]);
    if (!strcmp(what, "get") && count > 3)
        return get(words[2], words + 3, 0);
    if (!strcmp(what, "fetch") && count > 3)
        return get(words[2], words + 3, 1);
    if (!strcmp(what, "send") && count > 3)
        return transmit(words[2], atof(words[3]));
    if (!strcmp(what, "receive") && count > 3)
        return receive(words[2], atof(words[3]));
    if (!strcmp(what, "udp") && count > 3)
        return udp(words[2], atof(words[3]));
    if (!strcmp(what, "ask") && count > 3)
        return ask(words[2], words[3]);
    if (!strcmp(what, "vserve") && count > 3)
        return vserve(atoi(words[2]), words[3]);
    if (!strcmp(what, "vclient") && count > 4)
        return vclient(atoi(words[2]), words[3], atof(words[4]));
    fprintf(stderr, "see the head of peer.c\n");
    return 2;
}
