/*
 * The relay before the program of a container that is spoken to at a port of its own, though it has no network:
 * `relay FOLDER PORT PROGRAM [ARGUMENT]...` becomes the program, and leaves a process beside it that joins 127.0.0.1:PORT
 * with the worker's socket `runner.sock` in FOLDER. It is static: no file of the image has a part in it.
 *
 * The one beside is no child of the program, which may wait for all of its own, and has none of its outputs, whose end
 * tells the worker something. It joins one connection at a time, that of a worker that asks one thing after another, for as
 * long as both ends hold it; then it joins anew. It holds 64 KiB, whatever is sent, and ends after the program.
 */
#include "program.h"

enum { SIGCHLD = 17, SIGPIPE = 13, POLLIN = 1, BUFFER = 65536, AGAIN_NS = 10 * 1000 * 1000 };
#define SOCKET "runner.sock"

struct poll { int fd; short events, got; };

static void pause_a_little(void) {
  long time[2] = { 0, AGAIN_NS };
  call(SYS_nanosleep, (long)time, 0, 0);
}

/* A connection, or the number of an error, which is negative. */
static long connected(int family, const void *address, long size) {
  long fd = call(SYS_socket, family, SOCK_STREAM_CLOEXEC, 0);
  if (fd < 0) return fd;
  long error = call(SYS_connect, fd, (long)address, size);
  if (error == 0) return fd;
  call(SYS_close, fd, 0, 0);
  return error;
}

/* Passes on what has come. Returns 0 where either end holds the connection no more. */
static int passed_on(long from, long to) {
  char buffer[BUFFER];
  long got = call(SYS_read, from, (long)buffer, BUFFER);
  if (got <= 0) return 0;
  for (long sent = 0; sent < got;) {
    long more = call(SYS_write, to, (long)buffer + sent, got - sent);
    if (more <= 0) return 0;
    sent += more;
  }
  return 1;
}

static void join(long program, long worker) {
  for (;;) {
    struct poll both[2] = { { (int)program, POLLIN, 0 }, { (int)worker, POLLIN, 0 } };
    if (call4(SYS_ppoll, (long)both, 2, 0, 0) < 0) return;
    if (both[0].got != 0 && !passed_on(program, worker)) return;
    if (both[1].got != 0 && !passed_on(worker, program)) return;
  }
}

/* A program that listens and a worker that takes connections: one without the other is left alone. */
static void relay(unsigned port, long pid) {
  struct { unsigned short family; unsigned char port[2], host[4], none[8]; } inside;
  struct { unsigned short family; char path[sizeof SOCKET]; } outside = { AF_UNIX, SOCKET };
  inside.family = AF_INET;
  inside.port[0] = (unsigned char)(port >> 8);
  inside.port[1] = (unsigned char)port;
  for (int at = 0; at < 4; at++) inside.host[at] = "\177\0\0\1"[at];
  for (; call(SYS_kill, pid, 0, 0) == 0; pause_a_little()) {
    long program = connected(AF_INET, &inside, sizeof inside);
    if (program < 0) continue;
    long worker = connected(AF_UNIX, &outside, sizeof outside);
    if (worker >= 0) {
      join(program, worker);
      call(SYS_close, worker, 0, 0);
    }
    call(SYS_close, program, 0, 0);
  }
}

/* In a process whose parent is the first of the container. */
static void start(const char *folder, unsigned port) {
  long pid = call(SYS_getpid, 0, 0, 0);
  long child = call(SYS_clone, SIGCHLD, 0, 0);
  if (child == 0) {
    if (call(SYS_clone, SIGCHLD, 0, 0) != 0) leave(0);
    struct { long handler, flags, restorer, mask; } ignore = { 1, 0, 0, 0 };
    call4(SYS_rt_sigaction, SIGPIPE, (long)&ignore, 0, 8);
    call(SYS_setsid, 0, 0, 0);
    /* The address of a socket has room for 107 bytes, and the path of a folder may be longer. */
    if (call(SYS_chdir, (long)folder, 0, 0) < 0) leave(NOT_STARTED);
    for (int fd = 0; fd < 3; fd++) call(SYS_close, fd, 0, 0);
    relay(port, pid);
    leave(0);
  }
  if (child > 0) call4(SYS_wait4, child, 0, 0, 0);
}

__attribute__((used)) void begin(long *stack) {
  long argc = stack[0];
  char **argv = (char **)(stack + 1);
  unsigned port = 0;
  if (argc < 4) leave(NOT_STARTED);
  for (const char *digit = argv[2]; *digit >= '0' && *digit <= '9'; digit++) port = port * 10 + (unsigned)(*digit - '0');
  start(argv[1], port);
  become(argv + 3, argv + argc + 1);
}
