/*
 * What a test sees of a libibverbs of 2019 (old_ibverbs.c).
 */
#ifndef LINA_TESTS_FAKE_OLD_IBVERBS_H
#define LINA_TESTS_FAKE_OLD_IBVERBS_H

#include <infiniband/verbs.h>

enum { OLD_EMPTY_GID = 2, OLD_GIDS = 4 }; /* this entry of a port is empty; so many there are */

extern int old_access; /* of the memory that was last registered */

#endif
