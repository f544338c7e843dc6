/* rn_lock.h - a mutex, the smallest that runs on both systems.
 *
 * Not recursive; held for moments only, never across a wait, and never while
 * waiting for the GIL.
 */
#ifndef RN_LOCK_H
#define RN_LOCK_H

#ifdef _WIN32

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

struct rn_lock {
    SRWLOCK native;
};
#define RN_LOCK_INIT \
    {                \
        SRWLOCK_INIT \
    }

static inline void
rn_lock_init(struct rn_lock *lock)
{
    InitializeSRWLock(&lock->native);
}

static inline void
rn_lock_take(struct rn_lock *lock)
{
    AcquireSRWLockExclusive(&lock->native);
}

static inline void
rn_lock_drop(struct rn_lock *lock)
{
    ReleaseSRWLockExclusive(&lock->native);
}

static inline void
rn_lock_destroy(struct rn_lock *lock)
{
    (void)lock; /* an SRWLOCK owns nothing */
}

#else

#include <pthread.h>

struct rn_lock {
    pthread_mutex_t native;
};
#define RN_LOCK_INIT              \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }

/* A default mutex, used as written here, has no error to report. */
static inline void
rn_lock_init(struct rn_lock *lock)
{
    (void)pthread_mutex_init(&lock->native, NULL);
}

static inline void
rn_lock_take(struct rn_lock *lock)
{
    (void)pthread_mutex_lock(&lock->native);
}

static inline void
rn_lock_drop(struct rn_lock *lock)
{
    (void)pthread_mutex_unlock(&lock->native);
}

static inline void
rn_lock_destroy(struct rn_lock *lock)
{
    (void)pthread_mutex_destroy(&lock->native);
}

#endif

#endif
