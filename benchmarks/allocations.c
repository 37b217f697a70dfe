/* Writes down what a process allocates and frees between watch() and stop(): for
   benchmarks/memory.py, which preloads it (LD_PRELOAD) into a process that runs a network.
   Linux with glibc. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

#define MOST (1L << 22)
struct entry { int64_t bytes; uint64_t place; };  /* -1 bytes: given back */
static struct entry entries[MOST];
static volatile long count;
static volatile int watching;

static void *note(void *place, int64_t bytes) {
    if (watching && place) {
        long i = __sync_fetch_and_add(&count, 1);
        if (i < MOST) entries[i] = (struct entry){bytes, (uint64_t)place};
    }
    return place;
}

void *malloc(size_t n) { return note(__libc_malloc(n), n); }
void *calloc(size_t n, size_t size) { return note(__libc_calloc(n, size), n * size); }
void free(void *old) { note(old, -1); __libc_free(old); }
void *memalign(size_t to, size_t n) { return note(__libc_memalign(to, n), n); }
void *aligned_alloc(size_t to, size_t n) { return memalign(to, n); }
int posix_memalign(void **place, size_t to, size_t n) {
    *place = memalign(to, n);
    return *place || !n ? 0 : ENOMEM;
}
void *realloc(void *old, size_t n) { note(old, -1); return note(__libc_realloc(old, n), n); }

void watch(void) { count = 0; watching = 1; }
long stop(void) { watching = 0; return count; }
struct entry *written(void) { return entries; }
