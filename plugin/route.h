/*
 * What the kernel's routes say of a connection to be.
 */
#ifndef LINA_PLUGIN_ROUTE_H
#define LINA_PLUGIN_ROUTE_H

#include <stdbool.h>

#include "plugin/wire.h"

/* Whether packets to to leave by another interface when they come from from than when the kernel
 * chooses their source: the host has rules by source. Where it has none, a source of another
 * interface changes no route and makes the peer, whose way back is another one, drop what comes.
 * False where the kernel does not say. */
bool lina_route_is_by_source(const union lina_addr *from, const union lina_addr *to);

#endif
