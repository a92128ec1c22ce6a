/* Below is a device, where nothing moves but by a poll. */
#include "fake/fabric.h"
#include "fault/hot.h"
#include "plugin/verbs_send.h"

void below_open(void)
{
	struct fabric_settings settings = fabric_defaults();

	fabric_start(&settings);
}

void below_join(const struct pair *ends)
{
	(void)ends;
}

/* What is there already arrives: credit. */
void below_stop(void)
{
	(void)fabric_pump(0);
}

void below_go(void)
{
}

static uint64_t below_bytes(const struct lina_conn *conn)
{
	return ((const struct verbs_conn *)conn)->rail[0].qp[LINA_CLASS_LATENCY].below_bytes;
}

bool below_busy(const struct lina_conn *conn, size_t bytes)
{
	return below_bytes(conn) == bytes;
}

bool below_kept_back(const struct lina_conn *conn, size_t bytes)
{
	return below_bytes(conn) < bytes;
}
