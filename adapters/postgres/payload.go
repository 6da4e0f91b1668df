package postgres

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// payloadFormat changes with the meaning of a journal row's payload.
//
// A payload is its format, a list of names, a list of rollups and a list of
// error summaries, all hourly and of full grain. Numbers are varints, a list
// begins with its length, and the values of groups stand as numbers in the list
// of names, as they repeat.
const payloadFormat = 1

var errDamagedPayload = errors.New("the payload is damaged")

func encodePayload(day time.Time, finest domain.Aggregates) ([]byte, error) {
	w := &payloadWriter{day: day, numbers: make(map[string]int)}
	w.number(int64(len(finest.Rollups)))
	for i := range finest.Rollups {
		w.rollup(&finest.Rollups[i])
	}
	w.number(int64(len(finest.Errors)))
	for i := range finest.Errors {
		row := &finest.Errors[i]
		w.place(row.Bucket, row.Group)
		w.name(row.ErrorType)
		w.number(row.Count)
	}
	payload := binary.AppendUvarint([]byte{payloadFormat}, uint64(len(w.numbers)))
	return append(append(payload, w.names...), w.rows...), w.err
}

type payloadWriter struct {
	day         time.Time
	numbers     map[string]int // of the names
	names, rows []byte
	err         error
}

func (w *payloadWriter) number(n int64) {
	w.rows = binary.AppendUvarint(w.rows, uint64(n)) //nolint:gosec // read back by the same way
}

func (w *payloadWriter) name(s string) {
	number, known := w.numbers[s]
	if !known {
		number = len(w.numbers)
		w.numbers[s] = number
		w.names = append(binary.AppendUvarint(w.names, uint64(len(s))), s...)
	}
	w.number(int64(number))
}

func (w *payloadWriter) place(bucket time.Time, g domain.Group) {
	w.number(int64(bucket.Sub(w.day) / time.Hour))
	w.name(g.Tool)
	w.name(g.Version)
	w.name(g.Country)
	w.name(g.Service)
}

func (w *payloadWriter) rollup(row *domain.RollupRow) {
	w.place(row.Bucket, row.Group)
	for _, n := range numbersOf(&row.Rollup) {
		w.number(n)
	}
	w.sketch(&row.Rollup.Latency)
	w.sketch(&row.Rollup.Sessions)
}

func (w *payloadWriter) sketch(s encoding.BinaryAppender) {
	var short [256]byte
	data, err := s.AppendBinary(short[:0])
	w.err = errors.Join(w.err, err)
	w.number(int64(len(data)))
	w.rows = append(w.rows, data...)
}

// decodePayload returns the rows that keep holds for worth it.
func decodePayload(day time.Time, payload []byte, keep func(time.Time, domain.Group) bool) (domain.Aggregates, error) {
	if len(payload) == 0 || payload[0] != payloadFormat {
		return domain.Aggregates{}, errDamagedPayload
	}
	r := &payloadReader{day: day, rest: payload[1:]}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		r.names = append(r.names, string(r.bytes()))
	}
	var a domain.Aggregates
	for n := r.number(); n > 0 && r.err == nil; n-- {
		if row, kept := r.rollup(keep); kept {
			a.Rollups = append(a.Rollups, row)
		}
	}
	for n := r.number(); n > 0 && r.err == nil; n-- {
		if row, kept := r.errorRow(keep); kept {
			a.Errors = append(a.Errors, row)
		}
	}
	if r.err != nil || len(r.rest) > 0 {
		return domain.Aggregates{}, errors.Join(errDamagedPayload, r.err)
	}
	return a, nil
}

// payloadReader reads a payload; after an error it gives zeros.
type payloadReader struct {
	day   time.Time
	names []string
	rest  []byte
	err   error
}

func (r *payloadReader) fail(err error) {
	r.rest = nil
	if r.err == nil {
		r.err = err
	}
}

func (r *payloadReader) number() int64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail(errors.New("it ends within a number"))
		return 0
	}
	r.rest = r.rest[size:]
	return int64(n) //nolint:gosec // written by the same way
}

func (r *payloadReader) bytes() []byte {
	n := r.number()
	if n < 0 || n > int64(len(r.rest)) {
		r.fail(errors.New("it ends within a text"))
		return nil
	}
	data := r.rest[:n]
	r.rest = r.rest[n:]
	return data
}

func (r *payloadReader) name() string {
	n := r.number()
	if n < 0 || n >= int64(len(r.names)) {
		r.fail(errors.New("a name is missing"))
		return ""
	}
	return r.names[n]
}

func (r *payloadReader) place() (time.Time, domain.Group) {
	hour := r.number()
	if hour < 0 || hour >= 24 {
		r.fail(fmt.Errorf("it has an hour %d", hour))
	}
	bucket := r.day.Add(time.Duration(hour) * time.Hour)
	return bucket, domain.Group{Grain: domain.GrainFull, Tool: r.name(), Version: r.name(), Country: r.name(), Service: r.name()}
}

func (r *payloadReader) rollup(keep func(time.Time, domain.Group) bool) (domain.RollupRow, bool) {
	row := domain.RollupRow{Resolution: domain.Hourly}
	row.Bucket, row.Group = r.place()
	var numbers [rollupNumbers]int64
	for i := range numbers {
		numbers[i] = r.number()
	}
	latency, sessions := r.bytes(), r.bytes()
	if !keep(row.Bucket, row.Group) {
		return row, false
	}
	var err error
	if row.Rollup, err = newRollup(numbers, latency, sessions); err != nil {
		r.fail(err)
	}
	return row, true
}

func (r *payloadReader) errorRow(keep func(time.Time, domain.Group) bool) (domain.ErrorRow, bool) {
	row := domain.ErrorRow{ErrorKey: domain.ErrorKey{Resolution: domain.Hourly}}
	row.Bucket, row.Group = r.place()
	row.ErrorType = r.name()
	// Full grain and one hour leave nothing open.
	row.ErrorSummary = domain.ErrorSummary{
		Count: r.number(), FirstSeen: row.Bucket, LastSeen: row.Bucket,
		Tools: []string{row.Group.Tool}, Versions: []string{row.Group.Version},
	}
	return row, keep(row.Bucket, row.Group)
}
