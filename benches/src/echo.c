/* UDP echo over the kernel's sockets as one writes it for speed: 64 datagrams a call each way (recvmmsg, sendmmsg). echo PORT */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, SIZE = 2048 };

int main(int argc, char **argv) {
    static char buffers[BATCH][SIZE];
    static struct sockaddr_in peers[BATCH];
    static struct iovec slices[BATCH];
    static struct mmsghdr headers[BATCH];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 7)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("echo");
        return 1;
    }
    for (int i = 0; i < BATCH; i++) {
        slices[i].iov_base = buffers[i];
        headers[i].msg_hdr.msg_name = &peers[i];
        headers[i].msg_hdr.msg_iov = &slices[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    fprintf(stderr, "echo on port %d\n", ntohs(address.sin_port));
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            slices[i].iov_len = SIZE;
            headers[i].msg_hdr.msg_namelen = sizeof peers[i];
        }
        int count = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++)
            slices[i].iov_len = headers[i].msg_len;
        for (int sent = 0; sent < count;) {
            int more = sendmmsg(fd, headers + sent, count - sent, 0);
            sent += more > 0 ? more : 1;
        }
    }
}
