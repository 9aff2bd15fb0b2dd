/* signals.c - "please stop" as something to poll; see signals.h.
 *
 * Owns: one signalfd for the life of the process. A signal that comes while the device hangs waits with it; SIGQUIT and
 * SIGKILL still end the process at once. */
#include "tools/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

#include "tools/message.h"

static int descriptor = -1;
static bool has_come;

bool dw_signals_take(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0)
        dw_message_error("raise the limit of open files", "cannot watch for signals");
    return descriptor >= 0;
}

int dw_signals_descriptor(void)
{
    return descriptor;
}

bool dw_signals_came(void)
{
    struct pollfd asked = {.fd = descriptor, .events = POLLIN, .revents = 0};
    if (!has_come && descriptor >= 0 && poll(&asked, 1, 0) == 1 && (asked.revents & POLLIN) != 0)
        has_come = true;
    return has_come;
}
