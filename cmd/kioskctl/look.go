package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// themeDocument reads a theme's file for a launch, which has its logos in it: those
// beside the file are put there. What is wrong with it the daemon tells.
func themeDocument(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		return "", usage("--theme-file: %w", err)
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(doc, &top) != nil || top == nil {
		return "", usage("--theme-file: %s is no JSON object", path)
	}
	var logos map[string]string
	if json.Unmarshal(top["logo"], &logos) != nil {
		return string(doc), nil // there is none, or it is none
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return "", usage("--theme-file: %w", err)
	}
	defer dir.Close()
	for scheme, name := range logos {
		if strings.HasPrefix(name, "data:") {
			continue
		}
		png, bad := dir.ReadFile(filepath.FromSlash(name))
		if bad != nil {
			return "", usage("--theme-file: logo.%s: %w", scheme, bad)
		}
		logos[scheme] = "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)
	}
	if top["logo"], err = json.Marshal(logos); err == nil {
		doc, err = json.Marshal(top)
	}
	return string(doc), err
}
