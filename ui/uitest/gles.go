package uitest

/*
#cgo pkg-config: egl glesv2
#include <stdlib.h>
#include <EGL/egl.h>
#include <GLES2/gl2.h>

typedef struct {
	EGLDisplay display;
	EGLContext context;
	GLuint frame, program, target, texture;
	int width, height;
} bare;

static EGLBoolean current(bare *b, EGLContext context) {
	EGLSurface read = EGL_NO_SURFACE, draw = EGL_NO_SURFACE;
	return eglMakeCurrent(b->display, draw, read, context);
}

static GLuint shader(GLenum kind, const char *text) {
	GLuint s = glCreateShader(kind);
	glShaderSource(s, 1, &text, NULL);
	glCompileShader(s);
	return s;
}

static GLuint texture(void) {
	GLuint t;
	glGenTextures(1, &t);
	glBindTexture(GL_TEXTURE_2D, t);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_LINEAR);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_LINEAR);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_WRAP_S, GL_CLAMP_TO_EDGE);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_WRAP_T, GL_CLAMP_TO_EDGE);
	return t;
}

// open returns 0, or the number of the step that failed.
static int bare_open(bare *b, int tw, int th) {
	b->display = eglGetDisplay(EGL_DEFAULT_DISPLAY);
	if (b->display == EGL_NO_DISPLAY || !eglInitialize(b->display, NULL, NULL)) return 1;
	EGLint want[] = {EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_NONE};
	EGLConfig config;
	EGLint n = 0;
	if (!eglChooseConfig(b->display, want, &config, 1, &n) || n < 1) return 2;
	eglBindAPI(EGL_OPENGL_ES_API);
	EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE};
	b->context = eglCreateContext(b->display, config, EGL_NO_CONTEXT, version);
	if (b->context == EGL_NO_CONTEXT || !current(b, b->context)) return 3;
	b->target = texture();
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, b->width, b->height, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glGenFramebuffers(1, &b->frame);
	glBindFramebuffer(GL_FRAMEBUFFER, b->frame);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, b->target, 0);
	if (glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE) return 4;
	b->texture = texture();
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, tw, th, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	b->program = glCreateProgram();
	glAttachShader(b->program, shader(GL_VERTEX_SHADER,
		"attribute vec2 at; varying vec2 uv; void main() { uv = at * 0.5 + 0.5; gl_Position = vec4(at, 0.0, 1.0); }"));
	glAttachShader(b->program, shader(GL_FRAGMENT_SHADER,
		"precision mediump float; varying vec2 uv; uniform sampler2D image; void main() { gl_FragColor = texture2D(image, uv); }"));
	glBindAttribLocation(b->program, 0, "at");
	glLinkProgram(b->program);
	GLint linked = 0;
	glGetProgramiv(b->program, GL_LINK_STATUS, &linked);
	if (!linked) return 5;
	current(b, EGL_NO_CONTEXT);
	return 0;
}

static int bare_draw(bare *b, const void *pixels, int tw, int th) {
	static const GLfloat corners[] = {-1, -1, 1, -1, -1, 1, 1, 1};
	if (!current(b, b->context)) return 1;
	glBindFramebuffer(GL_FRAMEBUFFER, b->frame);
	glViewport(0, 0, b->width, b->height);
	glUseProgram(b->program);
	glBindTexture(GL_TEXTURE_2D, b->texture);
	glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, tw, th, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	glEnableVertexAttribArray(0);
	glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, 0, corners);
	glDrawArrays(GL_TRIANGLE_STRIP, 0, 4);
	glFinish();
	int failed = glGetError() != GL_NO_ERROR;
	current(b, EGL_NO_CONTEXT);
	return failed;
}

// The colour of one pixel, counted from the lower left corner.
static void bare_pixel(bare *b, int x, int y, unsigned char *rgba) {
	current(b, b->context);
	glBindFramebuffer(GL_FRAMEBUFFER, b->frame);
	glReadPixels(x, y, 1, 1, GL_RGBA, GL_UNSIGNED_BYTE, rgba);
	current(b, EGL_NO_CONTEXT);
}

// The display stays: others in the process use it, too.
static void bare_close(bare *b) { eglDestroyContext(b->display, b->context); }
*/
import "C"

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"runtime"
	"unsafe"
)

// A Bare is the least that can show a picture through the same driver as the
// screens: OpenGL ES, one texture, uploaded and drawn over all of a target with
// a linear filter. It is what a frame of theirs is compared with.
type Bare struct{ c C.bare }

// OpenBare returns a target of the given size for pictures of another. A
// Renderer must be open for as long.
func OpenBare(target, picture image.Point) (*Bare, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := &Bare{c: C.bare{width: C.int(target.X), height: C.int(target.Y)}}
	if step := C.bare_open(&b.c, C.int(picture.X), C.int(picture.Y)); step != 0 {
		return nil, fmt.Errorf("open bare OpenGL ES: step %d failed", step)
	}
	return b, nil
}

// Draw uploads and draws a picture, and waits until it is drawn.
func (b *Bare) Draw(m *image.RGBA) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if C.bare_draw(&b.c, unsafe.Pointer(unsafe.SliceData(m.Pix)), C.int(m.Rect.Dx()), C.int(m.Rect.Dy())) != 0 {
		return errors.New("draw by bare OpenGL ES")
	}
	return nil
}

// At returns a pixel of what was drawn last.
func (b *Bare) At(p image.Point) color.RGBA {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var px [4]C.uchar
	C.bare_pixel(&b.c, C.int(p.X), C.int(p.Y), &px[0])
	return color.RGBA{uint8(px[0]), uint8(px[1]), uint8(px[2]), uint8(px[3])}
}

// Close frees the target.
func (b *Bare) Close() { C.bare_close(&b.c) }
