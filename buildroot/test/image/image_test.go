//go:build image

// The tests of this file run the emulated board that make image makes: see
// README.md, and make image-guest. They need root for that alone.
package image_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
	"livekiosk/queue/seal"
)

var (
	made = flag.String("image", "../../../out/image", "the folder that make image made")
	cuts = flag.Int("cuts", 3, "power cuts")
	long = flag.Bool("long", false, "have the good version refused also where a file of it is cut short")
	seed = flag.Uint64("seed", 0, "of the moments of the cuts; 0 draws one")
)

// captures is how many wait in the outbox from before the first start.
const captures = 2

// exposure is what systemd-analyze security may say of the unit, of 10.
const exposure = 1.5

func TestImage(t *testing.T) {
	out, err := filepath.Abs(*made)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(out, "boards"), 0o755); err != nil {
		t.Fatal(err)
	}
	first := newBoard(t, filepath.Join(out, "boards", "first"))
	sent := furnish(t, first, out)
	first.start()
	first.ready()
	for name, do := range map[string]func(*board){
		"boots to READY=1 with its camera, and is healthy":                         healthy,
		"was handed its device key, encrypted it, and opens the outbox with it":    keyed,
		"keeps the daemon in its sandbox, and systemd finds nothing wrong with it": sandboxed,
	} {
		t.Run(name, func(tt *testing.T) {
			first.t = tt
			defer func() { first.t = t }()
			do(first)
		})
	}
	if t.Failed() {
		t.FailNow()
	}
	first.freeze()

	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	t.Run("from there", func(t *testing.T) {
		from := func(name, folder string, do func(*board)) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				do(first.fork(t, folder))
			})
		}
		from("a hung daemon is killed by the watchdog and comes back", "hung", hung)
		from("nobody gets past it by keys, and nobody can log in", "locked", locked)
		for n := range *cuts {
			name := fmt.Sprintf("power cut %d", n+1)
			from("boots into one whole version after "+name, strings.ReplaceAll(name, " ", "-"), func(b *board) {
				powerCut(b, out, rand.New(rand.NewPCG(*seed, uint64(n))))
			})
		}
		from("a good version is installed when nobody is there, and kept", "good", func(b *board) { good(b, out, sent) })
		from("a version whose daemon crashes is left after three tries", "bad", func(b *board) { bad(b, out, "3") })
	})
}

// furnish gives a board the disk that was made, with captures in its outbox, and
// returns the hashes of their images by correlation id.
func furnish(t *testing.T, b *board, out string) map[string]bool {
	t.Helper()
	dir := filepath.Join(b.dir, "kioskd")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(out, "device.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, "device.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Store{Dir: b.dir, Kind: seal.CredentialStore}.Open()
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(t.Context(), queue.Options{Path: filepath.Join(dir, "outbox.db"), Keys: keys, MaxRecords: 100, MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	for n := range captures {
		name := strconv.Itoa(n + 1)
		s := &kiosk.Submission{
			Record: kiosk.RecordID("record-" + name), Session: kiosk.SessionID("session-" + name), Attempt: 1, AttemptsLeft: 2,
			CorrelationID: "image-" + name, UserID: "visitor-" + name, UserIDType: "CUSTOMER_ID", Locale: kiosk.Indonesian,
			Images: map[kiosk.Document][]byte{}, Metadata: json.RawMessage(`{"capture":` + name + `}`),
		}
		for i, document := range kiosk.Documents() {
			picture := noise(t, uint64(n), uint64(i))
			sum := sha256.Sum256(picture)
			sent[hex.EncodeToString(sum[:])] = true
			s.Images[document] = picture
		}
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(b.dir, "disk.raw")
	tool(t, b.dir, "cp", "--sparse=always", filepath.Join(out, "disk.img"), raw)
	data := regexp.MustCompile(`start= *([0-9]+),.*name="data"`).FindStringSubmatch(tool(t, b.dir, "sfdisk", "-d", raw))
	if data == nil {
		t.Fatal("the disk has no data partition")
	}
	sector, err := strconv.Atoi(data[1])
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("mkdir lib/kioskd\ncd lib/kioskd\n")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		_, _ = fmt.Fprintf(&script, "write %s %s\n", filepath.Join("kioskd", file.Name()), file.Name())
	}
	if err := os.WriteFile(filepath.Join(b.dir, "script"), []byte(script.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	said := tool(t, b.dir, "debugfs", "-w", "-f", "script", fmt.Sprintf("disk.raw?offset=%d", sector*512))
	t.Logf("outbox: %s", strings.Join(strings.Fields(said), " "))
	tool(t, b.dir, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, "disk.qcow2")
	tool(t, b.dir, "cp", filepath.Join(out, "credential"), "credential")
	return sent
}

// noise returns a JPEG of a size that gateways take, the same each time.
func noise(t *testing.T, n, i uint64) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 480, 640))
	random := rand.New(rand.NewPCG(n, i))
	for p := range img.Pix {
		img.Pix[p] = uint8(random.Uint32())
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 20}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func healthy(b *board) {
	b.t.Logf("%s", b.run("systemd-analyze; systemctl show kioskd -p Type,NotifyAccess,WatchdogUSec,StatusText,User,MainPID,NRestarts,MemoryCurrent; kioskctl health --gate --timeout 4m"))
	if failed := b.run("systemctl --failed --plain --no-legend"); failed != "" {
		b.t.Errorf("failed units: %s", failed)
	}
	if v := b.version(); v != "1" {
		b.t.Errorf("version %s runs, want 1", v)
	}
}

func keyed(b *board) {
	b.t.Log(b.run(`ls -l /run/credentials/kioskd.service
systemctl cat kioskd | grep -x LoadCredentialEncrypted=device.key
journalctl --no-pager -b -u kioskd -o cat | grep -o '[^"]*device key is a credential[^"]*'`))
	if b.run("wc -c </etc/credstore.encrypted/device.key") == "0" {
		b.t.Error("the credential is empty")
	}
	waiting(b.t, b, captures)
}

// waiting wants so many captures in the outbox, and every part of them to open.
func waiting(t *testing.T, b *board, want int) {
	t.Helper()
	if got := len(regexp.MustCompile(`record-[0-9]+`).FindAllString(b.run("kioskctl queue"), -1)); got < want {
		t.Errorf("%d captures wait, want %d", got, want)
	}
	t.Logf("outbox: %s", b.run("kioskctl queue verify"))
}

func sandboxed(b *board) {
	said := b.run("systemd-analyze security --no-pager kioskd.service | tail -n 1")
	b.t.Log(said)
	found := regexp.MustCompile(`kioskd.service: ([0-9.]+)`).FindStringSubmatch(said)
	if found == nil {
		b.t.Fatal("no exposure level")
	}
	if level, err := strconv.ParseFloat(found[1], 64); err != nil || level > exposure {
		b.t.Errorf("exposure %s, want at most %.1f", found[1], exposure)
	}
	// There is no compositor in this image.
	if said, code, err := b.try("ls -d /usr/lib/systemd/system/kioskd*.* | grep -v display | xargs systemd-analyze verify --man=no"); code != 0 || err != nil || said != "" {
		b.t.Errorf("systemd-analyze verify: exit code %d, error %v: %s", code, err, said)
	}
	if pid1 := b.run("stat -c %U /proc/$(systemctl show -p MainPID --value kioskd)"); pid1 != "kiosk" {
		b.t.Errorf("the daemon runs as %s", pid1)
	}
}

func hung(b *board) {
	b.t.Log(b.run(`cut -d' ' -f1 /proc/uptime; kill -STOP $(systemctl show -p MainPID --value kioskd)`))
	b.await(60, `[ "$(systemctl show -p NRestarts --value kioskd)" = 1 ]`)
	b.ready()
	b.t.Log(b.run("cut -d' ' -f1 /proc/uptime; journalctl --no-pager -b -u kioskd -o short-monotonic | grep -i 'watchdog\\|Started\\|restart' | tail -n 6"))
	b.run("journalctl --no-pager -b -u kioskd | grep -q 'Watchdog timeout'")
	waiting(b.t, b, captures)
}

func locked(b *board) {
	const heard = `awk '/ i8042$/ {n += $2} END {print n + 0}' /proc/interrupts`
	before, silence := b.uptime(), b.run(heard)
	for range 9 { // seven within two seconds restart a board by force otherwise
		b.keys("ctrl", "alt", "delete")
	}
	b.keys("alt", "sysrq", "b")
	b.keys("alt", "sysrq", "c")
	b.keys("alt", "sysrq", "o")
	b.keys("ctrl", "alt", "f2")
	for _, key := range []string{"r", "o", "o", "t", "ret"} {
		b.keys(key)
	}
	b.await(5, "false || [ $(cut -d. -f1 /proc/uptime) -gt "+strconv.Itoa(int(before)+3)+" ]")
	if after := b.uptime(); after < before {
		b.t.Error("it started anew")
	}
	b.ready()
	if noise := b.run(heard); noise == silence {
		b.t.Errorf("none of the keys reached it: %s interrupts of the keyboard before and after", noise)
	} else {
		b.t.Logf("interrupts of the keyboard: %s, then %s; the terminal in front is %s", silence, noise, b.run("cat /sys/class/tty/tty0/active"))
	}
	for name, want := range map[string]string{
		"cat /proc/sys/kernel/sysrq":                                    "0",
		"cat /proc/sys/kernel/ctrl-alt-del":                             "0",
		"cat /proc/sys/kernel/core_pattern":                             "|/bin/false",
		"cat /proc/sys/kernel/kexec_load_disabled":                      "1",
		"sed 's/.*\\[\\(.*\\)\\].*/\\1/' /sys/kernel/security/lockdown": "integrity",
		// Whoever reads from a terminal or the serial console.
		"find /proc/[0-9]*/fd -lname '/dev/tty*' -o -lname /dev/console | cut -d/ -f3 | sort -u | grep -vx 1 || true":                                  "",
		"systemctl is-enabled ctrl-alt-del.target getty@.service serial-getty@.service debug-shell.service emergency.service rescue.service | sort -u": "masked",
		"systemctl start debug-shell.service rescue.service 2>&1 | grep -c masked":                                                                     "2",
		"awk -F: '$2 !~ /^[!*]/' /etc/shadow": "",
	} {
		if got, _, err := b.try(name); err != nil || got != want {
			b.t.Errorf("%s: %q, want %q (%v)", name, got, want, err)
		}
	}
}

// offered returns the folder of a version's server.
func offered(out, version string) string { return filepath.Join(out, "www", version) }

// files returns the paths of a version's files.
func files(t *testing.T, out, version, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(offered(out, version), pattern))
	if err != nil || len(all) == 0 {
		t.Fatalf("no %s of version %s: %v", pattern, version, err)
	}
	return all
}

// refuses has the board look for an update, and wants it to have nothing of it.
func (b *board) refuses(out, version, why string, other map[string][]byte) {
	b.t.Helper()
	b.server.offer(offered(out, version), other)
	said, code, err := b.try("kioskctl update apply --wait 10s")
	if err != nil || code != 69 {
		b.t.Errorf("%s: exit code %d, error %v: %s", why, code, err, said)
	}
	b.t.Logf("refused, %s: %s", why, said)
	if got := b.run("ls /efi/EFI/Linux"); got != "kiosk_1.efi" {
		b.t.Errorf("%s: it has %s", why, got)
	}
}

func good(b *board, out string, sent map[string]bool) {
	sums := files(b.t, out, "2", "SHA256SUMS")[0]
	b.refuses(out, "2", "signature", map[string][]byte{"SHA256SUMS": spoilt(b.t, sums)})
	if *long {
		b.refuses(out, "2", "truncated", map[string][]byte{filepath.Base(files(b.t, out, "2", "*.root.raw")[0]): nil})
	}

	// Somebody is there: a session waits for their consent.
	b.server.offer(offered(out, "2"), nil)
	b.run("kioskctl launch --correlation-id image-session --user-id visitor-9")
	b.await(10, "[ -e /run/kioskd/busy ]")
	b.run("systemctl start --no-block kioskd-update")
	b.t.Log(b.run(`while [ -e /run/kioskd/busy ]; do kioskctl update | tail -n 1; sleep 10; done`))
	free := b.uptime()
	if n := b.server.images(); n != 0 {
		b.t.Errorf("%d bytes of an image were fetched while somebody was there", n)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for b.server.images() == 0 && b.uptime() < free+60 {
		<-tick.C
	}
	if b.server.images() == 0 {
		b.t.Errorf("nothing is fetched 60 s after they left: %s", b.run("journalctl --no-pager -b -u kioskd-update -n 20"))
	}
	b.t.Logf("they left at %.1f s; it was being fetched at %.1f s", free, b.uptime())
	b.restarted()
	b.ready()
	if v := b.version(); v != "2" {
		b.t.Fatalf("version %s runs, want 2", v)
	}
	b.await(400, `[ "$(/usr/lib/systemd/systemd-bless-boot status)" = good ]`)
	b.t.Log(b.run("ls /efi/EFI/Linux; kioskctl update"))
	waiting(b.t, b, captures)

	// Then the network is there.
	world := partnertest.New(b.t, gatewaysim.Options{})
	address := strings.TrimPrefix(world.URL, "http://")
	b.server.reach(address)
	b.run(`mkdir -p /run/systemd/system/gateway.socket.d
printf '[Socket]\nListenStream=` + address + `\n' >/run/systemd/system/gateway.socket.d/port.conf
systemctl daemon-reload && systemctl stop gateway.service && systemctl restart gateway.socket`)
	deadline := time.After(patience)
	for got := 0; got < captures; {
		select {
		case <-deadline:
			b.t.Fatalf("%d of %d captures were delivered; %s", got, captures, b.run("journalctl --no-pager -b -u kioskd -n 20"))
		case <-tick.C:
			got = len(world.Sim.Confirmed())
		}
	}
	for _, c := range world.Sim.Confirmed() {
		if c.Times != 1 {
			b.t.Errorf("%s was confirmed %d times", c.Submission, c.Times)
		}
		for name, d := range c.Documents {
			if !sent[d.SHA256] {
				b.t.Errorf("%s of %s is none that was stored", name, c.Submission)
			}
		}
	}
	b.t.Logf("delivered: %d", len(world.Sim.Confirmed()))
}

func bad(b *board, out, version string) {
	b.server.offer(offered(out, version), nil)
	b.update()
	tries := 0
	for ; tries < 6; tries++ {
		said, _, err := b.try(`. /usr/lib/os-release; echo "runs $IMAGE_VERSION"; ls /efi/EFI/Linux`)
		b.t.Logf("start %d: %s", tries+1, strings.Join(strings.Fields(said), " "))
		if err == nil && strings.Contains(said, "runs 1") {
			break
		}
		b.restarted()
	}
	b.ready()
	if v := b.version(); v != "1" {
		b.t.Fatalf("version %s runs, want 1", v)
	}
	if tries != 3 {
		b.t.Errorf("%d tries, want 3", tries)
	}
	left := b.run("ls /efi/EFI/Linux")
	if !strings.Contains(left, "kiosk_"+version+"+0-3.efi") {
		b.t.Errorf("its tries are not used up: %s", left)
	}
	why := b.run("kioskctl update check")
	b.t.Log(why)
	if !strings.Contains(why, "broken here") {
		b.t.Error("it would be installed again")
	}
	waiting(b.t, b, captures)
}

// powerCut cuts the power at a moment of an update: after so many bytes of it, or
// a while after the last one, when names of partitions and files are changed.
func powerCut(b *board, out string, random *rand.Rand) {
	total := int64(0)
	for _, file := range files(b.t, out, "2", "kiosk_*") {
		info, err := os.Stat(file)
		if err != nil {
			b.t.Fatal(err)
		}
		total += info.Size()
	}
	at, later := total, time.Duration(random.Int64N(int64(30*time.Second)))
	if random.IntN(3) > 0 {
		at, later = 1+random.Int64N(total), 0
	}
	off := make(chan struct{})
	b.server.offer(offered(out, "2"), nil)
	b.server.after(at, func() {
		go func() {
			select {
			case <-time.After(later):
			case <-b.exited: // it was faster
			}
			_ = b.cmd.Process.Kill()
			close(off)
		}()
	})
	said, _, err := b.try("systemctl start kioskd-update || journalctl --no-pager -b -u kioskd-update -n 20; sleep 300")
	if err == nil {
		b.t.Fatalf("%d of %d bytes were sent, and the power was not cut at %d: %s", b.server.images(), total, at, said)
	}
	select {
	case <-off:
	case <-time.After(patience):
		b.t.Fatalf("%v, and not by the cut at %d bytes; console: %s", err, at, b.tail("console.log"))
	}
	b.cut()
	b.start()
	b.ready()
	v := b.version()
	b.t.Logf("cut at %d of %d bytes, %s later: version %s; %s", at, total, later.Round(time.Millisecond), v, strings.Join(strings.Fields(b.run("ls /efi/EFI/Linux")), " "))
	if v != "1" && (v != "2" || at != total) {
		b.t.Errorf("version %s runs", v)
	}
	b.run("cat /dev/mapper/root >/dev/null") // dm-verity finds any bit that is another
	waiting(b.t, b, captures)
}
