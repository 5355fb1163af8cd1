/*
 * Runs a program with its threads and children, and injects a fault at the Nth of the system calls by which they change
 * files below a folder. A debugger's hook in the kernel (seccomp with ptrace) stops each such call before anything of
 * it was done, whichever process makes it, so that the count is one for all of them; strace counts for each thread
 * alone. They are made one after the other: none starts before the one before it has returned.
 *
 *   at-call LOG FOLDER MODE N program [argument...]
 *
 * MODE is `count` (N is not looked at), `copy` (the same, and before each call the folder is copied to LOG with the
 * call's number behind it), `kill` (the folder is copied so before call N only, and then everything is killed), `stop`
 * (the worker, which is the program itself, gets SIGSTOP, and whoever makes call N waits before it, too) or
 * `stop-worker` (the worker gets SIGSTOP, and a child program that makes call N continues). SIGUSR1 lets everything
 * that was stopped continue.
 *
 * LOG gets a line a call: number, process, its program, the call, inode, path and, where it has one, the second path.
 * Exits as the program does; with 99 when it killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FD = 1, PATH, AT, AT_AT, PATH_PATH, FD_TO_FD };

/* What each call names: by a descriptor, a path, a folder's descriptor with a path, and so on. */
static const struct { int number, names; const char *name; } calls[] = {
    {SYS_write, FD, "write"}, {SYS_pwrite64, FD, "pwrite64"}, {SYS_writev, FD, "writev"},
    {SYS_pwritev, FD, "pwritev"}, {SYS_pwritev2, FD, "pwritev2"}, {SYS_fsync, FD, "fsync"},
    {SYS_fdatasync, FD, "fdatasync"}, {SYS_ftruncate, FD, "ftruncate"}, {SYS_fallocate, FD, "fallocate"},
    {SYS_sendfile, FD, "sendfile"}, {SYS_copy_file_range, FD_TO_FD, "copy_file_range"}, {SYS_ioctl, FD, "ioctl"},
    {SYS_fchmod, FD, "fchmod"}, {SYS_fchown, FD, "fchown"}, {SYS_truncate, PATH, "truncate"},
    {SYS_openat, AT, "openat"}, {SYS_mkdirat, AT, "mkdirat"}, {SYS_unlinkat, AT, "unlinkat"},
    {SYS_fchmodat, AT, "fchmodat"}, {SYS_fchownat, AT, "fchownat"}, {SYS_renameat, AT_AT, "renameat"},
    {SYS_renameat2, AT_AT, "renameat2"}, {SYS_linkat, AT_AT, "linkat"},
#ifdef SYS_open
    {SYS_open, PATH, "open"}, {SYS_creat, PATH, "creat"}, {SYS_mkdir, PATH, "mkdir"}, {SYS_rmdir, PATH, "rmdir"},
    {SYS_unlink, PATH, "unlink"}, {SYS_chmod, PATH, "chmod"}, {SYS_chown, PATH, "chown"},
    {SYS_rename, PATH_PATH, "rename"}, {SYS_link, PATH_PATH, "link"},
#endif
};
enum { callCount = sizeof calls / sizeof calls[0], maxTasks = 4096 };

static pid_t tasks[maxTasks], waiting[maxTasks], root, held, busy;
static int taskCount, waitingCount, isStopped;
static volatile sig_atomic_t isToContinue;

static void die(const char *what) {
  perror(what);
  exit(98);
}

/* Traps the calls above; openat and open only where they may make or empty a file, ioctl only where it clones. */
static void trapCalls(void) {
  struct sock_filter filter[8 * callCount + 2];
  int n = 0;
  const unsigned argument = offsetof(struct seccomp_data, args);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < callCount; i++) {
    const int number = calls[i].number;
    int flags = number == SYS_openat ? 2 : -1;
#ifdef SYS_open
    if (number == SYS_open) flags = 1;
#endif
    if (number == SYS_ioctl) {
      filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 5);
      filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument + 8);
      filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FICLONE, 1, 0);
      filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FICLONERANGE, 0, 1);
      filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
      filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    } else if (flags >= 0) {
      filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
      filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument + 8 * flags);
      filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | O_TRUNC, 0, 1);
      filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
      filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    } else {
      filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
      filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
  }
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {.len = n, .filter = filter};
  if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) die("seccomp");
}

static void linkOf(pid_t task, const char *what, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/%s", task, what);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = 0;
}

static void pathOfDescriptor(pid_t task, int descriptor, char *path) {
  char what[32];
  snprintf(what, sizeof what, "fd/%d", descriptor);
  linkOf(task, descriptor == AT_FDCWD ? "cwd" : what, path);
}

static void pathAt(pid_t task, int folder, unsigned long address, char *path) {
  char given[PATH_MAX] = "";
  /* Never over the end of a page, behind which there may be nothing. */
  for (size_t at = 0; at < sizeof given - 1;) {
    size_t length = 4096 - (address + at) % 4096;
    if (length > sizeof given - 1 - at) length = sizeof given - 1 - at;
    const struct iovec to = {given + at, length}, from = {(void *)(address + at), length};
    if (process_vm_readv(task, &to, 1, &from, 1, 0) <= 0 || memchr(given + at, 0, length) != NULL) break;
    at += length;
  }
  if (given[0] == '/') {
    strcpy(path, given);
    return;
  }
  pathOfDescriptor(task, folder, path);
  const size_t length = strlen(path);
  snprintf(path + length, PATH_MAX - length, "/%s", given);
}

static void killAll(void) {
  for (int i = 0; i < taskCount; i++) kill(tasks[i], SIGKILL);
  for (int status;;) {
    const pid_t task = waitpid(-1, &status, __WALL);
    if (task < 0 && errno == ECHILD) exit(99);
    if (task > 0 && WIFSTOPPED(status)) kill(task, SIGKILL);
  }
}

/* Copies the folder as a crash would leave it now: no call is under way, and who wants to make one waits. */
static void copyFolder(const char *folder, const char *log, int number) {
  char copy[PATH_MAX];
  snprintf(copy, sizeof copy, "%s.%d", log, number);
  const pid_t child = fork();
  if (child == 0) {
    execlp("cp", "cp", "-a", "--sparse=always", folder, copy, NULL);
    _exit(98);
  }
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) die("cp");
}

static pid_t processOf(pid_t task) {
  char line[256], name[64];
  snprintf(name, sizeof name, "/proc/%d/status", task);
  FILE *status = fopen(name, "r");
  int process = task;
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    if (sscanf(line, "Tgid: %d", &process) == 1) break;
  }
  if (status != NULL) fclose(status);
  return process;
}

enum { ELSEWHERE, COUNTED, HELD };

/* Notes a call that a task is about to make, and injects the fault where it is the one. */
static int seeCall(pid_t task, FILE *log, char **argv) {
  static int count;
  const char *folder = argv[2], *mode = argv[3];
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof info, &info) < 0) return ELSEWHERE;
  const __uint64_t *given = info.seccomp.args;
  int which = 0;
  while (which < callCount && calls[which].number != (int)info.seccomp.nr) which++;
  if (which == callCount) return ELSEWHERE;
  char path[PATH_MAX] = "", second[PATH_MAX] = "", program[PATH_MAX] = "";
  switch (calls[which].names) {
  case FD: pathOfDescriptor(task, given[0], path); break;
  case FD_TO_FD: pathOfDescriptor(task, given[2], path); break;
  case PATH: pathAt(task, AT_FDCWD, given[0], path); break;
  case AT: pathAt(task, given[0], given[1], path); break;
  case PATH_PATH: pathAt(task, AT_FDCWD, given[0], path), pathAt(task, AT_FDCWD, given[1], second); break;
  case AT_AT: pathAt(task, given[0], given[1], path), pathAt(task, given[2], given[3], second); break;
  }
  const size_t length = strlen(folder);
  if (strncmp(path, folder, length) != 0 && strncmp(second, folder, length) != 0) return ELSEWHERE;
  struct stat found = {0};
  stat(path, &found);
  linkOf(task, "exe", program);
  count++;
  const pid_t process = processOf(task);
  fprintf(log, "%d\t%d\t%s\t%s\t%lu\t%s\t%s\n", count, process, strrchr(program, '/') + 1, calls[which].name,
          (unsigned long)found.st_ino, path, second);
  fflush(log);
  const int isCopying = strcmp(mode, "copy") == 0, isKilling = strcmp(mode, "kill") == 0;
  const int isDue = count == atoi(argv[4]) && !isCopying && strcmp(mode, "count") != 0;
  if (isCopying || (isKilling && isDue)) copyFolder(folder, argv[1], count);
  if (!isDue) return COUNTED;
  if (isKilling) killAll();
  kill(root, SIGSTOP);
  isStopped = 1;
  fprintf(log, "stopped\n");
  fflush(log);
  if (strcmp(mode, "stop-worker") == 0 && process != root) return COUNTED;
  held = task;
  return HELD;
}

/* Lets those make their calls that wait to, one at a time. */
static void letNextGo(FILE *log, char **argv) {
  while (busy == 0 && waitingCount > 0) {
    const pid_t task = waiting[0];
    memmove(waiting, waiting + 1, --waitingCount * sizeof waiting[0]);
    const int seen = seeCall(task, log, argv);
    if (seen == COUNTED) busy = task;
    /* One that is released by PTRACE_SYSCALL stops again when its call has returned. */
    if (seen != HELD) ptrace(seen == COUNTED ? PTRACE_SYSCALL : PTRACE_CONT, task, 0, 0);
  }
}

static void forget(pid_t task) {
  for (int i = 0; i < taskCount; i++)
    if (tasks[i] == task) tasks[i--] = tasks[--taskCount];
  for (int i = 0; i < waitingCount; i++)
    if (waiting[i] == task) memmove(waiting + i, waiting + i + 1, (--waitingCount - i) * sizeof waiting[0]);
  if (busy == task) busy = 0;
}

static void askToContinue(int signal) {
  (void)signal;
  isToContinue = 1;
}

static void resume(void) {
  isToContinue = 0;
  if (!isStopped) return;
  isStopped = 0;
  kill(root, SIGCONT);
  if (held != 0) ptrace(PTRACE_CONT, held, 0, 0);
  held = 0;
}

int main(int argc, char **argv) {
  if (argc < 6) return 98;
  FILE *log = fopen(argv[1], "w");
  int ready[2];
  if (log == NULL || pipe2(ready, O_CLOEXEC) != 0) die("log");
  fcntl(fileno(log), F_SETFD, FD_CLOEXEC);
  root = fork();
  if (root == 0) {
    char byte;
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) exit(98);
    trapCalls();
    execvp(argv[5], argv + 5);
    die(argv[5]);
  }
  const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                       PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD;
  if (ptrace(PTRACE_SEIZE, root, 0, options) != 0) die("ptrace");
  tasks[taskCount++] = root;
  if (write(ready[1], "", 1) != 1) die("start");
  /* No SA_RESTART: the wait below has to end. */
  struct sigaction action = {.sa_handler = askToContinue};
  sigaction(SIGUSR1, &action, NULL);
  for (int end = 98;;) {
    if (isToContinue) resume();
    int status;
    const pid_t task = waitpid(-1, &status, __WALL);
    if (task < 0 && errno == ECHILD) return end;
    if (task < 0) continue;
    if (!WIFSTOPPED(status)) {
      if (task == root) end = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      forget(task);
      letNextGo(log, argv);
      continue;
    }
    int isKnown = 0;
    for (int i = 0; i < taskCount; i++) isKnown |= tasks[i] == task;
    if (!isKnown && taskCount < maxTasks) tasks[taskCount++] = task;
    const int event = status >> 16, signal = WSTOPSIG(status);
    if (event == PTRACE_EVENT_SECCOMP) {
      waiting[waitingCount++] = task;
      letNextGo(log, argv);
    } else if (signal == (SIGTRAP | 0x80)) {
      if (busy == task) busy = 0;
      ptrace(PTRACE_CONT, task, 0, 0);
      letNextGo(log, argv);
    } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
      ptrace(PTRACE_LISTEN, task, 0, 0);
    } else {
      ptrace(PTRACE_CONT, task, 0, event != 0 ? 0 : signal);
    }
  }
}
