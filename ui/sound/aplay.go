package sound

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// ALSA plays clips by aplay of alsa-utils, the player that the sound system
// itself brings. A library would need cgo, or know the kernel's interface
// without the mixing that ALSA's configuration adds.
type ALSA struct {
	Device string // as aplay -L lists it; "": the default one
}

// Play implements Sink.
func (a ALSA) Play(ctx context.Context, wav []byte) error {
	args := []string{"-q", "-"}
	if a.Device != "" {
		args = append([]string{"-D", a.Device}, args...)
	}
	cmd := exec.CommandContext(ctx, "aplay", args...)
	cmd.Stdin = bytes.NewReader(wav)
	if out, err := cmd.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("aplay: %w: %s", err, first)
	}
	return nil
}
