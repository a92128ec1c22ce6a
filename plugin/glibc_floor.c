/* Which symbols of the C library the shared object asks for.
 *
 * glibc 2.34 moved its threads and its loader into libc.so.6 and gave their symbols a new version
 * there; what is linked on a system with it asks for that version and cannot be loaded by a
 * container with an older one. The symbols' first versions are still there, and are the same
 * functions: the linker's --wrap sends the calls of the shared object here, and these go to the
 * first versions. stat and fstat became symbols in 2.33; before that they were inline calls of
 * __xstat and __fxstat, which are still there too.
 *
 * Only in the shared object: programs that are built here run here, and sanitizers want to see the
 * calls themselves. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

/* The first version of glibc's ABI on the architecture, and what __xstat calls struct stat's layout
 * there (sysdeps/unix/sysv/linux/ARCH/bits/stat.h and shlib-versions of glibc 2.28). */
#if defined(__x86_64__)
#define FIRST       "GLIBC_2.2.5"
#define CONDATTR    "GLIBC_2.3.3"
#define SETNAME     "GLIBC_2.12"
#define STAT_LAYOUT 1
#elif defined(__aarch64__)
#define FIRST       "GLIBC_2.17"
#define CONDATTR    FIRST
#define SETNAME     FIRST
#define STAT_LAYOUT 0
#else
#error "no versions of glibc's symbols are known for this architecture: leave this file out"
#endif

#define OLD(name, version) __asm__(".symver old_" #name ", " #name "@" version)

OLD(dlclose, FIRST);
OLD(dlerror, FIRST);
OLD(dlopen, FIRST);
OLD(dlsym, FIRST);
OLD(pthread_condattr_setclock, CONDATTR);
OLD(pthread_create, FIRST);
OLD(pthread_join, FIRST);
OLD(pthread_mutex_trylock, FIRST);
OLD(pthread_setname_np, SETNAME);
OLD(pthread_sigmask, FIRST);
OLD(shm_open, FIRST);
OLD(shm_unlink, FIRST);

/* FLOOR(result, name, arguments with types, arguments): __wrap_name is old_name. */
#define FLOOR(result, name, parameters, arguments) \
	result old_##name parameters;              \
	result __wrap_##name parameters;           \
	result __wrap_##name parameters            \
	{                                          \
		return old_##name arguments;       \
	}

FLOOR(int, dlclose, (void *handle), (handle))
FLOOR(char *, dlerror, (void), ())
FLOOR(void *, dlopen, (const char *name, int flags), (name, flags))
FLOOR(void *, dlsym, (void *handle, const char *name), (handle, name))
FLOOR(int, pthread_condattr_setclock, (pthread_condattr_t * attr, clockid_t clock), (attr, clock))
FLOOR(int, pthread_create,
	(pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg),
	(thread, attr, run, arg))
FLOOR(int, pthread_join, (pthread_t thread, void **result), (thread, result))
FLOOR(int, pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
FLOOR(int, pthread_setname_np, (pthread_t thread, const char *name), (thread, name))
FLOOR(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
FLOOR(int, shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode))
FLOOR(int, shm_unlink, (const char *name), (name))

int __xstat(int layout, const char *path, struct stat *st);
int __fxstat(int layout, int fd, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);

int __wrap_stat(const char *path, struct stat *st)
{
	return __xstat(STAT_LAYOUT, path, st);
}

int __wrap_fstat(int fd, struct stat *st)
{
	return __fxstat(STAT_LAYOUT, fd, st);
}
