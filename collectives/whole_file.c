/* Files that are read whole and replaced in one step. */
#include "collectives/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- read --- */

/* Contents that grow. */
struct contents {
	char *text;
	size_t used, room;
};

static int make_room(struct contents *c)
{
	size_t more = c->room ? 2 * c->room : 16384;
	char *larger;

	if (c->used < c->room)
		return 0;
	if (c->room >= LINA_WHOLE_FILE_BYTES_MAX)
		return -EFBIG;
	larger = realloc(c->text, more);
	if (!larger)
		return -ENOMEM;
	c->text = larger;
	c->room = more;
	return 0;
}

/* Reads on to the end, or to what goes wrong. */
static int read_on(int fd, struct contents *c)
{
	for (;;) {
		int err = make_room(c);
		ssize_t n = err ? 0 : read(fd, c->text + c->used, c->room - c->used);

		if (n == 0)
			return err;
		if (n < 0 && errno != EINTR)
			return -errno;
		c->used += n < 0 ? 0 : (size_t)n;
	}
}

int lina_file_load(const char *path, char **text_p, size_t *bytes_p)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct contents contents = { 0 };
	int err;

	if (fd < 0)
		return -errno;
	err = read_on(fd, &contents);
	(void)close(fd);
	if (err) {
		free(contents.text);
		return err;
	}
	*text_p = contents.text;
	*bytes_p = contents.used;
	return 0;
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

/* Who may read the file that is replaced may read the new one. */
static void allow_as(int fd, const char *replaced)
{
	struct stat st;

	if (stat(replaced, &st) == 0)
		(void)fchmod(fd, st.st_mode & 0777);
}

/* A new file at path that is on the disk before this returns. */
static int store(const char *path, const char *replaced, const char *text, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int err;

	if (fd < 0)
		return -errno;
	allow_as(fd, replaced);
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

/* A device or a pipe, say /dev/null: a file in its place would take it from everybody. */
static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int write_into(const char *path, const char *text, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int err = write_all(fd, text, bytes);
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int replace(const char *path, const char *text, size_t bytes)
{
	char *temporary;
	int err;

	if (asprintf(&temporary, "%s.tmp.%ld", path, (long)getpid()) < 0)
		return -ENOMEM;
	err = store(temporary, path, text, bytes);
	if (!err && rename(temporary, path)) {
		err = -errno;
		(void)unlink(temporary);
	}
	if (!err)
		sync_directory_of(path);
	free(temporary);
	return err;
}

/* What a symbolic link leads to is replaced, since that is what others read. */
int lina_file_replace(const char *path, const char *text, size_t bytes)
{
	if (is_special(path))
		return write_into(path, text, bytes);
	char *real = realpath(path, NULL); /* NULL: there is nothing yet */
	int err = replace(real ? real : path, text, bytes);
	free(real);
	return err;
}
