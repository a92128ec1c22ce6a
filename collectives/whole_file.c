/* Files that are read whole and replaced in one step. */
#include "collectives/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- read --- */

static int read_to(int fd, char **text_p, size_t *bytes_p)
{
	size_t used = 0, room = 0;
	char *text = NULL;

	for (;;) {
		ssize_t n;

		if (used == room) {
			size_t more = room ? 2 * room : 16384;
			char *larger =
				room < LINA_WHOLE_FILE_BYTES_MAX ? realloc(text, more) : NULL;

			if (!larger) {
				free(text);
				return room < LINA_WHOLE_FILE_BYTES_MAX ? -ENOMEM : -EFBIG;
			}
			text = larger;
			room = more;
		}
		n = read(fd, text + used, room - used);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR) {
			int err = -errno;

			free(text);
			return err;
		}
		used += n < 0 ? 0 : (size_t)n;
	}
	*text_p = text;
	*bytes_p = used;
	return 0;
}

int lina_file_load(const char *path, char **text_p, size_t *bytes_p)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = read_to(fd, text_p, bytes_p);
	(void)close(fd);
	return err;
}

/* --- write --- */

static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += n < 0 ? 0 : n;
		bytes -= n < 0 ? 0 : (size_t)n;
	}
	return 0;
}

/* A new file at path that is on the disk before this returns. */
static int store(const char *path, const char *text, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, text, bytes);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (err)
		(void)unlink(path);
	return err;
}

/* Makes a rename last. Some file systems cannot, and then there is nothing to be done. */
static void sync_directory_of(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	free(copy);
}

int lina_file_replace(const char *path, const char *text, size_t bytes)
{
	char *temporary;
	int err;

	if (asprintf(&temporary, "%s.tmp.%ld", path, (long)getpid()) < 0)
		return -ENOMEM;
	err = store(temporary, text, bytes);
	if (!err && rename(temporary, path)) {
		err = -errno;
		(void)unlink(temporary);
	}
	if (!err)
		sync_directory_of(path);
	free(temporary);
	return err;
}
