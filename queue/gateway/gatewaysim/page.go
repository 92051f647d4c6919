package gatewaysim

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.yaml
var openapi []byte

//go:embed page.css
var css []byte

func (s *Sim) page(w http.ResponseWriter, _ *http.Request)       {}
func (s *Sim) pageFaults(w http.ResponseWriter, r *http.Request) {}
func (s *Sim) style(w http.ResponseWriter, _ *http.Request)      { _, _ = w.Write(css) }
func (s *Sim) document(w http.ResponseWriter, _ *http.Request)   { _, _ = w.Write(openapi) }
func (s *Sim) showImage(w http.ResponseWriter, r *http.Request)  {}
