package privacy_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
)

// unwrappers undo what is written around data. Each gives all that it finds, with
// a line end between, so that nothing is found across.
var unwrappers = map[string]func(data []byte) []byte{"hex": unhex, "base64": unbase64, "compressed": inflate}

// The shortest runs of digits that hold four bytes.
const (
	leastHex    = 8
	leastBase64 = 6
)

const noDigit = 0xff

var hexDigits = digitsOf("0123456789abcdef", "0123456789ABCDEF")

// base64Digits are those of both alphabets.
var base64Digits = digitsOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

func digitsOf(alphabets ...string) (values [256]byte) {
	for i := range values {
		values[i] = noDigit
	}
	for _, alphabet := range alphabets {
		for value := range len(alphabet) {
			values[alphabet[value]] = byte(value)
		}
	}
	return values
}

// unhex decodes every run of digits, from its first and from its second one.
func unhex(data []byte) (all []byte) {
	for run := range runs(data, &hexDigits, leastHex) {
		for offset := range 2 {
			for i := offset; i+2 <= len(run); i += 2 {
				all = append(all, run[i]<<4|run[i+1])
			}
			all = append(all, '\n')
		}
	}
	return all
}

// unbase64 decodes every run of digits, from each of its first four ones, as
// what is looked for need not begin where the encoding did.
func unbase64(data []byte) (all []byte) {
	for run := range runs(data, &base64Digits, leastBase64) {
		for offset := range 4 {
			var bits uint
			for i, digit := range run[offset:] {
				bits = bits<<6 | uint(digit)
				if i%4 != 0 {
					all = append(all, byte(bits>>(6-2*(i%4))))
				}
			}
			all = append(all, '\n')
		}
	}
	return all
}

// runs gives the values of the digits of each run that is long enough. A long
// line goes on in the next one.
func runs(data []byte, digits *[256]byte, least int) func(yield func(run []byte) bool) {
	const longLine = 60
	return func(yield func([]byte) bool) {
		var run []byte
		line := 0
		for i := 0; i <= len(data); i++ {
			if i < len(data) && digits[data[i]] != noDigit {
				run = append(run, digits[data[i]])
				line++
				continue
			}
			if i < len(data) && line >= longLine {
				if end := bytes.IndexFunc(data[i:min(i+3, len(data))], func(r rune) bool { return r != '\r' && r != '\n' }); end > 0 {
					i, line = i+end-1, 0
					continue
				}
			}
			if len(run) >= least && !yield(run) {
				return
			}
			run, line = run[:0], 0
		}
	}
}

// inflate opens what gzip and zlib have compressed, damaged or not.
func inflate(data []byte) (all []byte) {
	const enough = 16 << 20
	for i := 0; i+2 < len(data); i++ {
		var r io.Reader
		var err error
		switch {
		case data[i] == 0x1f && data[i+1] == 0x8b && data[i+2] == 8:
			r, err = gzip.NewReader(bytes.NewReader(data[i:]))
		case data[i] == 0x78 && (data[i+1] == 0x01 || data[i+1] == 0x5e || data[i+1] == 0x9c || data[i+1] == 0xda):
			r, err = zlib.NewReader(bytes.NewReader(data[i:]))
		default:
			continue
		}
		if err != nil {
			continue
		}
		content, _ := io.ReadAll(io.LimitReader(r, enough)) // what came before an error counts
		all = append(append(all, content...), '\n')
	}
	return all
}
