package text

import "livekiosk/kiosk"

func hintIndonesian(h kiosk.Hint) string {
	switch h {
	case kiosk.NoHint:
		return ""
	case kiosk.CameraBlocked:
		return "Kamera tertutup. Mohon jangan halangi lensa"
	case kiosk.NoFace:
		return "Posisikan wajah Anda di dalam oval"
	case kiosk.MultipleFaces:
		return "Mohon satu orang saja di depan kamera"
	case kiosk.FaceTooFar:
		return "Maju sedikit"
	case kiosk.FaceTooClose:
		return "Mundur sedikit"
	case kiosk.MoveLeft:
		return "Geser ke kiri"
	case kiosk.MoveRight:
		return "Geser ke kanan"
	case kiosk.MoveUp:
		return "Naikkan posisi wajah"
	case kiosk.MoveDown:
		return "Turunkan posisi wajah"
	case kiosk.TooDark:
		return "Terlalu gelap. Cari tempat yang lebih terang"
	case kiosk.TooBright:
		return "Terlalu terang. Hindari cahaya langsung"
	case kiosk.Backlit:
		return "Cahaya di belakang Anda terlalu kuat"
	case kiosk.UnevenLight:
		return "Hadapkan wajah ke arah cahaya"
	case kiosk.GlareGlasses:
		return "Kacamata memantulkan cahaya. Mohon dilepas"
	case kiosk.GlareSkin:
		return "Wajah memantulkan cahaya. Geser sedikit"
	case kiosk.LensSmudge:
		return "Lensa kotor. Mohon hubungi petugas"
	case kiosk.Sunglasses:
		return "Mohon lepas kacamata hitam"
	case kiosk.Mask:
		return "Mohon lepas masker sebentar"
	case kiosk.EyesCovered:
		return "Pastikan kedua mata terlihat"
	case kiosk.MouthCovered:
		return "Pastikan mulut terlihat"
	case kiosk.FaceCovered:
		return "Pastikan wajah tidak terhalang"
	case kiosk.TurnLeft:
		return "Tolehkan kepala sedikit ke kiri"
	case kiosk.TurnRight:
		return "Tolehkan kepala sedikit ke kanan"
	case kiosk.ChinUp:
		return "Angkat dagu sedikit"
	case kiosk.ChinDown:
		return "Turunkan dagu sedikit"
	case kiosk.StraightenHead:
		return "Tegakkan kepala"
	case kiosk.EyesClosed:
		return "Buka mata Anda"
	case kiosk.NotNeutral:
		return "Wajah rileks, mulut tertutup"
	case kiosk.Blurred:
		return "Gambar kabur. Mohon jangan bergerak"
	case kiosk.HoldStill:
		return "Tahan, jangan bergerak"
	case kiosk.GoodHold:
		return "Bagus, pertahankan"
	case kiosk.MoveCloser:
		return "Maju perlahan"
	case kiosk.FlashWarning:
		return "Layar akan berganti warna"
	case kiosk.Processing:
		return "Mohon tunggu sebentar"
	case kiosk.SavedOffline:
		return "Data Anda sudah tersimpan"
	case kiosk.TryAgain:
		return "Mari kita coba lagi"
	case kiosk.CallStaff:
		return "Petugas kami akan membantu Anda"
	}
	return ""
}

func titleIndonesian(s kiosk.Screen) string {
	switch s {
	case kiosk.RestingScreen, kiosk.CommissionScreen:
		return ""
	case kiosk.IdleScreen:
		return "Selamat datang"
	case kiosk.ConsentScreen:
		return "Persetujuan Anda"
	case kiosk.WarningScreen:
		return "Layar akan berganti warna"
	case kiosk.ColoursScreen:
		return "Tahan, jangan bergerak"
	case kiosk.GuidingScreen:
		return "Foto wajah"
	case kiosk.AgainScreen:
		return "Mari kita coba lagi"
	case kiosk.SavingScreen:
		return "Menyimpan foto Anda"
	case kiosk.WaitingScreen:
		return "Foto Anda sedang diperiksa"
	case kiosk.GrantedScreen:
		return "Verifikasi berhasil"
	case kiosk.RefusedScreen:
		return "Petugas kami akan melanjutkan"
	case kiosk.SavedScreen:
		return "Data Anda sudah tersimpan"
	case kiosk.StaffScreen:
		return "Petugas kami akan membantu Anda"
	case kiosk.CancelledScreen:
		return "Sesi telah diakhiri"
	case kiosk.OutOfServiceScreen:
		return "Layanan belum dapat digunakan"
	case kiosk.CodeScreen:
		return "Masukkan kode Anda"
	case kiosk.TipsScreen:
		return "Sebelum kamera menyala"
	case kiosk.PINScreen:
		return "PIN petugas"
	case kiosk.DeskScreen:
		return "Status perangkat"
	}
	return ""
}

func bodyIndonesian(s kiosk.Screen) string {
	switch s {
	case kiosk.RestingScreen, kiosk.CommissionScreen:
		return ""
	case kiosk.IdleScreen:
		return "Petugas kami akan memulai verifikasi wajah untuk Anda. Jika Anda memiliki kode janji temu, masukkan di sini."
	case kiosk.ConsentScreen:
		return "Mohon dibaca sebelum kamera dinyalakan."
	case kiosk.WarningScreen:
		return "Setelah foto diambil, layar menerangi wajah Anda dengan warna yang berganti-ganti selama sekitar lima detik. Jika Anda peka terhadap cahaya yang berubah atau tidak menghendakinya, lanjutkan tanpa warna. Pilihan ini tidak merugikan Anda."
	case kiosk.ColoursScreen:
		return "Lihat ke kamera. Hanya sekitar lima detik."
	case kiosk.GuidingScreen:
		return "Lihat ke kamera dan ikuti petunjuk di layar."
	case kiosk.AgainScreen:
		return "Berdirilah di tempat yang terang, lepas masker atau kacamata hitam, lalu lihat lurus ke kamera."
	case kiosk.SavingScreen:
		return "Mohon tetap di tempat sebentar."
	case kiosk.WaitingScreen:
		return "Foto Anda sudah tersimpan dengan aman. Pemeriksaan biasanya selesai dalam beberapa detik."
	case kiosk.GrantedScreen:
		return "Terima kasih. Silakan lanjutkan dengan petugas kami."
	case kiosk.RefusedScreen:
		return "Verifikasi belum dapat diselesaikan di perangkat ini. Silakan temui petugas kami, yang akan memeriksa bersama Anda."
	case kiosk.SavedScreen:
		return "Foto Anda akan dikirim secara otomatis begitu koneksi tersedia. Anda tidak perlu mengulang."
	case kiosk.StaffScreen:
		return "Silakan tunggu di sini atau temui petugas di meja layanan."
	case kiosk.CancelledScreen:
		return "Perekaman telah dihentikan. Petugas kami siap membantu Anda dengan cara lain."
	case kiosk.OutOfServiceScreen:
		return "Silakan temui petugas kami di meja layanan."
	case kiosk.CodeScreen:
		return "Delapan angka pada undangan atau bukti janji temu Anda."
	case kiosk.TipsScreen:
		return "Agar foto Anda langsung berhasil:"
	case kiosk.PINScreen:
		return "Khusus petugas."
	case kiosk.DeskScreen:
		return "Khusus petugas. Tidak ada data nasabah di layar ini."
	}
	return ""
}

func controlIndonesian(c kiosk.Control) string {
	switch c {
	case kiosk.Agree:
		return "Saya setuju"
	case kiosk.Decline:
		return "Tidak setuju"
	case kiosk.Cancel:
		return "Batalkan"
	case kiosk.Help:
		return "Minta bantuan"
	case kiosk.Done:
		return "Selesai"
	case kiosk.Resume:
		return "Ya, saya di sini"
	case kiosk.Switch:
		return "English"
	case kiosk.Ready:
		return "Saya siap"
	case kiosk.Begin:
		return "Masukkan kode"
	case kiosk.Enter:
		return "Lanjutkan"
	case kiosk.Large:
		return "Teks besar"
	case kiosk.Contrast:
		return "Kontras tinggi"
	case kiosk.NoLimit:
		return "Tanpa batas waktu"
	case kiosk.NoFlash:
		return "Tanpa kilatan"
	case kiosk.Flash:
		return "Lanjut dengan warna"
	case kiosk.Door:
		return "Layanan petugas"
	case kiosk.Drain:
		return "Hentikan sesi baru"
	case kiosk.Listing:
		return "Lihat antrean"
	}
	return ""
}

func faultIndonesian(f kiosk.Fault) string {
	switch f {
	case kiosk.NoFault:
		return "Perangkat ini sedang tidak melayani."
	case kiosk.CameraFault:
		return "Kamera sedang tidak dapat digunakan."
	case kiosk.ModelFault:
		return "Perangkat ini sedang dalam perawatan."
	case kiosk.StorageFault:
		return "Perangkat ini sedang tidak dapat menyimpan data dengan aman."
	case kiosk.ClockFault:
		return "Perangkat ini sedang menyesuaikan waktu."
	case kiosk.TamperFault:
		return "Perangkat ini sedang diperiksa oleh petugas kami."
	case kiosk.PowerFault:
		return "Daya baterai perangkat ini hampir habis."
	case kiosk.UpdateFault:
		return "Perangkat ini sedang diperbarui dan akan segera kembali."
	case kiosk.LockFault:
		return "Perangkat ini dikunci sementara dan perlu dibuka oleh petugas kami."
	}
	return ""
}

func phraseIndonesian(k Key) string {
	switch k {
	case FarStep:
		return "Langkah 1 dari 2"
	case NearStep:
		return "Langkah 2 dari 2"
	case Starting:
		return "Menyalakan kamera"
	case ScrollOn:
		return "Masih ada lanjutannya di bawah"
	case Receipt:
		return "Kode tanda terima"
	case ClosesSoon:
		return "Layar ini akan tertutup sendiri."
	case StillThere:
		return "Apakah Anda masih di sini?"
	case MoveOn:
		return "Kita mulai lagi sebentar lagi."
	case ReceiptNote:
		return "Simpan atau foto kode ini. Petugas dapat mencarinya untuk Anda."
	case TryNow:
		return "Coba lagi sekarang"
	case YourPhoto:
		return "Foto Anda"
	case GoodPhoto:
		return "Contoh yang baik"
	case TipCovers:
		return "Lepaskan masker, topi, atau kacamata hitam. Kerudung tidak perlu dilepas."
	case TipLight:
		return "Pastikan cahaya mengenai wajah Anda dari depan."
	case TipLook:
		return "Lihat lurus ke kamera dengan wajah rileks."
	case TipAlone:
		return "Hanya Anda yang terlihat oleh kamera. Anda boleh sambil duduk."
	case WithoutColours:
		return "Lanjut tanpa warna"
	case StopColours:
		return "Hentikan warna"
	case SilenceIsNo:
		return "Jika tidak dijawab, dilanjutkan tanpa warna."
	case StartsSoon:
		return "Kamera akan menyala sendiri sebentar lagi."
	case NowStored:
		return "Foto Anda sudah tersimpan dengan aman"
	case NowChecked:
		return "Layanan verifikasi sedang memeriksanya"
	case NowResult:
		return "Hasilnya akan tampil di layar ini"
	case HowLong:
		return "Biasanya hanya beberapa detik. Jika lebih lama, Anda tidak perlu menunggu di sini."
	case Looking:
		return "Sedang diperiksa"
	case CodeUnknown:
		return "Kode tidak ditemukan. Mohon periksa lagi atau minta bantuan petugas."
	case PINWrong:
		return "PIN tidak sesuai."
	case TypePaused:
		return "Terlalu banyak percobaan. Silakan coba lagi dalam beberapa menit."
	case CodeRefused:
		return "Sesi belum dapat dimulai. Silakan temui petugas kami."
	case Erase:
		return "Hapus"
	case Undrain:
		return "Terima sesi lagi"
	case ShowState:
		return "Tampilkan status"
	case RowService:
		return "Layanan"
	case RowNetwork:
		return "Jaringan"
	case RowQueue:
		return "Belum terkirim"
	case RowAside:
		return "Perlu ditinjau"
	case RowCamera:
		return "Kamera"
	case RowVersion:
		return "Versi"
	case InService:
		return "Siap melayani"
	case Draining:
		return "Tidak menerima sesi baru"
	case Working:
		return "Berfungsi"
	case NotAsked:
		return "Belum dihubungi"
	case NoneThere:
		return "Tidak ada data yang tersimpan."
	}
	return ""
}

func consentIndonesian() []Section {
	return []Section{
		{
			"Untuk apa",
			"Kami memverifikasi bahwa Anda sendiri yang hadir di sini. Untuk itu kamera mengambil dua foto wajah Anda, " +
				"dari jarak biasa dan dari dekat. Foto tersebut diperiksa secara otomatis.",
		},
		{
			"Data yang diproses",
			"Dua foto wajah dan hasil pengukuran mutu foto. Foto wajah adalah data biometrik, yaitu data pribadi yang bersifat " +
				"spesifik menurut Undang-Undang Nomor 27 Tahun 2022 tentang Pelindungan Data Pribadi.",
		},
		{
			"Pengendali data",
			"Lembaga keuangan yang melayani Anda di tempat ini. Nama dan kontak petugas pelindungan datanya tersedia di meja layanan.",
		},
		{
			"Penerima data",
			"Layanan verifikasi identitas yang bekerja atas nama lembaga tersebut. Data tidak digunakan untuk tujuan lain.",
		},
		{
			"Penyimpanan",
			"Di perangkat ini foto disimpan terenkripsi hanya sampai terkirim, lalu dihapus. Selanjutnya foto disimpan oleh lembaga " +
				"tersebut selama diwajibkan oleh peraturan, lalu dimusnahkan.",
		},
		{
			"Hak Anda",
			"Anda dapat menarik kembali persetujuan ini kapan saja melalui petugas kami, serta meminta salinan, perbaikan, atau " +
				"penghapusan data. Anda juga berhak mengajukan keberatan atas keputusan yang diambil hanya oleh mesin: petugas akan memeriksanya.",
		},
		{
			"Tanpa kamera",
			"Persetujuan ini bersifat sukarela. Jika Anda tidak setuju, petugas kami akan memverifikasi identitas Anda secara langsung.",
		},
	}
}
