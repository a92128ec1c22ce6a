/* Events as text. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "plugin/trace.h"

char *lina_trace_escape(const char *text, char *to, size_t room)
{
	size_t at = 0;

	for (; *text && at + 7 <= room; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\') {
			to[at++] = '\\';
			to[at++] = (char)c;
		} else if (c >= 0x20 && c < 0x7f) {
			to[at++] = (char)c;
		} else {
			at += (size_t)snprintf(to + at, room - at, "\\u%04x", c);
		}
	}
	if (room)
		to[at] = '\0';
	return to;
}

/* Microseconds, with all the digits that there are: a double would lose some. */
#define TIME          "%" PRIu64 ".%03u"
#define TIME_OF(ns)   (ns) / 1000, (unsigned)((ns) % 1000)
#define HEAD          "{\"pid\":%d,\"tid\":%u,\"ts\":" TIME ",\"cat\":\"%s\",\"name\":\"%s\""
#define HEAD_OF(name) names->pid, e->track, TIME_OF(e->begin_ns), lina_class_name(cls), (name)

static const char *dir_name(const struct lina_trace_event *e)
{
	return e->dir == LINA_DIR_SEND ? "send" : "recv";
}

static const char *op_name(const struct lina_trace_event *e)
{
	const char *name = e->what < 0 ? NULL : lina_op_name((enum lina_op)e->what);

	return name ? name : "unnamed";
}

static const char *bound_name(const struct lina_trace_event *e)
{
	static const char *const names[LINA_NBOUNDS] = { "bound: share", "bound: hold",
		"bound: stall" };

	return e->what >= 0 && e->what < LINA_NBOUNDS ? names[e->what] : "bound";
}

/* A pair of asynchronous events: those of one thread must nest, and requests do not. */
static int request_format(const struct lina_trace_event *e, const struct lina_trace_names *names,
	char text[LINA_TRACE_EVENT_BYTES])
{
	enum lina_class cls = (enum lina_class)e->cls;
	char peer[LINA_TRACE_NAME_BYTES * 2], track[LINA_TRACE_NAME_BYTES * 2];

	return snprintf(text, LINA_TRACE_EVENT_BYTES,
		HEAD ",\"ph\":\"b\",\"id\":\"%d.%" PRIu64 "\",\"args\":{\"bytes\":%" PRIu64
		     ",\"dir\":\"%s\",\"peer\":\"%s\",\"of\":\"%s\"}},\n"
		     "{\"pid\":%d,\"tid\":%u,\"ts\":" TIME
		     ",\"cat\":\"%s\",\"name\":\"%s\",\"ph\":\"e\",\"id\":\"%d.%" PRIu64 "\"}",
		HEAD_OF(op_name(e)), names->pid, names->id, e->bytes, dir_name(e),
		lina_trace_escape(names->peer ? names->peer : "", peer, sizeof(peer)),
		lina_trace_escape(names->track ? names->track : "", track, sizeof(track)),
		names->pid, e->track, TIME_OF(e->end_ns), lina_class_name(cls), op_name(e),
		names->pid, names->id);
}

static int hold_format(const struct lina_trace_event *e, const struct lina_trace_names *names,
	char text[LINA_TRACE_EVENT_BYTES])
{
	enum lina_class cls = (enum lina_class)e->cls;

	return snprintf(text, LINA_TRACE_EVENT_BYTES, HEAD ",\"ph\":\"X\",\"dur\":" TIME "}",
		HEAD_OF("hold"), TIME_OF(e->end_ns - e->begin_ns));
}

static int instant_format(const struct lina_trace_event *e, const struct lina_trace_names *names,
	const char *name, char text[LINA_TRACE_EVENT_BYTES])
{
	enum lina_class cls = (enum lina_class)e->cls;

	return snprintf(text, LINA_TRACE_EVENT_BYTES,
		HEAD ",\"ph\":\"i\",\"s\":\"t\",\"args\":{\"bytes\":%" PRIu64 "}}", HEAD_OF(name),
		e->bytes);
}

/* A counter is known by its name within its process, so that the name has the track's. */
static int counter_format(const struct lina_trace_event *e, const struct lina_trace_names *names,
	char text[LINA_TRACE_EVENT_BYTES])
{
	enum lina_class cls = (enum lina_class)e->cls;
	char track[LINA_TRACE_NAME_BYTES * 2];
	char name[LINA_TRACE_NAME_BYTES * 2 + 32];

	(void)snprintf(name, sizeof(name), "%s %s",
		lina_trace_escape(names->track ? names->track : "", track, sizeof(track)),
		cls == LINA_CLASS_LATENCY ? "latency queued" : "bulk below");
	return snprintf(text, LINA_TRACE_EVENT_BYTES,
		HEAD ",\"ph\":\"C\",\"args\":{\"bytes\":%" PRIu64 "}}", HEAD_OF(name), e->bytes);
}

size_t lina_trace_format(const struct lina_trace_event *event, const struct lina_trace_names *names,
	char text[LINA_TRACE_EVENT_BYTES])
{
	int n = 0;

	if (event->cls >= LINA_NCLASSES)
		return 0;
	bool backwards = event->end_ns < event->begin_ns;
	switch (event->kind) {
	case LINA_TRACE_REQUEST:
		n = backwards ? 0 : request_format(event, names, text);
		break;
	case LINA_TRACE_HOLD:
		n = backwards ? 0 : hold_format(event, names, text);
		break;
	case LINA_TRACE_GRANT:
		n = instant_format(
			event, names, event->dir == LINA_DIR_SEND ? "chunk" : "grant", text);
		break;
	case LINA_TRACE_BOUND:
		n = instant_format(event, names, bound_name(event), text);
		break;
	case LINA_TRACE_LEVEL:
		n = counter_format(event, names, text);
		break;
	default:
		break;
	}
	return n > 0 && n < LINA_TRACE_EVENT_BYTES ? (size_t)n : 0;
}

size_t lina_trace_format_track(
	int pid, uint16_t track, const char *name, char text[LINA_TRACE_EVENT_BYTES])
{
	char escaped[LINA_TRACE_NAME_BYTES * 2];
	int n = snprintf(text, LINA_TRACE_EVENT_BYTES,
		"{\"pid\":%d,\"tid\":%u,\"ph\":\"M\",\"name\":\"thread_name\","
		"\"args\":{\"name\":\"%s\"}}",
		pid, track, lina_trace_escape(name, escaped, sizeof(escaped)));

	return n > 0 && n < LINA_TRACE_EVENT_BYTES ? (size_t)n : 0;
}
