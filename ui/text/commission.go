package text

import (
	"strconv"

	"livekiosk/kiosk"
)

// Step returns the heading of a step of commissioning.
func Step(l kiosk.Locale, s kiosk.Step) string {
	if l == kiosk.English {
		switch s {
		case kiosk.FocusStep:
			return "Focus and framing"
		case kiosk.ExposureStep:
			return "Light on the face"
		case kiosk.DistanceStep:
			return "The marked place"
		case kiosk.BackgroundStep:
			return "Background"
		case kiosk.LensStep:
			return "Clean lens"
		case kiosk.LatencyStep:
			return "Screen to camera"
		}
		return ""
	}
	switch s {
	case kiosk.FocusStep:
		return "Fokus dan posisi kamera"
	case kiosk.ExposureStep:
		return "Cahaya pada wajah"
	case kiosk.DistanceStep:
		return "Jarak berdiri"
	case kiosk.BackgroundStep:
		return "Latar belakang"
	case kiosk.LensStep:
		return "Lensa bersih"
	case kiosk.LatencyStep:
		return "Jeda layar ke kamera"
	}
	return ""
}

// Instruction returns what the installer does for a step.
func Instruction(l kiosk.Locale, s kiosk.Step) string {
	if l == kiosk.English {
		switch s {
		case kiosk.FocusStep:
			return "Stand where visitors will stand and look straight at the screen."
		case kiosk.ExposureStep:
			return "Switch on the room's usual light and stay in place."
		case kiosk.DistanceStep:
			return "Stand on the floor mark and keep still."
		case kiosk.BackgroundStep:
			return "Stay on the mark. Leave behind you what will always be there."
		case kiosk.LensStep:
			return "Wipe the lens, then stand on the mark again."
		case kiosk.LatencyStep:
			return "Hold a mirror or white paper so that the screen lights the camera."
		}
		return ""
	}
	switch s {
	case kiosk.FocusStep:
		return "Berdiri di tempat nasabah akan berdiri dan lihat lurus ke layar."
	case kiosk.ExposureStep:
		return "Nyalakan lampu ruangan seperti biasa dan tetap di tempat."
	case kiosk.DistanceStep:
		return "Berdiri pada tanda di lantai dan jangan bergerak."
	case kiosk.BackgroundStep:
		return "Tetap pada tanda. Biarkan latar seperti keadaan sehari-hari."
	case kiosk.LensStep:
		return "Bersihkan lensa, lalu berdiri kembali pada tanda."
	case kiosk.LatencyStep:
		return "Arahkan cermin atau kertas putih agar cahaya layar mengenai kamera."
	}
	return ""
}

// Note returns what an installer mends before a step is passed, or what a step
// could not find out. It is "" for NoNote.
func Note(l kiosk.Locale, n kiosk.Note) string {
	if l == kiosk.English {
		return noteEnglish(n)
	}
	return noteIndonesian(n)
}

func noteEnglish(n kiosk.Note) string {
	switch n {
	case kiosk.NoNote:
		return ""
	case kiosk.NobodyNote:
		return "No face is in sight of the camera"
	case kiosk.CrowdNote:
		return "Only one person at a time"
	case kiosk.OffCentreNote:
		return "Turn the camera until the face is in the middle"
	case kiosk.OffPlaceNote:
		return "Stand on the floor mark"
	case kiosk.TurnedNote:
		return "Look straight at the screen"
	case kiosk.MovingNote:
		return "Stand still for a moment"
	case kiosk.BlurredNote:
		return "Blurred: focus the camera and clean the lens"
	case kiosk.TiltedNote:
		return "Level the camera, or hold your head straight"
	case kiosk.DarkNote:
		return "Too dark: put more light on the face"
	case kiosk.BrightNote:
		return "Too bright: take light away from the face"
	case kiosk.ClippedNote:
		return "Parts of the face are pure white: soften the light"
	case kiosk.UnevenNote:
		return "Light from one side only: add some from the other"
	case kiosk.BacklitNote:
		return "Too bright behind: cover the window, or turn the kiosk"
	case kiosk.TooFarNote:
		return "The mark is too far away for this camera"
	case kiosk.TooNearNote:
		return "The mark is too near: visitors come closer still"
	case kiosk.PlainNote:
		return "The background is too plain to tell a smeared lens"
	case kiosk.UnseenNote:
		return "The camera does not see the screen's light"
	}
	return ""
}

func noteIndonesian(n kiosk.Note) string {
	switch n {
	case kiosk.NoNote:
		return ""
	case kiosk.NobodyNote:
		return "Tidak ada wajah yang terlihat kamera"
	case kiosk.CrowdNote:
		return "Cukup satu orang di depan kamera"
	case kiosk.OffCentreNote:
		return "Arahkan kamera hingga wajah berada di tengah"
	case kiosk.OffPlaceNote:
		return "Berdiri pada tanda di lantai"
	case kiosk.TurnedNote:
		return "Lihat lurus ke layar"
	case kiosk.MovingNote:
		return "Berdiri diam sebentar"
	case kiosk.BlurredNote:
		return "Gambar kabur: atur fokus dan bersihkan lensa"
	case kiosk.TiltedNote:
		return "Luruskan kamera, atau tegakkan kepala"
	case kiosk.DarkNote:
		return "Terlalu gelap: tambah cahaya pada wajah"
	case kiosk.BrightNote:
		return "Terlalu terang: kurangi cahaya pada wajah"
	case kiosk.ClippedNote:
		return "Sebagian wajah putih polos: lembutkan cahaya"
	case kiosk.UnevenNote:
		return "Cahaya dari satu sisi: tambah dari sisi lainnya"
	case kiosk.BacklitNote:
		return "Latar terlalu terang: tutup jendela atau putar kios"
	case kiosk.TooFarNote:
		return "Tanda terlalu jauh untuk kamera ini"
	case kiosk.TooNearNote:
		return "Tanda terlalu dekat: nasabah masih akan maju"
	case kiosk.PlainNote:
		return "Latar terlalu polos untuk mengenali lensa kotor"
	case kiosk.UnseenNote:
		return "Kamera tidak menangkap cahaya layar"
	}
	return ""
}

// Progress returns which step of how many s is, as one reads it on a pill.
func Progress(l kiosk.Locale, s kiosk.Step) string {
	all := kiosk.Steps()
	n := 0
	for i, step := range all {
		if step == s {
			n = i + 1
		}
	}
	if l == kiosk.English {
		return "Commissioning " + strconv.Itoa(n) + "/" + strconv.Itoa(len(all))
	}
	return "Penyetelan " + strconv.Itoa(n) + "/" + strconv.Itoa(len(all))
}

// Figure returns what a step measures just now, with its name; "" where there is
// nothing to read.
func Figure(l kiosk.Locale, s kiosk.Step, v float32) string {
	number := func(digits int, unit string) string {
		return " " + strconv.FormatFloat(float64(v), 'f', digits, 32) + unit
	}
	english := l == kiosk.English
	pick := func(en, id string) string {
		if english {
			return en
		}
		return id
	}
	switch s {
	case kiosk.FocusStep:
		return pick("Sharpness", "Ketajaman") + number(0, "")
	case kiosk.ExposureStep:
		return pick("Face brightness", "Kecerahan wajah") + number(0, "")
	case kiosk.DistanceStep:
		return pick("Face width", "Lebar wajah") + number(0, " %")
	case kiosk.BackgroundStep:
		return pick("Background to face", "Latar terhadap wajah") + number(1, "")
	case kiosk.LensStep:
		return pick("Detail", "Detail gambar") + number(2, "")
	case kiosk.LatencyStep:
	}
	return ""
}
