/* What the network interfaces of this process's host have carried, from the kernel. */
#ifndef LINA_PERF_WIRE_H
#define LINA_PERF_WIRE_H

/* Bytes since the interfaces are there, of frames with their headers, without loopback. Segments
 * that the kernel has not cut yet count as one frame. */
struct wire {
	double sent_bytes, received_bytes;
};

/* Ends the program where the kernel does not say it. */
struct wire wire_read(void);

#endif
