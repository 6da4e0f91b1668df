package domain

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// Receipt is the answer to a batch of which something was accepted.
type Receipt struct {
	AcceptedAt time.Time
	// Accepted and Refused count events.
	Accepted, Refused int
	// Violations and Omitted are those of the [Judgement].
	Violations []Violation
	Omitted    int
}

// IdempotencyLifetime is how long a receipt stays known by its idempotency key,
// unless newer receipts take its room.
const IdempotencyLifetime = 24 * time.Hour

// ReceiptTolerance is by how much a clock may be set back without receipts being
// forgotten: one that would be held for longer than [IdempotencyLifetime] and
// this was stored by a clock that was wrong, and its time is over.
const ReceiptTolerance = time.Hour

// MaxIdempotencyKeyLength is in bytes; every one must be a visible ASCII
// character.
const MaxIdempotencyKeyLength = 128

// The bounds of what is kept for an idempotency key, in bytes.
const (
	// MaxReceiptBytes is the most that [EncodeReceipt] returns.
	MaxReceiptBytes = 4 << 10
	// ReceiptOverhead is what a queue takes for a receipt beside its encoding:
	// the hash of the key, the order of the receipts, what the engine needs.
	ReceiptOverhead = 320
)

// The defaults of what a queue keeps of receipts.
const (
	DefaultMaxReceipts     = 20_000
	DefaultMaxReceiptBytes = 8 << 20
)

// hashSize is half of SHA-256: enough that two keys never share a hash.
const hashSize = sha256.Size / 2

// KeyHash stands for an idempotency key.
type KeyHash [hashSize]byte

// Fingerprint stands for a request body that was sent under an idempotency key.
type Fingerprint [hashSize]byte

// KeyedRequest is a request that carries an idempotency key. Neither the key
// nor the body is ever stored, only their keyed hashes.
type KeyedRequest struct {
	Key  string
	Body []byte
}

// Hashes returns the keyed hashes of the key and of the body under it. Equal
// bodies under different keys have different fingerprints.
func (r KeyedRequest) Hashes(secret []byte) (KeyHash, Fingerprint) {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(r.Key))
	key := KeyHash(mac.Sum(nil)[:hashSize])
	mac.Reset()
	mac.Write([]byte(r.Key))
	mac.Write([]byte{0}) // which no key has
	mac.Write(r.Body)
	return key, Fingerprint(mac.Sum(nil)[:hashSize])
}

// receiptFormat is the first byte of an encoded receipt. It grows when the
// meaning of the rest changes:
//
//	fingerprint of the body
//	time in microseconds since 1970, numbers accepted, refused and omitted
//	per violation until the end: distance of its index to the one before,
//	    number of an equal violation of another event, or 0 and
//	    field, code and message
//
// A text is the number of its words and these, parted by single spaces; a word
// is its number if it occurred before, or 0, its length and itself.
const receiptFormat = 1

// EncodeReceipt encodes what is kept of a request with an idempotency key, in at
// most [MaxReceiptBytes]. Violations that do not fit are counted as omitted.
func EncodeReceipt(f Fingerprint, r Receipt) []byte {
	const longestHead = 1 + hashSize + 4*binary.MaxVarintLen64
	list := receiptWriter{seen: make(map[Violation]uint64), words: make(map[string]uint64)}
	listed := 0
	for _, v := range r.Violations {
		before := len(list.data)
		list.violation(v)
		if longestHead+len(list.data) > MaxReceiptBytes {
			list.data = list.data[:before]
			break
		}
		listed++
	}
	data := append(make([]byte, 0, longestHead+len(list.data)), receiptFormat)
	data = append(data, f[:]...)
	data = binary.AppendVarint(data, r.AcceptedAt.UnixMicro())
	for _, n := range [...]int{r.Accepted, r.Refused, r.Omitted + len(r.Violations) - listed} {
		data = binary.AppendVarint(data, int64(n))
	}
	return append(data, list.data...)
}

// receiptWriter encodes violations.
type receiptWriter struct {
	data  []byte
	index int
	// seen and words number what has been written, from 1 on. A violation is
	// seen without its index.
	seen  map[Violation]uint64
	words map[string]uint64
}

func (w *receiptWriter) violation(v Violation) {
	w.data = binary.AppendVarint(w.data, int64(v.Index-w.index))
	w.index, v.Index = v.Index, 0
	number := w.seen[v]
	w.data = binary.AppendUvarint(w.data, number)
	if number > 0 {
		return
	}
	w.seen[v] = uint64(len(w.seen) + 1)
	w.text(v.Field)
	w.text(string(v.Code))
	w.text(v.Message)
}

func (w *receiptWriter) text(text string) {
	words := strings.Split(text, " ")
	w.data = binary.AppendUvarint(w.data, uint64(len(words)))
	for _, word := range words {
		number := w.words[word]
		w.data = binary.AppendUvarint(w.data, number)
		if number > 0 {
			continue
		}
		w.words[word] = uint64(len(w.words) + 1)
		w.data = binary.AppendUvarint(w.data, uint64(len(word)))
		w.data = append(w.data, word...)
	}
}

// RecallReceipt returns the receipt that [EncodeReceipt] encoded, for a repeat
// of the request. A body with another fingerprint gives
// [CodeIdempotencyKeyReused].
func RecallReceipt(data []byte, f Fingerprint) (Receipt, error) {
	kept, receipt, err := decodeReceipt(data)
	switch {
	case err != nil:
		return Receipt{}, NewError(CodeUnavailable, err, "what is kept for the Idempotency-Key cannot be read")
	case kept != f:
		return Receipt{}, NewError(CodeIdempotencyKeyReused, nil,
			"the Idempotency-Key was used for another body in the last 24 hours: send every new body under a new key")
	default:
		return receipt, nil
	}
}

var errReceipt = errors.New("the receipt is damaged or of another version")

func decodeReceipt(data []byte) (f Fingerprint, r Receipt, err error) {
	if len(data) < 1+hashSize || data[0] != receiptFormat {
		return f, r, errReceipt
	}
	f = Fingerprint(data[1 : 1+hashSize])
	d := receiptReader{data: data[1+hashSize:]}
	r.AcceptedAt = time.UnixMicro(d.varint()).UTC()
	r.Accepted, r.Refused, r.Omitted = int(d.varint()), int(d.varint()), int(d.varint())
	for len(d.data) > 0 && !d.failed {
		r.Violations = append(r.Violations, d.violation())
	}
	if d.failed {
		return f, Receipt{}, errReceipt
	}
	return f, r, nil
}

// receiptReader decodes what receiptWriter has written. After a failure it
// returns zero values.
type receiptReader struct {
	data   []byte
	failed bool
	index  int
	seen   []Violation
	words  []string
}

func (d *receiptReader) varint() int64 {
	n, size := binary.Varint(d.data)
	d.skip(size)
	return n
}

func (d *receiptReader) uvarint() uint64 {
	n, size := binary.Uvarint(d.data)
	d.skip(size)
	return n
}

// skip goes on behind a number; none or one that is too large fails.
func (d *receiptReader) skip(size int) {
	if d.failed = d.failed || size <= 0; d.failed {
		d.data = nil
		return
	}
	d.data = d.data[size:]
}

func (d *receiptReader) violation() Violation {
	d.index += int(d.varint())
	var v Violation
	switch number := d.uvarint(); {
	case number == 0:
		v = Violation{Field: d.text(), Code: ViolationCode(d.text()), Message: d.text()}
		d.seen = append(d.seen, v)
	case number <= uint64(len(d.seen)):
		v = d.seen[number-1]
	default:
		d.failed = true
	}
	v.Index = d.index
	return v
}

func (d *receiptReader) text() string {
	count := d.uvarint()
	if count > uint64(len(d.data)) { // a word takes a byte at least
		d.failed = true
		return ""
	}
	words := make([]string, count)
	for i := range words {
		words[i] = d.word()
	}
	return strings.Join(words, " ")
}

func (d *receiptReader) word() string {
	number := d.uvarint()
	if number > 0 {
		if number > uint64(len(d.words)) {
			d.failed = true
			return ""
		}
		return d.words[number-1]
	}
	length := d.uvarint()
	if length > uint64(len(d.data)) {
		d.failed = true
		return ""
	}
	word := string(d.data[:length])
	d.data = d.data[length:]
	d.words = append(d.words, word)
	return word
}
