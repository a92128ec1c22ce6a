#include "topology/topo_hwloc.h"

#include <errno.h>
#include <hwloc.h>
#include <hwloc/distances.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/nic.h"
#include "topology/topo_hw.h"
#include "topology/topo_routes.h"

static const char speed_key[] = "LinaSpeedMbps";

/* hwloc's rate of a PCI link has its encoding (128b/130b) taken off already. */
static const double pci_part = 0.75 * 130 / 128;

struct lina_machine {
	hwloc_topology_t hwloc;
};

/* --- reading --- */

static int machine_open(struct lina_machine **machine_p)
{
	struct lina_machine *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	if (hwloc_topology_init(&m->hwloc)) {
		free(m);
		return -ENOMEM;
	}
	(void)hwloc_topology_set_io_types_filter(m->hwloc, HWLOC_TYPE_FILTER_KEEP_ALL);
	*machine_p = m;
	return 0;
}

void lina_machine_destroy(struct lina_machine *machine)
{
	if (!machine)
		return;
	hwloc_topology_destroy(machine->hwloc);
	free(machine);
}

/* Publishes a machine that can be loaded; set: what hwloc said of where to load it from. */
static int machine_load(struct lina_machine *m, int set, const char *what,
	struct lina_machine **machine_p, struct lina_topo_fault *fault)
{
	if (set < 0 || hwloc_topology_load(m->hwloc) < 0) {
		lina_machine_destroy(m);
		(void)lina_topo_refuse(fault, "hwloc cannot read %s", what);
		return -EINVAL;
	}
	*machine_p = m;
	return 0;
}

static bool is_nic(hwloc_obj_t obj)
{
	return obj->type == HWLOC_OBJ_OS_DEVICE &&
	       (obj->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK ||
		       obj->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS);
}

/* Notes the speed of each interface at its PCI device, where XML keeps it. */
static void speeds_note(const struct lina_machine *m, const char *sysfs_root)
{
	hwloc_obj_t obj = NULL;
	struct lina_nic nic;
	char text[16];

	while ((obj = hwloc_get_next_osdev(m->hwloc, obj))) {
		if (!is_nic(obj) || !obj->name || !obj->parent ||
			obj->parent->type != HWLOC_OBJ_PCI_DEVICE ||
			hwloc_obj_get_info_by_name(obj->parent, speed_key))
			continue;
		if (lina_nic_read(sysfs_root, obj->name, &nic) || !nic.speed_mbps)
			continue;
		(void)snprintf(text, sizeof(text), "%d", nic.speed_mbps);
		(void)hwloc_obj_add_info(obj->parent, speed_key, text);
	}
}

int lina_machine_read_this(
	const char *sysfs_root, struct lina_machine **machine_p, struct lina_topo_fault *fault_p)
{
	struct lina_machine *m;
	int err = machine_open(&m);

	if (!err)
		err = machine_load(m, 0, "this machine", &m, fault_p);
	if (err)
		return err;
	speeds_note(m, sysfs_root);
	*machine_p = m;
	return 0;
}

int lina_machine_read_xml(const char *text, size_t bytes, struct lina_machine **machine_p,
	struct lina_topo_fault *fault_p)
{
	struct lina_machine *m;
	char *copy;
	int err;

	if (bytes >= INT32_MAX)
		return lina_topo_refuse(fault_p, "too much XML");
	copy = malloc(bytes + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	err = machine_open(&m);
	if (!err)
		err = machine_load(m, hwloc_topology_set_xmlbuffer(m->hwloc, copy, (int)bytes + 1),
			"this as its XML", machine_p, fault_p);
	free(copy);
	return err;
}

int lina_machine_read_synthetic(
	const char *text, struct lina_machine **machine_p, struct lina_topo_fault *fault_p)
{
	struct lina_machine *m;
	int err = machine_open(&m);

	if (err)
		return err;
	return machine_load(m, hwloc_topology_set_synthetic(m->hwloc, text),
		"this as a synthetic description", machine_p, fault_p);
}

int lina_machine_encode(const struct lina_machine *machine, char **text_p, size_t *bytes_p)
{
	char *xml, *text;
	int bytes;

	if (hwloc_topology_export_xmlbuffer(machine->hwloc, &xml, &bytes, 0) < 0)
		return -ENOMEM;
	text = strdup(xml);
	hwloc_free_xmlbuffer(machine->hwloc, xml);
	if (!text)
		return -ENOMEM;
	*bytes_p = strlen(text);
	*text_p = text;
	return 0;
}

/* --- as a node of the model --- */

enum { CPUS_MAX = 256, DEVICES_MAX = 1024, DEPTH_MAX = 64 };

/* Vertices that were made, and of which objects. */
struct made {
	struct lina_topo_builder *b;
	int node, ncpus, ndevices;
	struct {
		hwloc_obj_t obj;
		int vertex;
	} cpu[CPUS_MAX], device[DEVICES_MAX];
	int fabric; /* -1: none yet */
};

static bool is_device(const struct hwloc_pcidev_attr_s *pci)
{
	switch (pci->class_id) {
	case 0x0302: /* 3D controller */
	case 0x0380: /* other display controller: AMD Instinct */
	case 0x1200: /* processing accelerator */
		return true;
	case 0x0300: /* VGA */
		return pci->vendor_id == 0x10de || pci->vendor_id == 0x1002;
	default:
		return false;
	}
}

static struct lina_topo_wire pci_wire(const struct hwloc_pcidev_attr_s *pci, double latency_ns)
{
	double rate = pci->linkspeed > 0 ? (double)pci->linkspeed * 1e9 * pci_part
					 : lina_hw_pci_bytes_per_s(0, 0);

	return (struct lina_topo_wire){ LINA_LINK_PCI, rate, latency_ns };
}

static void busid_write(const struct hwloc_pcidev_attr_s *pci, char out[LINA_VERTEX_NAME_BYTES])
{
	(void)snprintf(out, LINA_VERTEX_NAME_BYTES, "%04x:%02x:%02x.%01x", (unsigned)pci->domain,
		(unsigned)pci->bus, (unsigned)pci->dev, (unsigned)pci->func);
}

static const char *nic_name(hwloc_obj_t pci)
{
	const char *name = NULL;

	for (hwloc_obj_t os = pci->io_first_child; os; os = os->next_sibling)
		if (is_nic(os) && os->name &&
			(!name || os->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS))
			name = os->name;
	return name;
}

static void pci_device_add(struct made *m, hwloc_obj_t obj, int above, int numa)
{
	const struct hwloc_pcidev_attr_s *pci = &obj->attr->pcidev;
	const char *nic = nic_name(obj), *speed = hwloc_obj_get_info_by_name(obj, speed_key);
	struct lina_topo_wire wire = pci_wire(pci, is_device(pci) ? LINA_HW_PCI_NS : 0);
	char busid[LINA_VERTEX_NAME_BYTES];
	int v;

	busid_write(pci, busid);
	if (is_device(pci)) {
		v = lina_topo_add(m->b, LINA_VERTEX_DEVICE, m->node, busid);
		if (m->ndevices < DEVICES_MAX) {
			m->device[m->ndevices].obj = obj;
			m->device[m->ndevices++].vertex = v;
		}
	} else if (nic) {
		long mbps = speed ? strtol(speed, NULL, 10) : 0;
		v = lina_topo_add_nic(m->b, m->node, nic, -1,
			mbps > 0 ? (double)mbps * 1e6 / 8 : wire.bytes_per_s, LINA_HW_NIC_NS);
	} else {
		return;
	}
	if (v < 0)
		return;
	m->b->vertex[v].numa = numa;
	lina_topo_join(m->b, v, above, wire);
}

/* What hangs below a bridge, or on the CPU itself; over is what it hangs on. */
static void io_add(struct made *m, hwloc_obj_t over, int above, int numa, int depth)
{
	for (hwloc_obj_t obj = over->io_first_child; obj && depth < DEPTH_MAX;
		obj = obj->next_sibling) {
		int v = above;
		if (obj->type == HWLOC_OBJ_PCI_DEVICE)
			pci_device_add(m, obj, above, numa);
		if (obj->type != HWLOC_OBJ_BRIDGE)
			continue;
		if (obj->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_PCI) {
			char busid[LINA_VERTEX_NAME_BYTES];
			busid_write(&obj->attr->bridge.upstream.pci, busid);
			v = lina_topo_add(m->b, LINA_VERTEX_PCI, m->node, busid);
			if (v < 0)
				return;
			lina_topo_join(
				m->b, v, above, pci_wire(&obj->attr->bridge.upstream.pci, 0));
		}
		io_add(m, obj, v, numa, depth + 1);
	}
}

/* The CPU that is nearest to what is not within a NUMA node: the first that it overlaps. */
static int cpu_of(const struct made *m, hwloc_obj_t obj)
{
	for (int i = 0; i < m->ncpus; i++)
		if (obj->nodeset && hwloc_bitmap_isset(obj->nodeset, m->cpu[i].obj->os_index))
			return i;
	return 0;
}

static void tree_add(struct made *m, hwloc_obj_t obj, int depth)
{
	int i = cpu_of(m, obj);

	io_add(m, obj, m->cpu[i].vertex, (int)m->cpu[i].obj->os_index, 0);
	for (unsigned c = 0; c < obj->arity && depth < DEPTH_MAX; c++)
		tree_add(m, obj->children[c], depth + 1);
}

static int info_number(hwloc_obj_t obj, const char *name)
{
	const char *text = obj ? hwloc_obj_get_info_by_name(obj, name) : NULL;

	return text ? (int)strtol(text, NULL, 10) : 0;
}

static double between_cpus(hwloc_topology_t hwloc)
{
	hwloc_obj_t package = hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_PACKAGE, 0);
	const char *vendor = package ? hwloc_obj_get_info_by_name(package, "CPUVendor") : NULL;
	const char *arch = hwloc_obj_get_info_by_name(hwloc_get_root_obj(hwloc), "Architecture");

	return lina_hw_cpu_bytes_per_s(arch ? arch : "", vendor ? vendor : "",
		info_number(package, "CPUFamilyNumber"), info_number(package, "CPUModelNumber"));
}

static int cpus_add(struct made *m, hwloc_topology_t hwloc, struct lina_topo_fault *fault)
{
	struct lina_topo_wire wire = { LINA_LINK_CPU, between_cpus(hwloc), 0 };
	hwloc_obj_t numa = NULL;

	while ((numa = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, numa))) {
		if (m->ncpus == CPUS_MAX)
			return lina_topo_refuse(
				fault, "there are more than %d NUMA nodes", CPUS_MAX);
		int v = lina_topo_add(m->b, LINA_VERTEX_CPU, m->node, "");
		if (v < 0)
			return 0;
		m->b->vertex[v].numa = (int)numa->os_index;
		for (int i = 0; i < m->ncpus; i++)
			lina_topo_join(m->b, m->cpu[i].vertex, v, wire);
		m->cpu[m->ncpus].obj = numa;
		m->cpu[m->ncpus++].vertex = v;
	}
	return m->ncpus ? 0 : lina_topo_refuse(fault, "hwloc knows of no NUMA node");
}

/* Devices for a machine that has none of its own: they share what joins their CPUs. */
static void numa_devices_add(struct made *m)
{
	for (int i = 0; i < m->ncpus; i++) {
		char name[LINA_VERTEX_NAME_BYTES];
		(void)snprintf(name, sizeof(name), "numa %u", m->cpu[i].obj->os_index);
		int v = lina_topo_add(m->b, LINA_VERTEX_DEVICE, m->node, name);
		if (v < 0)
			return;
		m->b->vertex[v].numa = (int)m->cpu[i].obj->os_index;
		lina_topo_join(m->b, v, m->cpu[i].vertex,
			(struct lina_topo_wire){ LINA_LINK_CPU, INFINITY, 0 });
	}
}

/* The device that an object of NVML's matrix is of. -1: of none that we have. */
static int device_of(struct made *m, hwloc_obj_t obj)
{
	if (obj->subtype && strcmp(obj->subtype, "NVSwitch") == 0) {
		if (m->fabric < 0)
			m->fabric = lina_topo_add(m->b, LINA_VERTEX_NVSWITCH, m->node, "");
		return m->fabric;
	}
	while (obj && obj->type != HWLOC_OBJ_PCI_DEVICE)
		obj = obj->parent;
	for (int i = 0; i < m->ndevices; i++)
		if (m->device[i].obj == obj)
			return m->device[i].vertex;
	return -1;
}

static void nvlink_join(struct made *m, int a, int b, double mbytes)
{
	lina_topo_join(m->b, a, b,
		(struct lina_topo_wire){ LINA_LINK_NVLINK, mbytes * 1e6, LINA_HW_NVLINK_NS });
}

/* The row of one device: a cable to each other one after it, and one into the fabric, whose
 * switches are each an object of the matrix. */
static void nvlink_row_add(struct made *m, const struct hwloc_distances_s *matrix, unsigned i)
{
	const hwloc_uint64_t *mbytes = &matrix->values[(size_t)i * matrix->nbobjs];
	double switched = 0;
	int a = device_of(m, matrix->objs[i]);

	if (a < 0 || a == m->fabric)
		return;
	for (unsigned j = 0; j < matrix->nbobjs; j++) {
		int b = mbytes[j] ? device_of(m, matrix->objs[j]) : -1;
		if (b >= 0 && b == m->fabric)
			switched += (double)mbytes[j];
		else if (b >= 0 && b != a && j > i)
			nvlink_join(m, a, b, (double)mbytes[j]);
	}
	if (switched > 0)
		nvlink_join(m, a, m->fabric, switched);
}

/* hwloc's matrix is in MB/s, in each direction. */
static void nvlinks_add(struct made *m, hwloc_topology_t hwloc)
{
	struct hwloc_distances_s *matrix = NULL;
	unsigned n = 1;

	if (hwloc_distances_get_by_name(hwloc, "NVLinkBandwidth", &n, &matrix, 0) || n == 0)
		return;
	for (unsigned i = 0; i < matrix->nbobjs; i++)
		nvlink_row_add(m, matrix, i);
	hwloc_distances_release(hwloc, matrix);
}

int lina_machine_add(const struct lina_machine *machine, struct lina_topo_builder *builder,
	int node, struct lina_topo_fault *fault_p)
{
	struct made *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->b = builder;
	m->node = node;
	m->fabric = -1;
	err = cpus_add(m, machine->hwloc, fault_p);
	if (!err && !builder->err) {
		tree_add(m, hwloc_get_root_obj(machine->hwloc), 0);
		nvlinks_add(m, machine->hwloc);
		if (!m->ndevices)
			numa_devices_add(m);
	}
	free(m);
	return err;
}
