/*
 * How a program of ours that stands before a container's own becomes that: without a library, without allocating, and
 * with the PATH and the environment that it was started with itself. The program is looked for as execvp(3) of the GNU C
 * library does, by which the init of Docker starts the program of a container that has none of ours; it ends as that does
 * where it cannot be run.
 */
enum { NOT_STARTED = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };
enum { ENOENT = 2, EINTR = 4, ENOEXEC = 8, EACCES = 13, ENOTDIR = 20, ENODEV = 19, ESTALE = 116, ETIMEDOUT = 110 };
enum { AF_UNIX = 1, AF_INET = 2, SOCK_STREAM_CLOEXEC = 1 | 02000000, PATH_MAX = 4096 };

#if defined(__x86_64__)
enum {
  SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_rt_sigaction = 13, SYS_nanosleep = 35, SYS_getpid = 39, SYS_socket = 41,
  SYS_connect = 42, SYS_clone = 56, SYS_execve = 59, SYS_exit = 60, SYS_wait4 = 61, SYS_kill = 62, SYS_chdir = 80,
  SYS_setsid = 112, SYS_ppoll = 271
};
static long call4(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}
__asm__(".globl _start\n_start: xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call begin\n hlt\n");
#elif defined(__aarch64__)
enum {
  SYS_read = 63, SYS_write = 64, SYS_close = 57, SYS_rt_sigaction = 134, SYS_nanosleep = 101, SYS_getpid = 172,
  SYS_socket = 198, SYS_connect = 203, SYS_clone = 220, SYS_execve = 221, SYS_exit = 93, SYS_wait4 = 260, SYS_kill = 129,
  SYS_chdir = 49, SYS_setsid = 157, SYS_ppoll = 73
};
static long call4(long number, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
__asm__(".globl _start\n_start: mov x29,#0\n mov x30,#0\n mov x0,sp\n bl begin\n brk #0\n");
#else
#error "no gate for this machine: its system calls have to be added here"
#endif

static long call(long number, long a, long b, long c) { return call4(number, a, b, c, 0); }

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

/* Becomes the program. Before its words stands at least one of our own, which nobody reads any more. */
static void become(char **words, char **envp) {
  const char *name = words[0];
  /* The words of a shell take the places of that and of the program's. */
  char **shell = words - 1;
  long error = has_slash(name) ? execute(name, words, envp, shell) : execute_found(name, words, envp, shell);
  say("[morpheo] Cannot start ");
  say(name);
  say(error == ENOENT ? ": not found.\n" : ": not executable.\n");
  leave(error == ENOENT ? NOT_FOUND : error == EACCES ? NOT_EXECUTABLE : 1);
}
