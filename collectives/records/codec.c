#include "collectives/records/codec.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* --- plain --- */

static bool plain_knows(const unsigned char *bytes, size_t n)
{
	(void)bytes;
	(void)n;
	return true;
}

static void *plain_open(void)
{
	return malloc(1);
}

static const char *plain_step(void *state, struct lina_codec_step *s, bool *whole_p)
{
	size_t n = s->nin < s->nout ? s->nin : s->nout;

	(void)state;
	memcpy(s->out, s->in, n);
	s->in += n;
	s->nin -= n;
	s->out += n;
	s->nout -= n;
	*whole_p = true;
	return NULL;
}

/* --- gzip --- */

/* A file may be several that follow one another (RFC 1952, 2.2). */
struct gzip {
	z_stream z;
	bool between; /* two of them, or before the first */
};

static bool gzip_knows(const unsigned char *bytes, size_t n)
{
	return n >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

static void *gzip_open(void)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) {
		free(g);
		return NULL;
	}
	g->between = true;
	return g;
}

static const char *gzip_step(void *state, struct lina_codec_step *s, bool *whole_p)
{
	struct gzip *g = state;
	int said = Z_OK;

	g->z.next_in = (z_const Bytef *)s->in;
	g->z.avail_in = (uInt)s->nin;
	g->z.next_out = (Bytef *)s->out;
	g->z.avail_out = (uInt)s->nout;
	while (g->z.avail_in && g->z.avail_out && said == Z_OK) {
		g->between = false;
		said = inflate(&g->z, Z_NO_FLUSH);
		if (said == Z_STREAM_END) {
			g->between = true;
			said = inflateReset(&g->z);
		}
	}
	/* What inflate holds back for want of room comes without new input. */
	if (!g->z.avail_in && g->z.avail_out && !g->between && said == Z_OK) {
		said = inflate(&g->z, Z_NO_FLUSH);
		g->between = said == Z_STREAM_END;
		if (said == Z_STREAM_END)
			said = inflateReset(&g->z);
	}
	s->in = (const char *)g->z.next_in;
	s->nin = g->z.avail_in;
	s->out = (char *)g->z.next_out;
	s->nout = g->z.avail_out;
	*whole_p = g->between;
	return said == Z_OK || said == Z_BUF_ERROR ? NULL : g->z.msg ? g->z.msg : "damaged data";
}

static void gzip_close(void *state)
{
	struct gzip *g = state;

	(void)inflateEnd(&g->z);
	free(g);
}

/* --- zstd --- */

struct zstd {
	ZSTD_DCtx *context;
	bool whole;
};

static bool zstd_knows(const unsigned char *bytes, size_t n)
{
	return n >= 4 && bytes[0] == 0x28 && bytes[1] == 0xb5 && bytes[2] == 0x2f &&
	       bytes[3] == 0xfd;
}

static void *zstd_open(void)
{
	struct zstd *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->context = ZSTD_createDCtx();
	if (!z->context) {
		free(z);
		return NULL;
	}
	return z;
}

static const char *zstd_step(void *state, struct lina_codec_step *s, bool *whole_p)
{
	struct zstd *z = state;
	ZSTD_inBuffer in = { .src = s->in, .size = s->nin };
	ZSTD_outBuffer out = { .dst = s->out, .size = s->nout };
	size_t said = ZSTD_decompressStream(z->context, &out, &in);

	s->in += in.pos;
	s->nin -= in.pos;
	s->out += out.pos;
	s->nout -= out.pos;
	/* Asked again with nothing left to do, it says what a frame to come would need. */
	if (in.pos || out.pos)
		z->whole = said == 0;
	*whole_p = z->whole;
	return ZSTD_isError(said) ? ZSTD_getErrorName(said) : NULL;
}

static void zstd_close(void *state)
{
	struct zstd *z = state;

	(void)ZSTD_freeDCtx(z->context);
	free(z);
}

const struct lina_codec *lina_codec_find(const unsigned char *bytes, size_t n)
{
	static const struct lina_codec codecs[] = {
		{ "gzip", gzip_knows, gzip_open, gzip_step, gzip_close },
		{ "zstd", zstd_knows, zstd_open, zstd_step, zstd_close },
		{ "plain", plain_knows, plain_open, plain_step, free },
	};
	const struct lina_codec *codec = codecs;

	while (!codec->knows(bytes, n))
		codec++;
	return codec;
}
