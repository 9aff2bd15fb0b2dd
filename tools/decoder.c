/* decoder.c - see decoder.h.
 *
 * Happy path: two pipes and a shell -> a line of hex is written while what comes back is read, so that neither side can
 * block the other -> the first newline ends the answer. Failure: a decoder that ends or is silent for ten seconds is told,
 * and asked no more. */
#include "tools/decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/message.h"

enum { PATIENCE_MS = 10000, PIECE = 2048 };

static void run_child(const char *command, int in, int out)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

bool dw_decoder_start(struct dw_decoder *decoder, const char *command)
{
    int in[2], out[2];
    *decoder = (struct dw_decoder){.pid = -1, .to = -1, .from = -1};
    if (pipe2(in, O_CLOEXEC) < 0) {
        dw_message_error(NULL, "no pipe for the decoder: %s", strerror(errno));
        return false;
    }
    if (pipe2(out, O_CLOEXEC) < 0) {
        dw_message_error(NULL, "no pipe for the decoder: %s", strerror(errno));
        close(in[0]);
        close(in[1]);
        return false;
    }
    decoder->pid = fork();
    if (decoder->pid == 0)
        run_child(command, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    decoder->to = in[1];
    decoder->from = out[0];
    if (decoder->pid < 0) {
        dw_message_error(NULL, "the decoder cannot be started: %s", strerror(errno));
        dw_decoder_stop(decoder);
        return false;
    }
    (void)fcntl(decoder->to, F_SETFL, O_NONBLOCK);
    return true;
}

/* What is still to be written: hex digits made piece by piece, then a newline. */
struct question {
    const unsigned char *bytes;
    size_t size, at; /* at: characters given so far, of 2 * size + 1 */
};

static size_t take_piece(const struct question *question, char piece[PIECE])
{
    static const char digits[] = "0123456789abcdef";
    size_t total = 2 * question->size + 1, count = 0;
    for (size_t i = question->at; i < total && count < PIECE; i++) {
        unsigned char byte = i / 2 < question->size ? question->bytes[i / 2] : 0;
        piece[count++] = i + 1 == total ? '\n' : digits[i % 2 ? byte & 15 : byte >> 4];
    }
    return count;
}

/* True: something moved. */
static bool write_some(struct dw_decoder *decoder, struct question *question)
{
    char piece[PIECE];
    size_t count = take_piece(question, piece);
    ssize_t done = write(decoder->to, piece, count);
    if (done > 0)
        question->at += (size_t)done;
    return done >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool read_some(struct dw_decoder *decoder)
{
    if (decoder->size + PIECE > decoder->capacity) {
        size_t capacity = decoder->capacity ? decoder->capacity * 2 : 2 * (size_t)PIECE;
        char *line = capacity <= DW_DECODER_LINE_MAX ? realloc(decoder->line, capacity) : NULL;
        if (!line)
            return false;
        decoder->line = line;
        decoder->capacity = capacity;
    }
    ssize_t done = read(decoder->from, decoder->line + decoder->size, PIECE);
    if (done > 0)
        decoder->size += (size_t)done;
    return done > 0 || (done < 0 && errno == EINTR);
}

static char *find_answer(const struct dw_decoder *decoder)
{
    return decoder->size > 0 ? memchr(decoder->line, '\n', decoder->size) : NULL;
}

/* Write and read until both are through. */
static bool exchange(struct dw_decoder *decoder, struct question *question)
{
    while (question->at < 2 * question->size + 1 || !find_answer(decoder)) {
        bool is_writing = question->at < 2 * question->size + 1;
        struct pollfd ready[2] = {{.fd = decoder->from, .events = POLLIN},
                                  {.fd = is_writing ? decoder->to : -1, .events = POLLOUT}};
        int count = poll(ready, 2, PATIENCE_MS);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        if (ready[1].revents && !write_some(decoder, question))
            return false;
        if (ready[0].revents && !read_some(decoder))
            return false;
    }
    return true;
}

const char *dw_decoder_ask(struct dw_decoder *decoder, const void *bytes, size_t size)
{
    /* The answer before is used up: what stands behind it moves to the front. */
    decoder->size -= decoder->used;
    if (decoder->used > 0)
        memmove(decoder->line, decoder->line + decoder->used, decoder->size);
    decoder->used = 0;
    struct question question = {.bytes = bytes, .size = size};
    if (!exchange(decoder, &question)) {
        dw_message_error("it has to answer each line of hex with one line, at once",
                         "the decoder ended, did not answer, or answered with more than a megabyte");
        return NULL;
    }
    char *end = find_answer(decoder);
    *end = 0;
    decoder->used = (size_t)(end - decoder->line) + 1;
    return decoder->line;
}

void dw_decoder_stop(struct dw_decoder *decoder)
{
    if (decoder->to >= 0)
        close(decoder->to);
    if (decoder->from >= 0)
        close(decoder->from);
    int status;
    while (decoder->pid > 0 && waitpid(decoder->pid, &status, 0) < 0 && errno == EINTR)
        ;
    free(decoder->line);
    *decoder = (struct dw_decoder){.pid = -1, .to = -1, .from = -1};
}
