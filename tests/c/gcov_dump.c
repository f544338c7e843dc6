/* gcov_dump.c - in a build that counts lines and branches: write the counts now,
 * for a process that is about to end by _exit().
 */
#define VISIBLE __attribute__((visibility("default")))

VISIBLE void
rn_gcov_dump(void);

/* Of libgcov, which has no header for it. */
extern void
__gcov_dump(void);

void
rn_gcov_dump(void)
{
    __gcov_dump();
}
