package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/jpeg"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/inference/inferencetest"
	"livekiosk/inference/models"
)

func TestWrongUsageIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an address that others can reach": {[]string{"-listen", "0.0.0.0:0"}, exitUsage, "not a loopback address"},
		"a name instead of an address":     {[]string{"-listen", "example.com:80"}, exitUsage, "not a loopback address"},
		"no port":                          {[]string{"-listen", "127.0.0.1"}, exitUsage, "-listen"},
		"a TLS address for all":            {[]string{"-partner-tls-listen", "0.0.0.0:0"}, exitUsage, "-partner-tls-listen"},
		"a callback method":                {[]string{"-callback-method", "GET"}, exitUsage, "-callback-method"},
		"no silence":                       {[]string{"-fallback-after", "0"}, exitUsage, "-fallback-after"},
		"a bad fault":                      {[]string{"-faults", "urls=maybe"}, exitUsage, "-faults"},
		"an unknown flag":                  {[]string{"-x"}, exitUsage, "-x"},
		"an argument":                      {[]string{"now"}, exitUsage, "now"},
		"help":                             {[]string{"-h"}, exitOK, "-no-face-check"},
		"no models":                        {[]string{"-listen", "127.0.0.1:0", "-models", t.TempDir()}, exitFault, "-no-face-check"},
		"a port that is taken":             {[]string{"-listen", "127.0.0.1:1x", "-no-face-check"}, exitFault, "listen"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, log bytes.Buffer
			if code := run(t.Context(), tt.args, &out, &log); code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, log.String())
			}
			if !strings.Contains(log.String(), tt.says) || out.Len() > 0 {
				t.Errorf("said %q and %q, want %q", out.String(), log.String(), tt.says)
			}
		})
	}
}

func TestItServesUntilItIsAskedToStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, w := io.Pipe()
	var log bytes.Buffer
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"-listen", "127.0.0.1:0", "-no-face-check"}, w, &log) }()
	var ready struct{ Address, Gateway, Partner string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	if ready.Gateway != "http://"+ready.Address || ready.Partner != ready.Gateway+"/partner" {
		t.Errorf("ready: %+v", ready)
	}
	resp, err := http.Get(ready.Gateway + "/sim/events?follow=1") // one who stays to the end
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	stop()
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d, want 0: %s", c, log.String())
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("who follows the events was waited for and then cut off: %v", err)
	}
	if !strings.Contains(log.String(), "NO FACE CHECK") {
		t.Errorf("it does not say that it checks no faces: %s", log.String())
	}
}

func TestTheFaceCheckTellsAPersonFromAPrint(t *testing.T) {
	c, err := newChecker(t.Context(), models.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	person, err := inferencetest.Load(filepath.Join("..", "..", "camera", "replay", "portraits", "grace_hopper.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(name string) []byte {
		img := person
		switch name {
		case "a print":
			img = inferencetest.Print(person, 1)
		case "no face":
			img = inferencetest.Plain(person.Rect.Size(), 128)
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, want := range map[string]struct {
		faces int
		live  bool
	}{"a person": {1, true}, "a print": {1, false}, "no face": {0, false}} {
		img := encode(name)
		before := bytes.Clone(img)
		face, err := c.check(t.Context(), img)
		if err != nil || face.Faces != want.faces || (face.Live >= 0.5) != want.live {
			t.Errorf("%s: %+v, %v; want %d faces, live: %t", name, face, err, want.faces, want.live)
		}
		if !bytes.Equal(img, before) {
			t.Errorf("%s: the check changed the image", name)
		}
	}
	if _, err := c.check(t.Context(), []byte("no image")); err == nil {
		t.Error("what is no image passes")
	}
}
