#include "topology/topo_nccl.h"

#include <errno.h>
#include <expat.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/topo_hw.h"

enum {
	DEPTH_MAX = 64,
	ELEMENTS_MAX = 16384,
	CPUS_MAX = 256,
	NVLINKS_MAX = 2048,
	NODES_MAX = 256,
	RAILS_MAX = 4096,
	LANES_MAX = 64,
	COUNT_MAX = 1024
};

/* What NCCL takes a <net> for that does not say (topo.cc). */
enum { SPEED_DEFAULT_MBPS = 10000 };

/* An element that is open. */
struct level {
	enum { OTHER, SYSTEM, CPU, PCI, GPU, NIC } kind;
	int vertex;                 /* that children are joined to; of a device the device */
	struct lina_topo_wire wire; /* of a <pci>: to what is above */
	int above;                  /* vertex that it is joined to */
	char class[12];
	int sm;
	bool used; /* a <pci> with a <gpu> or a <net> */
};

struct nvlink {
	int gpu, target; /* vertices; target -1: the fabric, -2: the CPU */
	int node;        /* of both, as numbered in this text */
	int cpu;
	double bytes_per_s;
	char busid[LINA_VERTEX_NAME_BYTES]; /* of the target */
};

struct reader {
	XML_Parser parser;
	struct lina_topo_builder *b;
	struct lina_topo_fault *fault;
	int err;                      /* of the first mistake */
	int first_node, first_vertex; /* of this text */
	int depth, nelements;
	int nnodes, ncpus, nnvlinks;
	char host[NODES_MAX][LINA_VERTEX_NAME_BYTES];
	struct {
		int vertex, node;
		double bytes_per_s;
	} cpu[CPUS_MAX];
	struct nvlink nvlink[NVLINKS_MAX];
	struct level level[DEPTH_MAX];
};

/* --- mistakes and attributes --- */

static void refuse(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct reader *r, const char *fmt, ...)
{
	va_list args;

	if (r->err)
		return;
	r->err = -EINVAL;
	r->fault->line = (int)XML_GetCurrentLineNumber(r->parser);
	r->fault->column = (int)XML_GetCurrentColumnNumber(r->parser) + 1;
	va_start(args, fmt);
	(void)vsnprintf(r->fault->text, sizeof(r->fault->text), fmt, args);
	va_end(args);
	(void)XML_StopParser(r->parser, XML_FALSE);
}

/* Names and values are shown cut, and as they are: expat lets no control characters in. */
static const char *attribute(const char **attributes, const char *name, const char *fallback)
{
	for (; attributes[0]; attributes += 2)
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	return fallback;
}

/* A whole number from min to max, decimal or 0x...; fallback where there is none. */
static int number(
	struct reader *r, const char **attributes, const char *name, int min, int max, int fallback)
{
	const char *text = attribute(attributes, name, "");
	char *end;
	long value;

	if (!*text)
		return fallback;
	value = strtol(text, &end, 0);
	if (*end || end == text || value < min || value > max) {
		refuse(r, "%s: expected a number from %d to %d, not '%.20s'", name, min, max, text);
		return fallback;
	}
	return (int)value;
}

/* Microseconds with a point, as "0.000000". */
static double microseconds(struct reader *r, const char **attributes, const char *name)
{
	const char *text = attribute(attributes, name, "0"), *p = text;
	double value = 0, unit = 1;

	for (; *p >= '0' && *p <= '9' && value < 1e6; p++)
		value = value * 10 + (*p - '0');
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++) {
			unit /= 10;
			value += unit * (*p - '0');
		}
	if (*p || p == text)
		refuse(r, "%s: expected microseconds up to 1000000, not '%.20s'", name, text);
	return value;
}

/* "16.0 GT/s PCIe", "16 GT/s"; 0: not said, "Unknown". */
static double gt_per_s(const char *text)
{
	static const struct {
		const char *text;
		double gt;
	} speeds[] = { { "2.5", 2.5 }, { "5", 5 }, { "8", 8 }, { "16", 16 }, { "32", 32 },
		{ "64", 64 } };

	for (size_t i = 0; i < sizeof(speeds) / sizeof(*speeds); i++) {
		size_t n = strlen(speeds[i].text);
		if (strncmp(text, speeds[i].text, n) == 0 &&
			(text[n] == ' ' || strncmp(text + n, ".0 ", 3) == 0))
			return speeds[i].gt;
	}
	return 0;
}

/* --- elements --- */

/* The number of the node that a host_hash stands for. */
static int node_of(struct reader *r, const char *host)
{
	for (int i = 0; i < r->nnodes; i++)
		if (strncmp(r->host[i], host, sizeof(r->host[i]) - 1) == 0)
			return i;
	if (r->nnodes == NODES_MAX) {
		refuse(r, "host_hash: expected no more than %d different ones", NODES_MAX);
		return 0;
	}
	(void)snprintf(r->host[r->nnodes], sizeof(r->host[0]), "%s", host);
	return r->nnodes++;
}

static int vertex_node(const struct reader *r, int vertex)
{
	return r->b->vertex[vertex].node;
}

static void cpu_begin(struct reader *r, struct level *l, const char **a)
{
	int node = r->first_node + node_of(r, attribute(a, "host_hash", "0"));
	int numa = number(r, a, "numaid", -1, 65535, -1);

	if (r->ncpus == CPUS_MAX)
		refuse(r, "expected no more than %d <cpu>", CPUS_MAX);
	l->kind = CPU;
	l->vertex = r->err ? -1 : lina_topo_add(r->b, LINA_VERTEX_CPU, node, "");
	if (l->vertex < 0)
		return;
	r->b->vertex[l->vertex].numa = numa;
	r->cpu[r->ncpus].vertex = l->vertex;
	r->cpu[r->ncpus].node = node;
	r->cpu[r->ncpus++].bytes_per_s = lina_hw_cpu_bytes_per_s(attribute(a, "arch", ""),
		attribute(a, "vendor", ""), number(r, a, "familyid", 0, 65535, 0),
		number(r, a, "modelid", 0, 65535, 0));
}

/* The CPU whose tree a level is in. */
static int cpu_above(const struct reader *r)
{
	for (int i = r->depth - 1; i > 0; i--)
		if (r->level[i].kind == CPU)
			return r->level[i].vertex;
	return -1;
}

static void pci_begin(struct reader *r, struct level *l, const struct level *up, const char **a)
{
	const char *busid = attribute(a, "busid", "");

	if (!*busid) {
		refuse(r, "expected <pci> to have a busid");
		return;
	}
	(void)snprintf(l->class, sizeof(l->class), "%s", attribute(a, "class", ""));
	l->kind = PCI;
	l->above = up->vertex;
	/* A hop of two devices has the latency once at either end, as a NIC's is that of its cable.
	 */
	l->wire = (struct lina_topo_wire){ LINA_LINK_PCI,
		lina_hw_pci_bytes_per_s(gt_per_s(attribute(a, "link_speed", "")),
			number(r, a, "link_width", 0, LANES_MAX, 0)),
		strncmp(l->class, "0x03", 4) == 0 ? LINA_HW_PCI_NS : 0 };
	l->vertex = lina_topo_add(r->b, LINA_VERTEX_PCI, vertex_node(r, up->vertex), busid);
	if (l->vertex < 0)
		return;
	r->b->vertex[l->vertex].numa = r->b->vertex[up->vertex].numa;
	lina_topo_join(r->b, l->vertex, up->vertex, l->wire);
}

/* The first <gpu> of a <pci> is the device itself; a further one (a part of a GPU) is beside it. */
static void gpu_begin(struct reader *r, struct level *l, struct level *up, const char **a)
{
	l->kind = GPU;
	l->sm = number(r, a, "sm", 0, 10000, 0);
	l->vertex = up->vertex;
	if (!up->used)
		lina_topo_become_device(r->b, up->vertex);
	else
		l->vertex = lina_topo_add(r->b, LINA_VERTEX_DEVICE, vertex_node(r, up->vertex),
			r->b->vertex[up->vertex].name);
	if (up->used && l->vertex >= 0)
		lina_topo_join(r->b, l->vertex, up->above, up->wire);
	up->used = true;
}

static void net_begin(
	struct reader *r, const struct level *nic, struct level *above, const char **a)
{
	static const struct lina_topo_wire no_limit = { LINA_LINK_PCI, INFINITY, 0 };
	int mbps = number(r, a, "speed", -1, 100000000, 0);
	int rail = number(r, a, "rail", INT32_MIN, INT32_MAX, -1);

	if (number(r, a, "net", 0, 1, 1) == 0 || r->err)
		return; /* a part of a fused NIC, which is there as well */
	int v = lina_topo_add_nic(r->b, vertex_node(r, nic->vertex), attribute(a, "name", ""),
		rail < RAILS_MAX ? rail : -1, (mbps > 0 ? mbps : SPEED_DEFAULT_MBPS) * 1e6 / 8,
		LINA_HW_NIC_NS + microseconds(r, a, "latency") * 1e3);
	if (v < 0)
		return;
	r->b->vertex[v].numa = r->b->vertex[nic->vertex].numa;
	lina_topo_join(r->b, v, nic->vertex, no_limit);
	above->used = true;
}

static void nvlink_begin(struct reader *r, const struct level *gpu, const char **a)
{
	const char *class = attribute(a, "tclass", "");
	struct nvlink *n = &r->nvlink[r->nnvlinks];

	if (r->nnvlinks == NVLINKS_MAX) {
		refuse(r, "expected no more than %d <nvlink>", NVLINKS_MAX);
		return;
	}
	*n = (struct nvlink){ .gpu = gpu->vertex, .target = -1, .cpu = cpu_above(r) };
	n->node = vertex_node(r, gpu->vertex);
	n->bytes_per_s =
		number(r, a, "count", 1, COUNT_MAX, 1) * lina_hw_nvlink_bytes_per_s(gpu->sm);
	if (strncmp(class, "0x03", 4) == 0)
		(void)snprintf(n->busid, sizeof(n->busid), "%s", attribute(a, "target", ""));
	else if (strcmp(class, "0x068001") == 0)
		n->target = -2;
	r->nnvlinks++;
}

static void c2c_begin(struct reader *r, const struct level *gpu, const char **a)
{
	int count = number(r, a, "count", 1, COUNT_MAX, 1);
	int mbytes = number(r, a, "bw", 1, 100000000, 1);
	int cpu = cpu_above(r);

	if (!r->err && cpu >= 0)
		lina_topo_join(r->b, gpu->vertex, cpu,
			(struct lina_topo_wire){
				LINA_LINK_NVLINK, count * 1e6 * mbytes, LINA_HW_NVLINK_NS });
}

/* What an element is depends on what it is in; elsewhere it is nothing that we know. */
static void element_begin(struct reader *r, const char *name, const char **a)
{
	struct level *l = &r->level[r->depth], *up = l - 1;

	*l = (struct level){ .vertex = up->vertex, .above = up->above };
	if (strcmp(name, "cpu") == 0 && up->kind == SYSTEM)
		cpu_begin(r, l, a);
	else if (strcmp(name, "pci") == 0 && (up->kind == CPU || (up->kind == PCI && !up->used)))
		pci_begin(r, l, up, a);
	else if (strcmp(name, "gpu") == 0 && up->kind == PCI)
		gpu_begin(r, l, up, a);
	else if (strcmp(name, "nic") == 0 && (up->kind == CPU || up->kind == PCI))
		l->kind = NIC;
	else if (strcmp(name, "net") == 0 && up->kind == NIC)
		net_begin(r, up, up - 1, a);
	else if (strcmp(name, "nvlink") == 0 && up->kind == GPU)
		nvlink_begin(r, up, a);
	else if (strcmp(name, "c2c") == 0 && up->kind == GPU)
		c2c_begin(r, up, a);
}

static void XMLCALL on_start(void *user, const char *name, const char **attributes)
{
	struct reader *r = user;

	if (r->err || r->b->err)
		return;
	if (++r->nelements > ELEMENTS_MAX)
		refuse(r, "expected no more than %d elements", ELEMENTS_MAX);
	else if (r->depth == DEPTH_MAX)
		refuse(r, "expected elements no more than %d deep", DEPTH_MAX);
	else if (r->depth == 0 && strcmp(name, "system") != 0)
		refuse(r, "expected <system>, not <%.20s>", name);
	else if (r->depth == 0)
		r->level[0] = (struct level){ .kind = SYSTEM, .vertex = -1 };
	else
		element_begin(r, name, attributes);
	r->depth++;
}

static void XMLCALL on_end(void *user, const char *name)
{
	struct reader *r = user;
	const struct level *l;

	(void)name;
	if (r->err || r->b->err)
		return;
	l = &r->level[--r->depth];
	if (l->kind != PCI || l->used)
		return;
	if (strncmp(l->class, "0x03", 4) == 0)
		lina_topo_become_device(r->b, l->vertex);
	else if (strncmp(l->class, "0x02", 4) == 0)
		lina_topo_become_nic(r->b, l->vertex, SPEED_DEFAULT_MBPS * 1e6 / 8, LINA_HW_NIC_NS);
}

static void XMLCALL on_doctype(
	void *user, const char *name, const char *system, const char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	refuse(user, "expected no <!DOCTYPE>");
}

/* --- what can be joined only at the end --- */

/* The device of a node with this bus id. -1: there is none. */
static int device_find(const struct reader *r, int node, const char *busid)
{
	for (int v = r->first_vertex; v < r->b->nvertices; v++) {
		const struct lina_vertex *vertex = &r->b->vertex[v];
		if (vertex->kind == LINA_VERTEX_DEVICE && vertex->node == node &&
			strcmp(vertex->name, busid) == 0)
			return v;
	}
	return -1;
}

/* The other end's <nvlink> of the same cable, if it is before this one. */
static bool is_known(const struct reader *r, const struct nvlink *n)
{
	for (const struct nvlink *other = r->nvlink; other < n; other++)
		if (other->gpu == n->target && other->target == n->gpu)
			return true;
	return false;
}

static int fabric_of(struct reader *r, int node, int *fabrics)
{
	int *fabric = &fabrics[node - r->first_node];

	if (*fabric < 0)
		*fabric = lina_topo_add(r->b, LINA_VERTEX_NVSWITCH, node, "");
	return *fabric;
}

/* All NVLinks of a GPU into its fabric are one. */
static double fabric_bytes_per_s(const struct reader *r, const struct nvlink *n)
{
	double sum = 0;

	for (const struct nvlink *other = r->nvlink; other < r->nvlink + r->nnvlinks; other++)
		if (other->gpu == n->gpu && other->target == -1 && !other->busid[0]) {
			if (other < n)
				return 0; /* counted already */
			sum += other->bytes_per_s;
		}
	return sum;
}

static void nvlinks_join(struct reader *r)
{
	int fabrics[NODES_MAX];

	for (int i = 0; i < NODES_MAX; i++)
		fabrics[i] = -1;
	for (struct nvlink *n = r->nvlink; n < r->nvlink + r->nnvlinks; n++) {
		struct lina_topo_wire wire = { LINA_LINK_NVLINK, n->bytes_per_s,
			LINA_HW_NVLINK_NS };
		if (n->busid[0])
			n->target = device_find(r, n->node, n->busid);
		else if (n->target == -2)
			n->target = n->cpu;
		else {
			wire.bytes_per_s = fabric_bytes_per_s(r, n);
			if (wire.bytes_per_s > 0)
				lina_topo_join(r->b, n->gpu, fabric_of(r, n->node, fabrics), wire);
			continue;
		}
		if (n->target >= 0 && n->target != n->gpu && !is_known(r, n))
			lina_topo_join(r->b, n->gpu, n->target, wire);
	}
}

/* All CPUs of a node with one another. */
static void cpus_join(struct reader *r)
{
	for (int i = 0; i < r->ncpus; i++)
		for (int j = i + 1; j < r->ncpus; j++)
			if (r->cpu[i].node == r->cpu[j].node)
				lina_topo_join(r->b, r->cpu[i].vertex, r->cpu[j].vertex,
					(struct lina_topo_wire){
						LINA_LINK_CPU, r->cpu[i].bytes_per_s, 0 });
}

static int text_read(struct reader *r, const char *text, size_t bytes)
{
	r->parser = XML_ParserCreate("UTF-8");
	if (!r->parser)
		return -ENOMEM;
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	if (XML_Parse(r->parser, text, (int)bytes, 1) != XML_STATUS_OK)
		refuse(r, "%s", XML_ErrorString(XML_GetErrorCode(r->parser)));
	XML_ParserFree(r->parser);
	return r->err;
}

int lina_topo_nccl_add(struct lina_topo_builder *builder, int node, const char *text, size_t bytes,
	int *nnodes_p, struct lina_topo_fault *fault_p)
{
	struct reader *r;
	int err;

	if (bytes > LINA_NCCL_XML_BYTES_MAX) {
		*fault_p = (struct lina_topo_fault){ .text = "expected no more than 4 MiB of XML" };
		return -EINVAL;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->b = builder;
	r->fault = fault_p;
	r->first_node = node;
	r->first_vertex = builder->nvertices;
	err = text_read(r, text, bytes);
	if (!err && !builder->err) {
		nvlinks_join(r);
		cpus_join(r);
	}
	if (!err)
		*nnodes_p = r->nnodes;
	free(r);
	return err;
}
