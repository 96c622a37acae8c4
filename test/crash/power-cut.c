// Loaded before the C library (LD_PRELOAD): writes down, in the order in which it happens, what a process does to the
// files of one directory, so that a test can tell what a disk may hold when the power goes at any moment of it.
//
// POWER_CUT_DIRECTORY names the directory, POWER_CUT_JOURNAL the file to write to. Each record is
//
//     u8 operation   u32 handle   i64 offset   u32 length   then so many bytes (numbers as the machine has them)
//
//     O  a file was opened to be written; the bytes are its name, the offset is 1 when it was made empty
//     W  bytes were written, at the offset, or at the end of what this handle wrote when that is -1
//     T  a file was cut, or extended, to the offset
//     S  a file was synced                      D  the directory was synced
//     R  a file was renamed: from, 0, to        U  a file was deleted
//
// LevelDB writes with stdio, whose calls to the kernel cannot be seen from here; so fwrite counts as a write. What it
// holds back is flushed before every sync, and not synced before.
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HANDLES = 65536, DIRECTORY = -1 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static size_t directory_length;
static int journal = -1;
static uint32_t last_handle;
/* By descriptor: 0 is not ours, -1 the directory itself, else a file. */
static int32_t handles[HANDLES];

__attribute__((constructor)) static void begin(void) {
  const char *watched = getenv("POWER_CUT_DIRECTORY");
  const char *path = getenv("POWER_CUT_JOURNAL");
  if (watched == NULL || path == NULL || strlen(watched) >= sizeof directory) return;
  strcpy(directory, watched);
  directory_length = strlen(directory);
  journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (journal < 0) abort();
}

static void *next(const char *name) {
  void *function = dlsym(RTLD_NEXT, name);
  if (function == NULL) abort();
  return function;
}

/* The name of a file right in the directory, "" for the directory, NULL for what is elsewhere. */
static const char *name_of(const char *path) {
  if (journal < 0 || path == NULL || strncmp(path, directory, directory_length) != 0) return NULL;
  const char *rest = path + directory_length;
  while (*rest == '/') rest++;
  if (path[directory_length] != '/' && *rest != '\0') return NULL;
  return strchr(rest, '/') == NULL ? rest : NULL;
}

static void put(const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t written = syscall(SYS_write, journal, at, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) abort();
    at += written;
    length -= (size_t)written;
  }
}

static void note(char operation, int32_t handle, int64_t offset, const void *bytes, size_t length) {
  char header[17];
  uint32_t size = (uint32_t)length;
  header[0] = operation;
  memcpy(header + 1, &handle, 4);
  memcpy(header + 5, &offset, 8);
  memcpy(header + 13, &size, 4);
  put(header, sizeof header);
  put(bytes, length);
}

static int32_t handle_of(int fd) {
  return fd >= 0 && fd < HANDLES ? handles[fd] : 0;
}

/* Takes note of a descriptor that was opened. Called with the lock held. */
static void opened(int fd, const char *path, int writable, int emptied) {
  if (fd < 0 || fd >= HANDLES) return;
  handles[fd] = 0;
  const char *name = name_of(path);
  if (name == NULL) return;
  if (*name == '\0') {
    handles[fd] = DIRECTORY;
  } else if (writable) {
    handles[fd] = (int32_t)++last_handle;
    note('O', handles[fd], emptied, name, strlen(name));
  }
}

static void closed(int fd) {
  if (fd >= 0 && fd < HANDLES) handles[fd] = 0;
}

static void wrote(int fd, int64_t offset, const void *bytes, ssize_t length) {
  int32_t handle = handle_of(fd);
  if (handle > 0 && length > 0) note('W', handle, offset, bytes, (size_t)length);
}

static void wrote_pieces(int fd, int64_t offset, const struct iovec *pieces, int count, ssize_t length) {
  for (int i = 0; i < count && length > 0; i++) {
    ssize_t part = (ssize_t)pieces[i].iov_len < length ? (ssize_t)pieces[i].iov_len : length;
    wrote(fd, offset, pieces[i].iov_base, part);
    if (offset >= 0) offset += part;
    length -= part;
  }
}

/* Each of these does what it is asked to, and notes it, before anybody else may do anything. */
#define ATOMIC(type, call, noted)            \
  do {                                       \
    pthread_mutex_lock(&lock);               \
    type result = call;                      \
    int error = errno;                       \
    noted;                                   \
    pthread_mutex_unlock(&lock);             \
    errno = error;                           \
    return result;                           \
  } while (0)

#define IS_WRITABLE(flags) (((flags) & O_ACCMODE) != O_RDONLY)

#define OPEN(function)                                                                             \
  int function(const char *path, int flags, ...) {                                                 \
    static int (*real)(const char *, int, ...);                                                    \
    if (real == NULL) real = next(#function);                                                      \
    mode_t mode = 0;                                                                               \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                           \
      va_list more;                                                                                \
      va_start(more, flags);                                                                       \
      mode = va_arg(more, mode_t);                                                                 \
      va_end(more);                                                                                \
    }                                                                                              \
    if (name_of(path) == NULL) return real(path, flags, mode);                                     \
    ATOMIC(int, real(path, flags, mode), opened(result, path, IS_WRITABLE(flags), (flags & O_TRUNC) != 0)); \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(function)                                                                            \
  FILE *function(const char *path, const char *mode) {                                             \
    static FILE *(*real)(const char *, const char *);                                              \
    if (real == NULL) real = next(#function);                                                      \
    if (name_of(path) == NULL) return real(path, mode);                                            \
    ATOMIC(FILE *, real(path, mode),                                                               \
           if (result != NULL) opened(fileno(result), path, *mode != 'r' || strchr(mode, '+') != NULL, *mode == 'w')); \
  }
FOPEN(fopen)
FOPEN(fopen64)

#define FWRITE(function)                                                                           \
  size_t function(const void *bytes, size_t size, size_t count, FILE *file) {                      \
    static size_t (*real)(const void *, size_t, size_t, FILE *);                                   \
    if (real == NULL) real = next(#function);                                                      \
    if (journal < 0 || handle_of(fileno(file)) == 0) return real(bytes, size, count, file);        \
    ATOMIC(size_t, real(bytes, size, count, file), wrote(fileno(file), -1, bytes, (ssize_t)(result * size))); \
  }
#undef fwrite
#undef fwrite_unlocked
FWRITE(fwrite)
FWRITE(fwrite_unlocked)

int fclose(FILE *file) {
  static int (*real)(FILE *);
  if (real == NULL) real = next("fclose");
  int fd = fileno(file);
  if (handle_of(fd) == 0) return real(file);
  ATOMIC(int, (closed(fd), real(file)), (void)0);
}

int close(int fd) {
  static int (*real)(int);
  if (real == NULL) real = next("close");
  if (handle_of(fd) == 0) return real(fd);
  ATOMIC(int, (closed(fd), real(fd)), (void)0);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  static ssize_t (*real)(int, const void *, size_t);
  if (real == NULL) real = next("write");
  if (handle_of(fd) == 0) return real(fd, bytes, length);
  ATOMIC(ssize_t, real(fd, bytes, length), wrote(fd, -1, bytes, result));
}

#define PWRITE(function)                                                                           \
  ssize_t function(int fd, const void *bytes, size_t length, int64_t offset) {                     \
    static ssize_t (*real)(int, const void *, size_t, int64_t);                                    \
    if (real == NULL) real = next(#function);                                                      \
    if (handle_of(fd) == 0) return real(fd, bytes, length, offset);                                \
    ATOMIC(ssize_t, real(fd, bytes, length, offset), wrote(fd, offset, bytes, result));            \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t writev(int fd, const struct iovec *pieces, int count) {
  static ssize_t (*real)(int, const struct iovec *, int);
  if (real == NULL) real = next("writev");
  if (handle_of(fd) == 0) return real(fd, pieces, count);
  ATOMIC(ssize_t, real(fd, pieces, count), wrote_pieces(fd, -1, pieces, count, result));
}

#define FTRUNCATE(function)                                                                        \
  int function(int fd, int64_t length) {                                                           \
    static int (*real)(int, int64_t);                                                              \
    if (real == NULL) real = next(#function);                                                      \
    int32_t handle = handle_of(fd);                                                                \
    if (handle == 0) return real(fd, length);                                                      \
    ATOMIC(int, real(fd, length), if (result == 0) note('T', handle, length, NULL, 0));            \
  }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define SYNC(function)                                                                             \
  int function(int fd) {                                                                           \
    static int (*real)(int);                                                                       \
    if (real == NULL) real = next(#function);                                                      \
    int32_t handle = handle_of(fd);                                                                \
    if (handle == 0) return real(fd);                                                              \
    ATOMIC(int, real(fd), if (result == 0) note(handle == DIRECTORY ? 'D' : 'S', handle, 0, NULL, 0)); \
  }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
  static int (*real)(const char *, const char *);
  if (real == NULL) real = next("rename");
  const char *old_name = name_of(from);
  const char *new_name = name_of(to);
  if (old_name == NULL || new_name == NULL) return real(from, to);
  char both[2 * NAME_MAX + 2];
  size_t split = strlen(old_name);
  size_t length = split + 1 + strlen(new_name);
  if (length >= sizeof both) abort();
  strcpy(both, old_name);
  strcpy(both + split + 1, new_name);
  ATOMIC(int, real(from, to), if (result == 0) note('R', 0, 0, both, length));
}

int unlink(const char *path) {
  static int (*real)(const char *);
  if (real == NULL) real = next("unlink");
  const char *name = name_of(path);
  if (name == NULL) return real(path);
  ATOMIC(int, real(path), if (result == 0) note('U', 0, 0, name, strlen(name)));
}
