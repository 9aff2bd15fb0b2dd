/* output.c - standard output with one buffer and a failure that is kept; see output.h. */
#include "tools/output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 16];
static size_t buffered;
static int failure;

static void write_all(const char *bytes, size_t size)
{
    while (size > 0 && failure == 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, size);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (n == 0) {
            failure = -EIO;
        } else if (errno == EAGAIN) { /* somebody made the pipe non-blocking */
            struct pollfd waited = {.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
            (void)poll(&waited, 1, -1);
        } else if (errno != EINTR) {
            failure = -errno;
        }
    }
}

int dw_output_flush(void)
{
    write_all(buffer, buffered);
    buffered = 0;
    return failure;
}

void dw_output_bytes(const void *bytes, size_t size)
{
    if (size == 0)
        return; /* `bytes` may then be NULL */
    if (size > sizeof buffer - buffered)
        dw_output_flush();
    if (size >= sizeof buffer) {
        write_all(bytes, size);
        return;
    }
    memcpy(buffer + buffered, bytes, size);
    buffered += size;
}

void dw_output_text(const char *text)
{
    dw_output_bytes(text, strlen(text));
}

void dw_output_path(const char *path)
{
    for (const char *at = path; *at; at++)
        dw_output_bytes((unsigned char)*at < 0x20 || (unsigned char)*at == 0x7f ? "?" : at, 1);
}

void dw_output_format(const char *format, ...)
{
    char text[2048];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (size > 0)
        dw_output_bytes(text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

int dw_output_failure(void)
{
    return failure;
}

bool dw_output_is_closed_pipe(void)
{
    return failure == -EPIPE;
}

bool dw_output_has_no_reader(void)
{
    struct pollfd asked = {.fd = STDOUT_FILENO, .events = 0, .revents = 0};
    return poll(&asked, 1, 0) == 1 && (asked.revents & (POLLERR | POLLHUP)) != 0;
}
