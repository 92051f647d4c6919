// Calls of TurboJPEG 2.1 that return their results by value, so that no Go
// variable has to move to the heap for them.

#include <malloc.h>
#include <string.h>
#include <turbojpeg.h>

typedef struct {
	int width, height, colorspace, rc;
} kiosk_info;

static kiosk_info kiosk_header(tjhandle h, const unsigned char *src, unsigned long n)
{
	kiosk_info i = {0, 0, 0, 0};
	int subsampling;

	i.rc = tjDecompressHeader3(h, src, n, &i.width, &i.height, &subsampling, &i.colorspace);
	return i;
}

// kiosk_padded tells whether what went wrong is harmless. The library keeps the
// text of the first warning only. Cameras often leave padding before the end
// marker; where that is the first warning, all of the image had been read
// without one.
static int kiosk_padded(tjhandle h, int flags)
{
	return tjGetErrorCode(h) == TJERR_WARNING && !(flags & TJFLAG_STOPONWARNING) &&
	       strstr(tjGetErrorStr2(h), "extraneous bytes before marker 0xd9") != NULL;
}

// kiosk_decode returns 0 for an image that decoded without damage.
static int kiosk_decode(tjhandle h, const unsigned char *src, unsigned long n,
			unsigned char *dst, int width, int height, int flags)
{
	int rc = tjDecompress2(h, src, n, dst, width, 4 * width, height, TJPF_RGBA, flags);

	return rc != 0 && kiosk_padded(h, flags) ? 0 : rc;
}

typedef struct {
	unsigned long n;
	int rc;
} kiosk_jpeg;

static kiosk_jpeg kiosk_encode(tjhandle h, const unsigned char *src, int width, int pitch, int height,
			       unsigned char *dst, unsigned long n, int subsampling, int quality)
{
	kiosk_jpeg j = {n, 0};

	j.rc = tjCompress2(h, src, width, pitch, height, TJPF_RGBA, &dst, &j.n, subsampling, quality,
			   TJFLAG_NOREALLOC);
	return j;
}

// kiosk_turn is judged as kiosk_decode.
static kiosk_jpeg kiosk_turn(tjhandle h, const unsigned char *src, unsigned long size,
			     unsigned char *dst, unsigned long n, int op, int flags)
{
	kiosk_jpeg j = {n, 0};
	tjtransform t;

	memset(&t, 0, sizeof(t));
	t.op = op;
	t.options = TJXOPT_TRIM | TJXOPT_COPYNONE;
	j.rc = tjTransform(h, src, size, 1, &dst, &j.n, &t, flags | TJFLAG_NOREALLOC);
	if (j.rc != 0 && kiosk_padded(h, flags))
		j.rc = 0;
	return j;
}

// kiosk_luma_row is written so that compilers make vectors of it: the sums are of 16
// bits and do not overflow, 256 * 255 + 128.
static void kiosk_luma_row(unsigned char *restrict dst, const unsigned char *restrict src, int n)
{
	int i;

	for (i = 0; i < n; i++)
		dst[i] = (unsigned short)(77 * src[4 * i] + 150 * src[4 * i + 1] + 29 * src[4 * i + 2] + 128) >> 8;
}

static void kiosk_luma(unsigned char *dst, int to, const unsigned char *src, int from, int width, int height)
{
	int y;

	for (y = 0; y < height; y++)
		kiosk_luma_row(dst + (long)y * to, src + (long)y * from, width);
}

// kiosk_erase_freed sets every byte of freed memory to 0xff, and that of new
// memory to the complement: 0.
static int kiosk_erase_freed(void)
{
#ifdef M_PERTURB
	return mallopt(M_PERTURB, 0xff);
#else
	return 0;
#endif
}
