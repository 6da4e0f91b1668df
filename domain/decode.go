package domain

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep a body may nest; the body itself is level one.
const maxDepth = 32

// maxBodyBytes keeps places in a body within 32 bits.
const maxBodyBytes = 1 << 30

// field numbers the fields of an event as JSON names them.
type field int

const (
	fieldVersion field = iota
	fieldTool
	fieldStatus
	fieldTimestamp
	fieldLevel
	fieldErrorType
	fieldResponseTime
	fieldService
	fieldCacheHit
	fieldRetryCount
	fieldCountry
	fieldParameters
	fieldSession
	fieldSequence
	fieldCount
)

var fieldNames = [fieldCount]string{
	"version", "tool", "status", "timestamp_hour", "analytics_level", "error_type", "response_time_ms",
	"service", "cache_hit", "retry_count", "country", "parameters", "session_id", "sequence_number",
}

// fieldOf finds a field by its quoted name. A switch costs less than a map on
// this hottest of paths.
func fieldOf(quoted []byte) (field, bool) {
	switch string(quoted) {
	case `"version"`:
		return fieldVersion, true
	case `"tool"`:
		return fieldTool, true
	case `"status"`:
		return fieldStatus, true
	case `"timestamp_hour"`:
		return fieldTimestamp, true
	case `"analytics_level"`:
		return fieldLevel, true
	case `"error_type"`:
		return fieldErrorType, true
	case `"response_time_ms"`:
		return fieldResponseTime, true
	case `"service"`:
		return fieldService, true
	case `"cache_hit"`:
		return fieldCacheHit, true
	case `"retry_count"`:
		return fieldRetryCount, true
	case `"country"`:
		return fieldCountry, true
	case `"parameters"`:
		return fieldParameters, true
	case `"session_id"`:
		return fieldSession, true
	case `"sequence_number"`:
		return fieldSequence, true
	default:
		return 0, false
	}
}

// span is a part of the body; the zero span stands for an absent value. Spans
// hold no pointer, so that filling a draft costs the garbage collector nothing.
type span struct{ start, end uint32 }

// draft is an event as it was read and not yet judged.
type draft struct {
	// body is what the spans are parts of.
	body []byte
	// json is the event as it was sent.
	json span
	// values holds the JSON of each field: absent when missing or null, only
	// the first byte where it is an object or array.
	values [fieldCount]span
	// parameters holds the members of the parameters object that are not null.
	parameters []parameter
	// parametersBytes is the size of the parameters' JSON without white space.
	parametersBytes int
	// personal is the listed name of the first member that means personal data.
	personal string
	// personalIn is the field in which it was found, or fieldCount.
	personalIn field
	// overflow says that some number is beyond what a double can hold.
	overflow bool
	// notObject says that the event was no JSON object.
	notObject bool
}

type parameter struct{ name, value span }

func (d *draft) reset() {
	*d = draft{body: d.body, parameters: d.parameters[:0], personalIn: fieldCount}
}

func (s span) length() int { return int(s.end - s.start) }

// value is the JSON of a field, nil when absent.
func (d *draft) value(f field) []byte { return d.text(d.values[f]) }

func (d *draft) text(s span) []byte {
	if s.end == 0 {
		return nil
	}
	return d.body[s.start:s.end]
}

// byteOrderMark may stand before a body (RFC 8259, section 8.1).
var byteOrderMark = []byte("\ufeff")

// reader reads one body, once.
type reader struct {
	// body is what was sent, but for the byte order mark, whose length is
	// skipped.
	body    []byte
	skipped int64
	decoder *jsontext.Decoder
	draft   draft
	// scratch and folded hold the last name, unquoted and folded.
	scratch, folded []byte
	// names holds the hashes of the names in the objects that are open, the
	// innermost last.
	names []uint64
	// table is memory for comparing them.
	table []uint64
	// objects holds where these objects, and the lists among them, began.
	objects []opened
}

// opened is an object or a list: where it starts in the body, and how many names
// were known then.
type opened struct {
	start int64
	names int
}

// lenientText leaves half a surrogate pair in an escape to the rules: it is one
// event's fault and not the body's. Raw bytes are checked beforehand.
var lenientText = jsontext.AllowInvalidUTF8(true)

func newReader(sent []byte) *reader {
	body := bytes.TrimPrefix(sent, byteOrderMark)
	return &reader{body: body, skipped: int64(len(sent) - len(body)), draft: draft{body: body}}
}

// refusal is a fault of the body as a whole.
func refusal(code ViolationCode, field, message string) error {
	return &Error{
		Code: CodeInvalid, Message: message,
		Violations: []Violation{{Index: WholeBody, Field: field, Code: code, Message: message}},
	}
}

// batch reads the body and calls event for each of its events, in order; the
// draft is valid during the call. It returns the number of events. An error is
// a refusal of the whole body.
func (r *reader) batch(maxEvents int, event func(index int, d *draft)) (int, error) {
	if err := r.checkText(); err != nil {
		return 0, err
	}
	read, whole := r.common(maxEvents, event)
	if whole {
		return read, nil
	}
	return r.any(maxEvents, func(index int, d *draft) {
		if index >= read {
			event(index, d)
		}
	})
}

// any is batch for a body of any form.
func (r *reader) any(maxEvents int, event func(index int, d *draft)) (int, error) {
	r.names = r.names[:0]
	r.decoder = jsontext.NewDecoder(bytes.NewBuffer(r.body), lenientText, jsontext.AllowDuplicateNames(true))
	if r.decoder.PeekKind() != '{' {
		return 0, r.notBatch()
	}
	if err := r.open(); err != nil {
		return 0, err
	}
	var s surroundings
	s.draft.reset()
	for r.decoder.PeekKind() != '}' {
		if err := r.bodyMember(&s, maxEvents, event); err != nil {
			return 0, err
		}
	}
	if err := r.end(); err != nil {
		return 0, err
	}
	return s.events, s.judge()
}

func (r *reader) checkText() error {
	switch {
	case len(r.body) > maxBodyBytes:
		return refusal(ViolationJSON, "", "the body is larger than a gigabyte")
	case !utf8.Valid(r.body):
		return refusal(ViolationJSON, "", "the body is not valid UTF-8")
	case len(bytes.TrimSpace(r.body)) == 0:
		return refusal(ViolationJSON, "", "the body is empty: send {\"events\":[…]}")
	default:
		return nil
	}
}

// notBatch refuses a body that is no object. What is no JSON is told so first.
func (r *reader) notBatch() error {
	var d draft
	if err := r.scan(&d, fieldCount); err != nil {
		return err
	}
	return refusal(ViolationBatch, "", "the body must be an object with the member events")
}

// surroundings are what a body holds beside its events.
type surroundings struct {
	events int
	// found says that there were events.
	found bool
	draft draft
}

func (r *reader) bodyMember(s *surroundings, maxEvents int, event func(index int, d *draft)) error {
	name, err := r.name()
	if err != nil {
		return err
	}
	if string(name) == "events" && r.decoder.PeekKind() == '[' && !s.found {
		s.found = true
		s.events, err = r.events(maxEvents, event)
		return err
	}
	r.noteName(&s.draft, name, fieldCount)
	return r.scan(&s.draft, fieldCount)
}

func (s *surroundings) judge() error {
	switch d := &s.draft; {
	case d.personal != "":
		return refusal(ViolationPII, d.personal, personalNameMessage(d.personal))
	case d.overflow:
		return refusal(ViolationRange, "", overflowMessage)
	case !s.found:
		return refusal(ViolationBatch, "events", "the body must have a member events that holds an array")
	default:
		return nil
	}
}

func (r *reader) events(maxEvents int, event func(index int, d *draft)) (int, error) {
	if err := r.open(); err != nil {
		return 0, err
	}
	count := 0
	for r.decoder.PeekKind() != ']' {
		if count == maxEvents {
			return 0, refusal(ViolationBatch, "events", fmt.Sprintf(
				"the batch has more than %d events: send it in parts", maxEvents))
		}
		r.draft.reset()
		start := r.decoder.InputOffset()
		if err := r.event(&r.draft); err != nil {
			return 0, err
		}
		r.draft.json = span{uint32(start), uint32(r.decoder.InputOffset())} //nolint:gosec // longer bodies are refused
		event(count, &r.draft)
		count++
	}
	return count, r.close()
}

func (r *reader) event(d *draft) error {
	if r.decoder.PeekKind() != '{' {
		d.notObject = true
		return r.scan(d, fieldCount)
	}
	if err := r.open(); err != nil {
		return err
	}
	var seen [fieldCount + 1]bool
	for r.decoder.PeekKind() != '}' {
		quoted, err := r.decoder.ReadValue()
		if err != nil {
			return r.syntax(err)
		}
		f := r.fieldNamed(d, quoted)
		if seen[f] && f != fieldCount {
			return r.duplicate()
		}
		seen[f] = true
		if err := r.field(d, f); err != nil {
			return err
		}
	}
	return r.close()
}

func (r *reader) duplicate() error {
	return r.syntax(jsontext.ErrDuplicateName)
}

// fieldNamed is fieldCount for a name that is not known.
func (r *reader) fieldNamed(d *draft, quoted []byte) field {
	if f, known := fieldOf(quoted); known {
		return f
	}
	name := r.unquote(quoted)
	if f, known := fieldOf([]byte(`"` + string(name) + `"`)); known {
		return f // spelt with escapes
	}
	r.remember(name)
	r.noteName(d, name, fieldCount)
	return fieldCount
}

// field reads the value of an event's member; fieldCount stands for one that
// is not known.
func (r *reader) field(d *draft, f field) error {
	switch kind := r.decoder.PeekKind(); {
	case f == fieldCount:
		return r.scan(d, f)
	case kind == '{' || kind == '[':
		d.values[f] = r.ahead()
		if f == fieldParameters && kind == '{' {
			return r.parameters(d)
		}
		return r.scan(d, f)
	default:
		value, err := r.scalar(d)
		if kind != 'n' {
			d.values[f] = value
		}
		return err
	}
}

func (r *reader) parameters(d *draft) error {
	if err := r.open(); err != nil {
		return err
	}
	for r.decoder.PeekKind() != '}' {
		p, kept, err := r.parameter(d)
		if err != nil {
			return err
		}
		if kept {
			r.keepParameter(d, p)
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	d.measureParameters()
	return nil
}

func (d *draft) measureParameters() {
	d.parametersBytes = len("{}") + max(0, len(d.parameters)-1)
	for _, p := range d.parameters {
		d.parametersBytes += p.name.length() + len(":") + p.value.length()
	}
}

// parameter reads one member; one that is null is not kept.
func (r *reader) parameter(d *draft) (p parameter, kept bool, err error) {
	name, err := r.decoder.ReadValue()
	if err != nil {
		return p, false, r.syntax(err)
	}
	p.name = r.last(name)
	text := r.unquote(name)
	r.noteParameter(d, text)
	switch kind := r.decoder.PeekKind(); kind {
	case '{', '[':
		p.value = r.ahead()
		return p, true, r.scan(d, fieldParameters)
	default:
		p.value, err = r.scalar(d)
		return p, kind != 'n', err
	}
}

// scan reads a value that is not kept, for the names in it.
func (r *reader) scan(d *draft, in field) error {
	outside := r.decoder.StackDepth()
	for {
		var err error
		switch r.decoder.PeekKind() {
		case '{', '[':
			err = r.open()
		case '}', ']':
			err = r.close()
		default:
			err = r.scanScalar(d, in)
		}
		if err != nil {
			return err
		}
		if r.decoder.StackDepth() == outside {
			return nil
		}
	}
}

func (r *reader) scanScalar(d *draft, in field) error {
	if container, length := r.decoder.StackIndex(r.decoder.StackDepth()); container == '{' && length%2 == 0 {
		name, err := r.name()
		if err == nil {
			r.noteName(d, name, in)
		}
		return err
	}
	_, err := r.scalar(d)
	return err
}

// noteName remembers the first name that means personal data.
func (r *reader) noteName(d *draft, name []byte, in field) {
	if d.personal != "" {
		return
	}
	r.folded = foldName(r.folded[:0], name)
	if listed, personal := personalName(r.folded); personal {
		d.personal, d.personalIn = listed, in
	}
}

// open reads the start of an object or array.
func (r *reader) open() error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return r.syntax(err)
	}
	if r.decoder.StackDepth() > maxDepth {
		return refusal(ViolationJSON, "", fmt.Sprintf("the body nests deeper than %d levels", maxDepth))
	}
	r.objects = append(r.objects, opened{r.decoder.InputOffset() - 1, len(r.names)})
	return nil
}

// close reads the end of what open began, and makes sure that no name stands
// twice in it. The decoder could do so for every object, at an eighth of the time
// of the whole judgement; so hashes are compared, and only what has two that are
// equal is read again.
func (r *reader) close() error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return r.syntax(err)
	}
	last := len(r.objects) - 1
	object := r.objects[last]
	repeats := r.hasTwice(r.names[object.names:])
	r.objects, r.names = r.objects[:last], r.names[:object.names]
	if repeats && !jsontext.Value(r.body[object.start:r.decoder.InputOffset()]).IsValid(lenientText) {
		return r.duplicate()
	}
	return nil
}

// hasTwice reports whether two hashes are equal.
func (r *reader) hasTwice(hashes []uint64) bool {
	const few = 16
	if len(hashes) > few {
		return r.hasTwiceOfMany(hashes)
	}
	for i, hash := range hashes {
		if slices.Contains(hashes[:i], hash) {
			return true
		}
	}
	return false
}

// hasTwiceOfMany puts the hashes into a table that is at least half empty, each at
// the first free place behind its own; 0 marks those. The hash 0 counts as 1.
func (r *reader) hasTwiceOfMany(hashes []uint64) bool {
	size := 1 << bits.Len(uint(2*len(hashes)))
	r.table = slices.Grow(r.table[:0], size)[:size]
	clear(r.table)
	for _, hash := range hashes {
		hash = max(hash, 1)
		at := int(hash) & (size - 1) //nolint:gosec // its lowest bits
		for ; r.table[at] != 0; at = (at + 1) & (size - 1) {
			if r.table[at] == hash {
				return true
			}
		}
		r.table[at] = hash
	}
	return false
}

var nameSeed = maphash.MakeSeed()

// remember adds a name to those of the innermost object.
func (r *reader) remember(name []byte) {
	if len(r.names) == manyMembers {
		r.names = slices.Grow(r.names, r.mostMembers())
	}
	r.names = append(r.names, maphash.Bytes(nameSeed, name))
}

// manyMembers is more than honest objects have. Room for more is made once, for all
// that the body can have: to let it grow would double what such a body takes.
const manyMembers = 64

func (r *reader) mostMembers() int { return len(r.body) / len(`"a":1,`) }

// noteParameter remembers a parameter's name, for whether it is personal too. Of an
// event that has far too many parameters no more names are judged: it is refused.
func (r *reader) noteParameter(d *draft, name []byte) {
	r.remember(name)
	if len(d.parameters) <= manyMembers {
		r.noteName(d, name, fieldParameters)
	}
}

// keepParameter adds one to those of the event.
func (r *reader) keepParameter(d *draft, p parameter) {
	if len(d.parameters) == manyMembers {
		d.parameters = slices.Grow(d.parameters, r.mostMembers())
	}
	d.parameters = append(d.parameters, p)
}

// name reads a member's name, unquoted.
func (r *reader) name() ([]byte, error) {
	value, err := r.decoder.ReadValue()
	if err != nil {
		return nil, r.syntax(err)
	}
	name := r.unquote(value)
	r.remember(name)
	return name, nil
}

func (r *reader) scalar(d *draft) (span, error) {
	value, err := r.decoder.ReadValue()
	if err != nil {
		return span{}, r.syntax(err)
	}
	if isNumber(value) && overflows(value) {
		d.overflow = true
	}
	return r.last(value), nil
}

// last is where the value just read stands in the body: the decoder may reuse
// its own copy.
func (r *reader) last(value []byte) span {
	end := uint32(r.decoder.InputOffset())     //nolint:gosec // longer bodies are refused
	return span{end - uint32(len(value)), end} //nolint:gosec // part of the body
}

// ahead is the first byte of the object or array that stands next.
func (r *reader) ahead() span {
	rest := r.body[r.decoder.InputOffset():]
	start := uint32(len(r.body) - len(rest) + bytes.IndexAny(rest, "{[")) //nolint:gosec // part of the body
	return span{start, start + 1}
}

// unquote gives a name's text for comparing: half a surrogate pair, which no
// known name has, becomes a replacement character. The result is valid until
// the next call.
func (r *reader) unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	r.scratch, _ = jsontext.AppendUnquote(r.scratch[:0], quoted)
	return r.scratch
}

// end reads the end of the body and makes sure that nothing follows.
func (r *reader) end() error {
	if err := r.close(); err != nil {
		return err
	}
	if _, err := r.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return refusal(ViolationJSON, "", "the body goes on after the end of its JSON value")
	}
	return nil
}

// syntax turns the decoder's error, whose text repeats what was sent, into a
// refusal that says where and what.
func (r *reader) syntax(err error) error {
	if err == nil {
		return nil
	}
	what := "it is not valid JSON"
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		what = "a member's name stands twice in one object"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		what = "it ends too early"
	}
	offset := r.decoder.InputOffset()
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset = syntactic.ByteOffset
	}
	return refusal(ViolationJSON, "", "the body cannot be read at byte "+strconv.FormatInt(r.skipped+offset, 10)+": "+what)
}

func isNumber(value []byte) bool {
	return value[0] == '-' || value[0] >= '0' && value[0] <= '9'
}

// overflows reports whether a double cannot hold the number. That takes an
// exponent of three digits or hundreds of digits.
func overflows(number []byte) bool {
	if len(number) < len("1e309") || len(number) < 300 && bytes.IndexByte(number, 'e') < 0 && bytes.IndexByte(number, 'E') < 0 {
		return false
	}
	d, _ := readDecimal(number)
	return d.overflows()
}
