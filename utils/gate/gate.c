/*
 * The gate before the program of a container that was started ahead: `gate PROGRAM [ARGUMENT]...` tells the worker that
 * it is there, waits for its word, answers, and becomes the program, by the PATH and the environment that it was started
 * with itself. It is static, uses no library and allocates nothing: no file of the image has a part in it.
 *
 * The word is one byte through the socket at GO, which lies beside it, mounted read-only. Where the socket is not there, or
 * ends before the word, the worker has gone: the gate ends with 125, and no program is run. The descriptor of the
 * socket closes with the exec. The program is looked for as execvp(3) of the GNU C library does, by which the init of
 * Docker starts the program of a container without a gate; it ends as that does where it cannot be run.
 */
#define GO "/.morpheo/go"
#define WORD 'g'

enum { NO_WORD = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };
enum { ENOENT = 2, EINTR = 4, ENOEXEC = 8, EACCES = 13, ENOTDIR = 20, ENODEV = 19, ESTALE = 116, ETIMEDOUT = 110 };
enum { AF_UNIX = 1, SOCK_STREAM_CLOEXEC = 1 | 02000000, PATH_MAX = 4096 };

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_socket = 41, SYS_connect = 42, SYS_execve = 59, SYS_exit = 60 };
static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}
__asm__(".globl _start\n_start: xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call begin\n hlt\n");
#elif defined(__aarch64__)
enum { SYS_read = 63, SYS_write = 64, SYS_socket = 198, SYS_connect = 203, SYS_execve = 221, SYS_exit = 93 };
static long call(long number, long a, long b, long c) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
}
__asm__(".globl _start\n_start: mov x29,#0\n mov x30,#0\n mov x0,sp\n bl begin\n brk #0\n");
#else
#error "no gate for this machine: its system calls have to be added here"
#endif

static void leave(int code) {
  for (;;) call(SYS_exit, code, 0, 0);
}

static unsigned long length(const char *text) {
  unsigned long count = 0;
  while (text[count] != 0) count++;
  return count;
}

static void say(const char *text) { call(SYS_write, 2, (long)text, (long)length(text)); }

static int has_slash(const char *text) {
  for (; *text != 0; text++)
    if (*text == '/') return 1;
  return 0;
}

/* Returns only where the file cannot be run, with the number of the error. */
static long execute(const char *file, char **argv, char **envp, char **shell) {
  long error = -call(SYS_execve, (long)file, (long)argv, (long)envp);
  if (error != ENOEXEC) return error;
  /* A text that names no interpreter is one of the shell. `shell` has room for two words before the arguments. */
  shell[0] = (char *)"/bin/sh";
  shell[1] = (char *)file;
  return -call(SYS_execve, (long)shell[0], (long)shell, (long)envp);
}

static const char *search_path(char **envp) {
  for (; *envp != 0; envp++) {
    const char *text = *envp;
    if (text[0] == 'P' && text[1] == 'A' && text[2] == 'T' && text[3] == 'H' && text[4] == '=') return text + 5;
  }
  return "/bin:/usr/bin";
}

static long execute_found(const char *name, char **argv, char **envp, char **shell) {
  char path[PATH_MAX + 256];
  unsigned long name_length = length(name);
  long denied = 0, error = ENOENT;
  if (name_length == 0 || name_length > 255) return ENOENT;
  for (const char *at = search_path(envp);; at++) {
    unsigned long end = 0;
    while (at[end] != 0 && at[end] != ':') end++;
    if (end < PATH_MAX) {
      unsigned long to = 0;
      for (; to < end; to++) path[to] = at[to];
      if (end > 0) path[to++] = '/';
      for (unsigned long from = 0; from <= name_length; from++) path[to++] = name[from];
      error = execute(path, argv, envp, shell);
      if (error == EACCES) denied = 1;
      else if (error != ENOENT && error != ENOTDIR && error != ESTALE && error != ENODEV && error != ETIMEDOUT)
        return error;
    }
    at += end;
    if (*at == 0) return denied ? EACCES : error;
  }
}

static void await_word(void) {
  struct { unsigned short family; char path[sizeof GO]; } address = { AF_UNIX, GO };
  char word = 0;
  long got, fd = call(SYS_socket, AF_UNIX, SOCK_STREAM_CLOEXEC, 0);
  if (fd < 0 || call(SYS_connect, fd, (long)&address, sizeof address) < 0) {
    say("[morpheo] The gate of this container does not reach the worker that started it.\n");
    leave(NO_WORD);
  }
  do got = call(SYS_read, fd, (long)&word, 1); while (got == -EINTR);
  if (got != 1 || word != WORD) leave(NO_WORD);
  /* Without an answer the worker takes the program for one that was not started. */
  if (call(SYS_write, fd, (long)&word, 1) != 1) leave(NO_WORD);
}

__attribute__((used)) void begin(long *stack) {
  long argc = stack[0];
  char **argv = (char **)(stack + 1);
  char **envp = argv + argc + 1;
  if (argc < 2) leave(NO_WORD);
  await_word();
  char **program = argv + 1;
  const char *name = program[0];
  /* The words of a shell would stand where those of the gate and of the program do: nobody reads these any more. */
  long error = has_slash(name) ? execute(name, program, envp, argv) : execute_found(name, program, envp, argv);
  say("[morpheo] Cannot start ");
  say(name);
  say(error == ENOENT ? ": not found.\n" : ": not executable.\n");
  leave(error == ENOENT ? NOT_FOUND : error == EACCES ? NOT_EXECUTABLE : 1);
}
