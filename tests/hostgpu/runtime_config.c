#include "runtime_config.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	int devices, bus, debug;
} config;
static pthread_once_t config_once = PTHREAD_ONCE_INIT;

void hostgpu_die(const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fprintf(stderr, "hostgpu: %s\n", text);
	abort();
}

static int read_int(const char *name, int fallback, int low, int high)
{
	const char *text = getenv(name);
	if (!text || !*text)
		return fallback;
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	if (*end || errno || value < low || value > high)
		hostgpu_die("%s=%s: must be a number from %d to %d", name, text, low, high);
	return (int)value;
}

static void read_config(void)
{
	config.devices = read_int("HOSTGPU_DEVICES", 1, 1, HOSTGPU_DEVICES_MAX);
	config.bus = read_int("HOSTGPU_BUS", 0, 0, HOSTGPU_BUS_MAX);
	config.debug = read_int("HOSTGPU_DEBUG", 0, 0, 1);
}

int hostgpu_devices(void)
{
	pthread_once(&config_once, read_config);
	return config.devices;
}

int hostgpu_bus(void)
{
	pthread_once(&config_once, read_config);
	return config.bus;
}

bool hostgpu_debug(void)
{
	pthread_once(&config_once, read_config);
	return config.debug;
}

void hostgpu_pci(int device, unsigned int *domain_p, unsigned int *bus_p)
{
	unsigned int at = (unsigned int)(HOSTGPU_BUS_FIRST + hostgpu_bus() + device);
	*domain_p = at >> 8;
	*bus_p = at & 0xff;
}

int hostgpu_device_at(const char *address)
{
	unsigned int domain, bus;
	if (sscanf(address, "%x:%x:", &domain, &bus) != 2 || domain > 0xffff || bus > 0xff)
		return -1;
	int device = (int)(domain << 8 | bus) - HOSTGPU_BUS_FIRST - hostgpu_bus();
	return device >= 0 && device < hostgpu_devices() ? device : -1;
}
