#include "topology/topo_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topology/topo_hwloc.h"
#include "topology/topo_nccl.h"
#include "topology/topo_routes.h"
#include "topology/topo_text.h"

enum { FILE_BYTES_MAX = 16 << 20 };

enum kind { KIND_TEXT, KIND_NCCL, KIND_HWLOC, KIND_SYNTHETIC, KIND_THIS };

struct source {
	enum kind kind;
	char *text; /* ended with a zero, owned; NULL of KIND_THIS */
	size_t bytes;
};

static int fd_read(int fd, char **text_p, size_t *bytes_p)
{
	struct stat st;
	size_t n = 0;
	char *text;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size > FILE_BYTES_MAX)
		return -EFBIG;
	size_t room = st.st_size > 0 ? (size_t)st.st_size + 1 : FILE_BYTES_MAX;
	text = malloc(room + 1);
	if (!text)
		return -ENOMEM;
	while (n < room) {
		ssize_t got = read(fd, text + n, room - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int err = -errno;
			free(text);
			return err;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	*text_p = text;
	*bytes_p = n;
	return 0;
}

/* XML by its first element: <topology> is hwloc's. */
static enum kind kind_of(const char *text)
{
	text += strspn(text, " \t\r\n");
	if (*text != '<')
		return KIND_TEXT;
	return strstr(text, "<topology") ? KIND_HWLOC : KIND_NCCL;
}

static int source_open(const char *what, struct source *s, struct lina_topo_fault *fault)
{
	static const char synthetic[] = "hwloc:";
	int err, fd;

	*s = (struct source){ .kind = KIND_THIS };
	if (strcmp(what, "this") == 0)
		return 0;
	fd = open(what, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		err = fd_read(fd, &s->text, &s->bytes);
		close(fd);
		if (err)
			return lina_topo_refuse(fault, "%s", strerror(-err)), err;
		assert(s->text);
		s->kind = kind_of(s->text);
		return 0;
	}
	if (errno != ENOENT && errno != ENAMETOOLONG && errno != ENOTDIR) {
		err = -errno;
		return lina_topo_refuse(fault, "%s", strerror(-err)), err;
	}
	s->kind = KIND_TEXT;
	if (strncmp(what, synthetic, sizeof(synthetic) - 1) == 0) {
		s->kind = KIND_SYNTHETIC;
		what += sizeof(synthetic) - 1;
	}
	s->text = strdup(what);
	s->bytes = strlen(what);
	return s->text ? 0 : -ENOMEM;
}

static int machine_open(
	const struct source *s, struct lina_machine **machine_p, struct lina_topo_fault *fault)
{
	switch (s->kind) {
	case KIND_THIS:
		return lina_machine_read_this("/sys", machine_p, fault);
	case KIND_HWLOC:
		return lina_machine_read_xml(s->text, s->bytes, machine_p, fault);
	case KIND_SYNTHETIC:
		return lina_machine_read_synthetic(s->text, machine_p, fault);
	case KIND_TEXT:
	case KIND_NCCL:
		break;
	}
	return lina_topo_refuse(fault, "only what hwloc has read can be exported as its XML");
}

static int machine_repeat(const struct source *s, int nnodes, struct lina_topo_builder *b,
	struct lina_topo_fault *fault)
{
	struct lina_machine *machine;
	int err = machine_open(s, &machine, fault);

	if (err)
		return err;
	for (int node = 0; node < nnodes && !err; node++)
		err = lina_machine_add(machine, b, node, fault);
	lina_machine_destroy(machine);
	return err;
}

static int nccl_repeat(const struct source *s, int nnodes, struct lina_topo_builder *b,
	struct lina_topo_fault *fault)
{
	int err = 0, its = 0, node = 0;

	do {
		err = lina_topo_nccl_add(b, node, s->text, s->bytes, &its, fault);
		node += its;
	} while (!err && its && node < nnodes);
	return err;
}

int lina_topo_open(
	const char *what, int nnodes, struct lina_topo **topo_p, struct lina_topo_fault *fault_p)
{
	static const struct lina_topo_network network = LINA_TOPO_NETWORK_FLAT;
	struct lina_topo_builder b;
	struct source s;
	int err = source_open(what, &s, fault_p);

	if (err)
		return err;
	lina_topo_builder_init(&b);
	if (s.kind == KIND_TEXT)
		err = lina_topo_parse(s.text, s.bytes, topo_p, fault_p);
	else if (s.kind == KIND_NCCL)
		err = nccl_repeat(&s, nnodes, &b, fault_p);
	else
		err = machine_repeat(&s, nnodes, &b, fault_p);
	if (!err && s.kind != KIND_TEXT)
		err = lina_topo_build(&b, &network, topo_p, fault_p);
	lina_topo_builder_clear(&b);
	free(s.text);
	return err;
}

int lina_topo_export(
	const char *what, char **text_p, size_t *bytes_p, struct lina_topo_fault *fault_p)
{
	struct lina_machine *machine = NULL;
	struct source s;
	int err = source_open(what, &s, fault_p);

	if (err)
		return err;
	err = machine_open(&s, &machine, fault_p);
	free(s.text);
	if (err)
		return err;
	err = lina_machine_encode(machine, text_p, bytes_p);
	lina_machine_destroy(machine);
	return err;
}
