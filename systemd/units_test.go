package systemd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tool runs one of systemd's programs and returns what it said and whether it
// was content.
func tool(t *testing.T, name string, args ...string) (said string, ok bool) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed to judge the units: apt-get install systemd", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if _, failed := err.(*exec.ExitError); err != nil && !failed { //nolint:errorlint // as Run documents it
		t.Fatal(err)
	}
	return out.String(), err == nil
}

// install copies the units to a folder of their own, as they would be
// installed, changed by change, and with a program that exists here in place
// of the daemon and of its command line. It returns the path of the daemon's
// unit.
func install(t *testing.T, dropIns bool, change func(name, text string) string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("units")); err != nil {
		t.Fatal(err)
	}
	if !dropIns {
		for _, name := range []string{"kioskd.service.d", "kioskd-display.service.d"} {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	program := regexp.MustCompile(`(?m)^(Exec(?:Start|StopPost))=/usr/bin/(kioskd|kioskctl|cage)\b`)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, more...) {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a folder
		}
		text := program.ReplaceAllString(string(b), "$1=/bin/true")
		if change != nil {
			text = change(filepath.Base(f), text)
		}
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "kioskd.service")
}

func verify(t *testing.T, unit string) (said string, ok bool) {
	t.Helper()
	said, ok = tool(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit)
	return said, ok && said == ""
}

func TestSystemdAcceptsTheUnits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		dropIns bool
	}{
		{"as installed on a board with a GPU", false},
		{"with the drop-ins for software rendering and the device key", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			unit := install(t, tt.dropIns, nil)
			for _, name := range []string{
				"kioskd.service", "kioskd-camera-reset.path", "kioskd-camera-reset.service", "kioskd-health.service", "kioskd-display.service",
				"kioskd-update.service", "kioskd-update.timer", "kioskd-restart.service", "kioskd-volume.service", "kioskd-modules.service",
			} {
				if said, ok := verify(t, filepath.Join(filepath.Dir(unit), name)); !ok {
					t.Errorf("systemd-analyze verify %s:\n%s", name, said)
				}
			}
		})
	}
}

// TestRAUCKeepsItsTrial has RAUC's handler write where systemd made a folder: no
// unit that does so runs on its boards.
func TestRAUCKeepsItsTrial(t *testing.T) {
	root := t.TempDir()
	conf, err := os.ReadFile("tmpfiles.d/kioskd.conf")
	if err != nil {
		t.Fatal(err)
	}
	// Whoever runs the test owns what is made.
	mine := filepath.Join(root, "kioskd.conf")
	if err := os.WriteFile(mine, bytes.ReplaceAll(conf, []byte("root root"), []byte("- -")), 0o600); err != nil { //nolint:dupword // user and group
		t.Fatal(err)
	}
	if said, ok := tool(t, "systemd-tmpfiles", "--create", "--root="+root, mine); !ok {
		t.Fatal(said)
	}
	if err := os.WriteFile(filepath.Join(root, "systemctl"), []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	handler, err := os.ReadFile("rauc/rauc-post-install")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(string(handler), "/var/lib/", root+"/var/lib/")) //nolint:gosec // its own
	cmd.Env = []string{"PATH=" + root + ":/usr/bin:/bin", "RAUC_TARGET_SLOTS=2", "RAUC_SLOT_BOOTNAME_2=B"}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	if trial, err := os.ReadFile(filepath.Join(root, "var/lib/kioskd-update/trial")); err != nil || string(trial) != "B\n" {
		t.Errorf("on trial is %q, %v", trial, err)
	}
}

// TestVerifyCanFail shows that the test above would notice.
func TestVerifyCanFail(t *testing.T) {
	for _, tt := range []struct{ name, file, old, new string }{
		{"an unknown key", "kioskd.service", "Type=notify\n", "Type=notify\nFoo=bar\n"},
		{"a time that is none", "kioskd.service", "WatchdogSec=10", "WatchdogSec=ten"},
		{"an unknown group of system calls", "kioskd.service", "@raw-io", "@rawio"},
		{"a program that does not exist", "kioskd.service", "/bin/true", "/nonexistent/kioskd"},
		{"an unknown section", "kioskd.service", "[Service]", "[Servce]"},
		{"an unknown key in a drop-in", "software-rendering.conf", "MemoryDenyWriteExecute", "MemoryDenyWriteExecutive"},
		{"a credential that can have no such name", "device-key.conf", "[Service]\nLoadCredentialEncrypted=device.key", "[Service]\nLoadCredentialEncrypted=../device.key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := false
			unit := install(t, true, func(name, text string) string {
				if name != tt.file {
					return text
				}
				changed = changed || strings.Contains(text, tt.old)
				return strings.Replace(text, tt.old, tt.new, 1)
			})
			if !changed {
				t.Fatalf("%s has no %q to break", tt.file, tt.old)
			}
			if said, ok := verify(t, unit); ok {
				t.Errorf("systemd-analyze verify accepts %s, and says %q", tt.name, said)
			}
		})
	}
}

// TestTheSandboxHolds bounds systemd's exposure level: 0 is closed, 10 open.
func TestTheSandboxHolds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		dropIns bool
	}{
		{"as installed on a board with a GPU", false},
		{"with the drop-ins for software rendering and the device key", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			unit := install(t, tt.dropIns, nil)
			for _, name := range []string{"kioskd.service", "kioskd-display.service"} {
				said, ok := tool(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=15", filepath.Join(filepath.Dir(unit), name))
				if !ok {
					t.Errorf("exposure above 1.5:\n%s", said)
				}
			}
		})
	}
	reset := filepath.Join(filepath.Dir(install(t, false, nil)), "kioskd-camera-reset.service")
	if said, ok := tool(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=30", reset); !ok { // it is root
		t.Errorf("exposure above 3.0:\n%s", said)
	}
	health := filepath.Join(filepath.Dir(reset), "kioskd-health.service")
	if said, ok := tool(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=15", health); !ok {
		t.Errorf("exposure above 1.5:\n%s", said)
	}
}

// TestWhatTheUnitPromises holds the lines that the product's guarantees stand
// on and that no tool of systemd's would miss.
func TestWhatTheUnitPromises(t *testing.T) {
	b, err := os.ReadFile("units/kioskd.service")
	if err != nil {
		t.Fatal(err)
	}
	for line, why := range map[string]string{
		"Type=notify":                           "the daemon says when it is ready",
		"WatchdogSec=10":                        "a hung part ends in a restart",
		"Restart=always":                        "it always comes up",
		"RestartPreventExitStatus=78 243":       "neither a bad config nor a credential that does not decrypt is retried, or ends in a reboot",
		"LimitCORE=0":                           "no face in a core dump",
		"Environment=GODEBUG=asyncpreemptoff=1": "no face in registers that a signal saves",
		"MemorySwapMax=0":                       "no face in swap",
		"UMask=0077":                            "what it writes is its own",
		"StateDirectoryMode=0700":               "the outbox is its own",
		"User=kiosk":                            "it never runs as root",
	} {
		if !strings.Contains("\n"+string(b), "\n"+line+"\n") {
			t.Errorf("kioskd.service lacks %s: %s", line, why)
		}
	}
}

// TestTheDaemonFindsTheDisplay holds the compositor's socket, its group and the
// daemon's drop-in together, and that neither takes the other along.
func TestTheDaemonFindsTheDisplay(t *testing.T) {
	for file, lines := range map[string][]string{
		"kioskd-display.service":        {"RuntimeDirectory=kioskd-display", "RuntimeDirectoryMode=0750", "User=kiosk-display", "Group=kiosk", "UMask=0007", "Restart=always", "StartLimitIntervalSec=0"},
		"kioskd.service.d/display.conf": {"Wants=kioskd-display.service", "After=kioskd-display.service", "Environment=WAYLAND_DISPLAY=/run/kioskd-display/wayland-0", "Environment=EGL_PLATFORM=wayland"},
		"kioskd.service":                {"User=kiosk", "Group=kiosk-staff", "SupplementaryGroups=video render gpio audio kiosk"},
	} {
		b, err := os.ReadFile(filepath.Join("units", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains("\n"+string(b), "\n"+line+"\n") {
				t.Errorf("%s lacks %s", file, line)
			}
		}
		for _, key := range []string{"Requires=", "BindsTo=", "PartOf="} {
			if strings.Contains("\n"+string(b), "\n"+key) {
				t.Errorf("%s has %s", file, key)
			}
		}
	}
}

// TestTheRequestForAResetIsFound holds the daemon's folder and the two units
// together: the daemon writes camera-reset into its runtime directory.
func TestTheRequestForAResetIsFound(t *testing.T) {
	for file, lines := range map[string][]string{
		"kioskd.service":              {"RuntimeDirectory=kioskd", "Wants=kioskd-camera-reset.path"},
		"kioskd-camera-reset.path":    {"PathExists=/run/kioskd/camera-reset"},
		"kioskd-camera-reset.service": {"Type=oneshot", "ExecStart=/usr/bin/kioskctl camera reset --request /run/kioskd/camera-reset", "ReadWritePaths=/run/kioskd"},
	} {
		b, err := os.ReadFile(filepath.Join("units", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains("\n"+string(b), "\n"+line+"\n") {
				t.Errorf("%s lacks %s", file, line)
			}
		}
	}
}

// TestTheGateStandsBeforeAGoodBoot holds what no tool would miss. A gate that
// required the daemon would run, and switch the camera on, whenever that is
// restarted; one that rebooted would do so for ever where a camera is broken.
func TestTheGateStandsBeforeAGoodBoot(t *testing.T) {
	b, err := os.ReadFile("units/kioskd-health.service")
	if err != nil {
		t.Fatal(err)
	}
	text := "\n" + string(b)
	for _, line := range []string{"Before=boot-complete.target", "RequiredBy=boot-complete.target", "After=kioskd.service", "Type=oneshot", "RemainAfterExit=yes"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("kioskd-health.service lacks %s", line)
		}
	}
	for _, key := range []string{"Requires=", "BindsTo=", "FailureAction=", "Restart="} {
		if strings.Contains(text, "\n"+key) {
			t.Errorf("kioskd-health.service has %s", key)
		}
	}
}

// TestTheVolumeKeepsNothingFromStarting holds what no tool would miss: that nothing
// requires the data partition, and that it is mounted for everybody.
func TestTheVolumeKeepsNothingFromStarting(t *testing.T) {
	for file, lines := range map[string][]string{
		"units/kioskd-volume.service": {
			"DefaultDependencies=no", "Before=local-fs.target var.mount", "Type=oneshot", "RemainAfterExit=yes", "RuntimeDirectory=kioskd-volume", "RuntimeDirectoryPreserve=yes",
			"ExecStopPost=/usr/bin/kioskctl volume fallback", "TimeoutStartSec=20min", "WantedBy=local-fs.target",
		},
		"../buildroot/board/common/var.mount": {"Wants=kioskd-volume.service", "After=kioskd-volume.service", "What=/run/kioskd-volume/volume", "Where=/var", "Options=bind"},
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := "\n" + string(b)
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s lacks %s", file, line)
			}
		}
		for _, key := range []string{"Requires=", "BindsTo=", "RequiredBy=", "PrivateTmp=", "ProtectSystem=", "ProtectHome=", "PrivateMounts=", "PrivateDevices=", "ProtectKernel", "ProtectControlGroups=", "ProtectProc="} {
			if strings.Contains(text, "\n"+key) {
				t.Errorf("%s has %s", file, key)
			}
		}
	}
	mount, err := os.ReadFile("../buildroot/board/common/var.mount")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(filepath.Dir(install(t, false, nil)), "var.mount")
	if err := os.WriteFile(unit, mount, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, ok := verify(t, unit); !ok {
		t.Errorf("systemd-analyze verify var.mount:\n%s", said)
	}
}

// TestSysusersMakesWhatTheUnitNeeds creates the user and groups in an empty
// root and looks for those that the unit names.
func TestSysusersMakesWhatTheUnitNeeds(t *testing.T) {
	conf, err := filepath.Abs("sysusers.d/kioskd.conf")
	if err != nil {
		t.Fatal(err)
	}
	said, ok := tool(t, "systemd-sysusers", "--dry-run", "--root="+t.TempDir(), conf)
	if !ok {
		t.Fatalf("systemd-sysusers:\n%s", said)
	}
	for _, want := range []string{"user 'kiosk'", "user 'kiosk-display'", "group 'kiosk'", "group 'video'", "group 'render'", "group 'gpio'", "group 'kiosk-staff'"} {
		if !strings.Contains(said, want) {
			t.Errorf("systemd-sysusers makes no %s:\n%s", want, said)
		}
	}
}

// TestTheChipsAreOfAGroupThatTheUnitIsIn holds the rule, the unit and the
// groups together: each alone is right without the others.
func TestTheChipsAreOfAGroupThatTheUnitIsIn(t *testing.T) {
	for file, want := range map[string]string{
		"rules.d/60-kioskd.rules": "\nSUBSYSTEM==\"gpio\", KERNEL==\"gpiochip*\", GROUP=\"gpio\", MODE=\"0660\"\n",
		"units/kioskd.service":    "\nSupplementaryGroups=video render gpio audio kiosk\n",
		"sysusers.d/kioskd.conf":  "\ng gpio        -\n",
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %q", file, want)
		}
	}
	b, err := os.ReadFile("units/kioskd.service")
	if err != nil || !strings.Contains(string(b), "\nDeviceAllow=char-gpiochip rw\n") {
		t.Errorf("the unit may not open GPIO chips, %v", err)
	}
}
