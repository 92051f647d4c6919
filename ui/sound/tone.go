package sound

import (
	"encoding/binary"
	"math"
	"time"
)

// A tone is a few notes that need no words.
type tone string

// The tones. Rising is good news, falling asks for attention.
const (
	prompt    tone = "prompt"
	good      tone = "good"
	done      tone = "done"
	attention tone = "attention"
)

// notes are the pitches of a tone, Hz, one after the other.
func (t tone) notes() []float64 {
	switch t {
	case good:
		return []float64{659, 784}
	case done:
		return []float64{523, 659, 784}
	case attention:
		return []float64{587, 440}
	case prompt:
	}
	return []float64{659}
}

const (
	rate   = 22050                  // samples a second
	note   = 140 * time.Millisecond // how long one lasts
	fade   = 0.012                  // seconds at either end of a note, so that it does not click
	volume = 0.35                   // of full scale
)

// wav returns the tone as a WAV file: mono, 16 bits.
func (t tone) wav() []byte {
	n := int(note.Seconds() * rate)
	notes := t.notes()
	b := header(n * len(notes))
	for _, pitch := range notes {
		for i := range n {
			at := float64(i) / rate
			edge := min(1, at/fade, (note.Seconds()-at)/fade)
			v := volume * edge * math.Sin(2*math.Pi*pitch*at)
			b = binary.LittleEndian.AppendUint16(b, uint16(int16(v*math.MaxInt16)))
		}
	}
	return b
}

// header returns that of a file of n samples (IBM and Microsoft, Multimedia
// Programming Interface and Data Specifications 1.0, 1991).
func header(n int) []byte {
	size := uint32(2 * n)
	b := make([]byte, 0, 44+2*n)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, 36+size)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 1) // channels
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, 2*rate) // bytes a second
	b = binary.LittleEndian.AppendUint16(b, 2)      // of all channels
	b = binary.LittleEndian.AppendUint16(b, 16)     // bits
	b = append(b, "data"...)
	return binary.LittleEndian.AppendUint32(b, size)
}
