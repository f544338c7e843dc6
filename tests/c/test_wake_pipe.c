/* test_wake_pipe.c - test_wake.c with the object of systems without eventfd. */
/* sources: rn_wake.c rn_wake_pipe.c rn_wake_posix.c */
#define SETTER(wake) ((int)(wake).setter)
#include "test_wake.c"
