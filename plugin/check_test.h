/*
 * lina-check's tests that move data: to another host, and a self-test of the priorities. Both say
 * what they found in a report. Return 0 when they could be carried out, whatever was found.
 */
#ifndef LINA_PLUGIN_CHECK_TEST_H
#define LINA_PLUGIN_CHECK_TEST_H

#include "plugin/check_net.h"
#include "plugin/check_report.h"

enum { CHECK_HANDLE_TEXT_BYTES = 2 * LINA_HANDLE_BYTES + 1 };

/* Waits on dev for the other side, whose handle is printed to stdout for it. */
int check_peer_listen(struct check_report *report, struct check_net *net, int dev, int timeout_ms);

/* The other side; text: the handle that was printed. */
int check_peer_connect(struct check_report *report, struct check_net *net, int dev,
	const char *text, int timeout_ms);

/* Through dev to itself for about seconds: latency messages alone, under bulk of the same class,
 * and under bulk that is told apart. */
int check_priority(struct check_report *report, struct check_net *net, int dev, double seconds);

#endif
