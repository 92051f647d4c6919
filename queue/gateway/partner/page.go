package partner

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page
var pageFiles embed.FS

// policy lets the page load nothing but its own style and script, and talk to
// nobody but this server.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// words are the texts of the page in one language. Those that begin with a
// status or a code are looked up by the script.
func words(lang string) map[string]string {
	if lang == "en" {
		return map[string]string{
			"title": "Sample partner: identity check", "intro": "Start a selfie check for a customer and launch it on the kiosk.",
			"customer": "Customer ID", "customerHint": "Letters and digits, as in your own books.", "language": "Language on the kiosk",
			"start": "Initiate and launch", "again": "Launch again", "kiosk": "Kiosk", "gateway": "Gateway",
			"correlation": "Correlation ID", "stage": "Stage", "status": "Status", "submission": "Submission ID",
			"error": "Error code", "detail": "Detailed code", "message": "Message", "retriable": "May be launched again",
			"result": "Result", "reason": "Reason", "processed": "Decided at", "source": "Told by",
			"details": "Get submission details", "command": "No kiosk is connected. Run this on the kiosk:",
			"commandHint": "The token is in that file for an hour. The result of the kiosk does not show here; the gateway's does.",
			"noscript":    "This page needs JavaScript.", "other": "Bahasa Indonesia", "otherLang": "id",
			"sample": "A sample, without a login: for this machine only.",
			"yes":    "yes", "no": "no",
			"say:working": "Initiating the flow …", "say:launched": "Launched. The customer is at the kiosk.",
			"say:RUNNING": "The session is running.", "say:COMPLETED": "The kiosk has completed the session.",
			"say:NOT_COMPLETED": "The session was not completed.", "say:ERROR": "The session ended with an error.",
			"say:SAVED": "The capture is saved on the kiosk and will be delivered later. Do not launch again.",
			"say:VALID": "The gateway approved the customer.", "say:INVALID": "The gateway did not approve the customer.",
			"say:REJECTED": "The gateway rejected the submission.", "say:refused": "The kiosk turned the launch down.",
			"say:unreachable": "The kiosk cannot be reached.", "say:failed": "That did not work:",
			"say:SUBMISSION_DOES_NOT_EXIST": "The gateway knows of no submission yet.",
			"say:lost":                      "The connection to this server was lost; trying again …",
		}
	}
	return map[string]string{
		"title": "Contoh mitra: pemeriksaan identitas", "intro": "Mulai pemeriksaan swafoto untuk nasabah dan jalankan di kios.",
		"customer": "ID nasabah", "customerHint": "Huruf dan angka, seperti di pembukuan Anda.", "language": "Bahasa di kios",
		"start": "Buat dan jalankan", "again": "Jalankan lagi", "kiosk": "Kios", "gateway": "Gateway",
		"correlation": "ID korelasi", "stage": "Tahap", "status": "Status", "submission": "ID pengajuan",
		"error": "Kode galat", "detail": "Kode rinci", "message": "Pesan", "retriable": "Boleh dijalankan lagi",
		"result": "Hasil", "reason": "Alasan", "processed": "Diputuskan pada", "source": "Diberitahukan oleh",
		"details": "Ambil rincian pengajuan", "command": "Tidak ada kios yang terhubung. Jalankan ini di kios:",
		"commandHint": "Token ada di berkas itu selama satu jam. Hasil dari kios tidak tampil di sini; hasil dari gateway tampil.",
		"noscript":    "Halaman ini memerlukan JavaScript.", "other": "English", "otherLang": "en",
		"sample": "Contoh, tanpa login: hanya untuk mesin ini.",
		"yes":    "ya", "no": "tidak",
		"say:working": "Membuat alur …", "say:launched": "Sudah dijalankan. Nasabah ada di kios.",
		"say:RUNNING": "Sesi sedang berjalan.", "say:COMPLETED": "Kios telah menyelesaikan sesi.",
		"say:NOT_COMPLETED": "Sesi tidak selesai.", "say:ERROR": "Sesi berakhir dengan galat.",
		"say:SAVED": "Foto tersimpan di kios dan akan dikirim nanti. Jangan jalankan lagi.",
		"say:VALID": "Gateway menyetujui nasabah.", "say:INVALID": "Gateway tidak menyetujui nasabah.",
		"say:REJECTED": "Gateway menolak pengajuan.", "say:refused": "Kios menolak permintaan.",
		"say:unreachable": "Kios tidak dapat dihubungi.", "say:failed": "Itu tidak berhasil:",
		"say:SUBMISSION_DOES_NOT_EXIST": "Gateway belum mengetahui pengajuan apa pun.",
		"say:lost":                      "Sambungan ke server ini terputus; mencoba lagi …",
	}
}

// page serves the sample page in the language of ?lang, or else of the
// browser; Indonesian if neither says English.
func (*Server) page(w http.ResponseWriter, r *http.Request) {
	lang := r.URL.Query().Get("lang")
	if lang != "id" && lang != "en" {
		lang = "id"
		if first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ","); strings.HasPrefix(strings.ToLower(strings.TrimSpace(first)), "en") {
			lang = "en"
		}
	}
	t, err := template.New("index.html").Option("missingkey=error").ParseFS(pageFiles, "page/index.html")
	var b bytes.Buffer
	if err == nil {
		err = t.Execute(&b, struct {
			Lang string
			T    map[string]string
		}{lang, words(lang)})
	}
	if err != nil { // only for a template that no test has seen
		http.Error(w, "the page does not render", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Vary", "Accept-Language")
	serveAsset(w, "text/html; charset=utf-8", b.Bytes())
}

// asset serves one of the page's files.
func asset(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		b, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		serveAsset(w, kind, b)
	}
}

func serveAsset(w http.ResponseWriter, kind string, b []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(b) // the client may have gone
}
