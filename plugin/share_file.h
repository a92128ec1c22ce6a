/*
 * The file behind share.c: who may come in and who is in it. Joining and leaving happen behind a
 * gate, a lock that one process at a time holds; to own a slot is to hold its lock. All of them are
 * open file description locks. Threads: as share.h.
 */
#ifndef LINA_PLUGIN_SHARE_FILE_H
#define LINA_PLUGIN_SHARE_FILE_H

#include <stdbool.h>

/* Opens or makes the file and comes in through the gate, which stays locked. The name is that of
 * this very file until then. Errors: -EPERM, -ETIMEDOUT and others as lina_share_open. The
 * descriptor is the caller's: lina_share_file_exit, then close. */
int lina_share_file_enter(const char *name, int *fd_p);
void lina_share_file_leave_gate(int fd);

/* Behind the gate. -EAGAIN: another has it. */
int lina_share_file_slot_lock(int fd, int i);

/* Behind the gate. Whether anyone but fd has a slot; where the kernel does not say, yes. */
bool lina_share_file_others(int fd);

/* From behind the gate or not. Gives all locks back, also where a child has a copy of fd, and
 * removes the file if nobody else has a slot. -ETIMEDOUT: the gate is held by another, and the file
 * stays for those to come. */
int lina_share_file_exit(int fd, const char *name);

#endif
