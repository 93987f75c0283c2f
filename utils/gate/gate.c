/*
 * The gate before the program of a container that was started ahead: `gate PROGRAM [ARGUMENT]...` tells the worker that
 * it is there, waits for its word, answers, and becomes the program. It is static: no file of the image has a part in it.
 *
 * The word is one byte through the socket at GO, which lies beside it, mounted read-only. Where the socket is not there, or
 * ends before the word, the worker has gone: the gate ends with 125, and no program is run. The descriptor of the
 * socket closes with the exec.
 */
#include "program.h"

#define GO "/.morpheo/go"
#define WORD 'g'

static void await_word(void) {
  struct { unsigned short family; char path[sizeof GO]; } address = { AF_UNIX, GO };
  char word = 0;
  long got, fd = call(SYS_socket, AF_UNIX, SOCK_STREAM_CLOEXEC, 0);
  if (fd < 0 || call(SYS_connect, fd, (long)&address, sizeof address) < 0) {
    say("[morpheo] The gate of this container does not reach the worker that started it.\n");
    leave(NOT_STARTED);
  }
  do got = call(SYS_read, fd, (long)&word, 1); while (got == -EINTR);
  if (got != 1 || word != WORD) leave(NOT_STARTED);
  /* Without an answer the worker takes the program for one that was not started. */
  if (call(SYS_write, fd, (long)&word, 1) != 1) leave(NOT_STARTED);
}

__attribute__((used)) void begin(long *stack) {
  long argc = stack[0];
  char **argv = (char **)(stack + 1);
  if (argc < 2) leave(NOT_STARTED);
  await_word();
  become(argv + 1, argv + argc + 1);
}
