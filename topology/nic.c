#include "topology/nic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* dir "/" leaf into out[PATH_MAX], which is not dir. */
static int path_join(char *out, const char *dir, const char *leaf)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", dir, leaf);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The number in a one-line sysfs attribute, or fallback. */
static int number_read(const char *dir, const char *leaf, int fallback)
{
	char path[PATH_MAX], text[32];

	if (path_join(path, dir, leaf))
		return fallback;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fallback;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return fallback;
	text[n] = '\0';
	char *end;
	long v = strtol(text, &end, 10);
	return end != text && v >= INT_MIN && v <= INT_MAX ? (int)v : fallback;
}

/* "device" of a NIC's function is its PCI device; of a USB or virtio link it may lie deeper, and
 * then NCCL cannot use the path, as for a virtual link. */
static void pci_path_read(const char *dir, struct lina_nic *nic)
{
	char link[PATH_MAX], subsystem[PATH_MAX], resolved[PATH_MAX];

	if (path_join(link, dir, "device") || !realpath(link, nic->pci_path)) {
		nic->pci_path[0] = '\0';
		return;
	}
	const char *name = NULL;
	if (!path_join(subsystem, nic->pci_path, "subsystem") && realpath(subsystem, resolved))
		name = strrchr(resolved, '/');
	if (!name || strcmp(name, "/pci") != 0)
		nic->pci_path[0] = '\0';
}

void lina_nic_read_dir(const char *dir, struct lina_nic *nic_p)
{
	nic_p->speed_mbps = 0;
	pci_path_read(dir, nic_p);
	nic_p->numa_node = nic_p->pci_path[0] ? number_read(nic_p->pci_path, "numa_node", -1) : -1;
}

void lina_nic_card_path(const char *pci_path, bool join_vfs, char *card)
{
	char link[PATH_MAX];

	if (!join_vfs || path_join(link, pci_path, "physfn") || !realpath(link, card))
		(void)snprintf(card, PATH_MAX, "%s", pci_path);
	size_t n = strlen(card);
	if (n < 2 || card[n - 2] != '.')
		return;
	card[n - 1] = '0';
	if (access(card, F_OK))
		(void)snprintf(card, PATH_MAX, "%s", pci_path);
}

int lina_nic_read(const char *sysfs_root, const char *name, struct lina_nic *nic_p)
{
	char class_net[PATH_MAX], dir[PATH_MAX];

	if (name[0] == '\0' || strchr(name, '/'))
		return -EINVAL;
	int err = path_join(class_net, sysfs_root, "class/net");
	if (err)
		return err;
	err = path_join(dir, class_net, name);
	if (err)
		return err;
	lina_nic_read_dir(dir, nic_p);
	int speed = number_read(dir, "speed", 0);
	nic_p->speed_mbps = speed > 0 ? speed : 0;
	return 0;
}
