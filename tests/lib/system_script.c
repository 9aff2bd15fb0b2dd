/* system_script.c - a seccomp filter that traps, and a SIGSYS handler that answers. */
#include "tests/lib/system_script.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/assert.h"

#ifdef __x86_64__

static long script[16];
static int script_count;
static volatile sig_atomic_t script_used;

bool dw_script_is_supported(void)
{
    return true;
}

/* Return without touching errno: this runs inside the handler. */
static long call_raw(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* The same transfer through a call that is not trapped. */
static long move_bytes(long number, const greg_t *registers, long most)
{
    long descriptor = registers[REG_RDI], bytes = registers[REG_RSI], size = registers[REG_RDX];
    long offset = registers[REG_R10];
    struct iovec part;
    if (number == SYS_pwritev2) {
        memcpy(&part, (const void *)bytes, sizeof part);
        bytes = (long)part.iov_base;
        size = (long)part.iov_len;
    }
    part = (struct iovec){.iov_base = (void *)bytes, .iov_len = (size_t)(size < most ? size : most)};
    long other = number == SYS_pread64 ? SYS_preadv : SYS_pwritev;
    return call_raw(other, descriptor, (long)&part, 1, offset, 0, 0);
}

static void play_line(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long line = script_used < script_count ? script[script_used] : DW_SCRIPT_REAL;
    script_used = script_used + 1;
    if (line == DW_SCRIPT_REAL)
        line = move_bytes(info->si_syscall, registers, INT32_MAX);
    else if (line > DW_SCRIPT_REAL)
        line = move_bytes(info->si_syscall, registers, line - DW_SCRIPT_REAL);
    registers[REG_RAX] = line;
}

static void install_filter(long call, uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    int result = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    dw_assert(result == 0);
    result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
    dw_assert(result == 0);
}

void dw_script_play(long call, const long *lines, int count)
{
    dw_assert(count <= 16);
    memcpy(script, lines, (size_t)count * sizeof *lines);
    script_count = count;
    script_used = 0;
    struct sigaction action = {.sa_sigaction = play_line, .sa_flags = SA_SIGINFO | SA_NODEFER};
    int result = sigaction(SIGSYS, &action, NULL);
    dw_assert(result == 0);
    install_filter(call, SECCOMP_RET_TRAP);
}

int dw_script_calls(void)
{
    return script_used;
}

void dw_script_forbid(long call, int error)
{
    install_filter(call, SECCOMP_RET_ERRNO | (uint32_t)error);
}

#else
bool dw_script_is_supported(void)
{
    return false;
}
void dw_script_play(long call, const long *lines, int count)
{
    (void)call, (void)lines, (void)count;
}
int dw_script_calls(void)
{
    return 0;
}
void dw_script_forbid(long call, int error)
{
    (void)call, (void)error;
}
#endif

int dw_script_failed(const char *fact, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", file, line, fact, errno);
    return line % 250 + 1;
}

int dw_script_child(int (*fn)(void *context), void *context)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(fn(context));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 255;
    return WEXITSTATUS(status);
}
