#ifndef HOSTGPU_RUNTIME_CONFIG_H
#define HOSTGPU_RUNTIME_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The machine that programs are shown, from the environment, read once. A value out of range ends
 * the process with its name, value and range. Part of libcudart.so.12 and of libnvidia-ml.so.1.
 */
enum {
	HOSTGPU_DEVICES_MAX = 16,
	HOSTGPU_BUS_MAX = 4095,
	HOSTGPU_BUS_FIRST = 0x10, /* PCI bus of device 0 of HOSTGPU_BUS=0 */
	HOSTGPU_COMPUTE_MAJOR = 9,
	HOSTGPU_COMPUTE_MINOR = 0,
};

int hostgpu_devices(void); /* HOSTGPU_DEVICES, 1 .. HOSTGPU_DEVICES_MAX, default 1 */
int hostgpu_bus(void);     /* HOSTGPU_BUS, 0 .. HOSTGPU_BUS_MAX, default 0 */
bool hostgpu_debug(void);  /* HOSTGPU_DEBUG=1: every launch is logged */

/* PCI address of a device: domain and bus; slot and function are 0. */
void hostgpu_pci(int device, unsigned int *domain_p, unsigned int *bus_p);

/* The device at a PCI address ("0000:10:00.0"), or -1 where this process has none there. */
int hostgpu_device_at(const char *address);

/* Prints "hostgpu: ..." on standard error and aborts: for whatever this machine cannot do. */
_Noreturn void hostgpu_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
