/* Preloaded into the agent, this ends it with SIGKILL at the n-th instant ahead of, or after, a call
 * that changes a file below a directory: so that a test can have it die at every one of them.
 *
 * MORTAL_BELOW  the directory
 * MORTAL_ARMED  nothing is counted before this file exists
 * MORTAL_AT     which instant, from 1; 0: none
 * MORTAL_LOG    every instant is written down here, a line each
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char below[4096], armed[4096];
static long at;
static int log_fd = -1;
static pid_t agent;
static atomic_long instants;

__attribute__((constructor)) static void begin(void) {
    const char *text;
    agent = getpid();
    if ((text = getenv("MORTAL_BELOW"))) snprintf(below, sizeof below, "%s/", text);
    if ((text = getenv("MORTAL_ARMED"))) snprintf(armed, sizeof armed, "%s", text);
    if ((text = getenv("MORTAL_AT"))) at = atol(text);
    if ((text = getenv("MORTAL_LOG"))) log_fd = open(text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    /* The scripts are to live. */
    unsetenv("LD_PRELOAD");
}

static void instant(const char *when, const char *call, const char *path) {
    char line[8192];
    long now;
    int length;
    if (getpid() != agent || !below[0] || strncmp(path, below, strlen(below)) != 0 || access(armed, F_OK) != 0) return;
    now = atomic_fetch_add(&instants, 1) + 1;
    length = snprintf(line, sizeof line, "%ld %s %s %s\n", now, when, call, path + strlen(below));
    if (log_fd >= 0 && syscall(SYS_write, log_fd, line, (size_t)length) < 0) abort();
    if (now == at) {
        syscall(SYS_kill, agent, SIGKILL);
        for (;;) pause();
    }
}

static void path_of(int fd, char *path, size_t size) {
    char link[64];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, size - 1);
    path[length > 0 ? length : 0] = 0;
}

#define AROUND(result_type, name, path, arguments, ...)                                                               \
    static result_type (*original)(__VA_ARGS__);                                                                      \
    result_type result;                                                                                               \
    if (!original) original = (result_type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name);                                    \
    instant("before", name, path);                                                                                    \
    result = original arguments;                                                                                      \
    instant("after", name, path);                                                                                     \
    return result;

ssize_t write(int fd, const void *bytes, size_t count) {
    char path[4096];
    path_of(fd, path, sizeof path);
    AROUND(ssize_t, "write", path, (fd, bytes, count), int, const void *, size_t)
}

int fdatasync(int fd) {
    char path[4096];
    path_of(fd, path, sizeof path);
    AROUND(int, "fdatasync", path, (fd), int)
}

int fsync(int fd) {
    char path[4096];
    path_of(fd, path, sizeof path);
    AROUND(int, "fsync", path, (fd), int)
}

int rename(const char *from, const char *to) { AROUND(int, "rename", to, (from, to), const char *, const char *) }

int unlink(const char *path) { AROUND(int, "unlink", path, (path), const char *) }

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    AROUND(int, "linkat", to, (from_fd, from, to_fd, to, flags), int, const char *, int, const char *, int)
}
