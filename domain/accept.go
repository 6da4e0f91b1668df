package domain

import (
	"bytes"
	"hash/maphash"
	"math"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// judge applies the rules to the events of one batch. The rules stand twice,
// for speed: here by hand, to decide, and in rules.go in ozzo-validation, to
// say what is wrong where this found a fault. A property test and a fuzz test
// hold the two equal, place by place.
type judge struct {
	config           *ValidatorConfig
	oldest, furthest int64 // Unix seconds
	scratch, object  []byte
	found            faults
	scanned          int  // bytes of texts that are too long to be stored
	disguised        int  // bytes of texts that were judged as they are and undisguised
	signs            int  // numbers and separators of texts that were judged
	exhausted        bool // the event has more of these than a body may have
	texts            [64]judgedText
	scanner          scanner

	// The events of a batch mostly repeat each other.
	version, errorType, session memo[string]
	hour                        memo[time.Time]
}

// judgedText is a text of which is known whether it looks personal. Bodies repeat
// few texts, or one that is dear to judge.
type judgedText struct {
	raw      []byte // its JSON, nil for none
	personal bool
}

var textSeed = maphash.MakeSeed()

// looksPersonal judges the text that raw stands for.
func (j *judge) looksPersonal(raw, text []byte) bool {
	known := &j.texts[maphash.Bytes(textSeed, raw)%uint64(len(j.texts))]
	if known.raw != nil && bytes.Equal(known.raw, raw) {
		return known.personal
	}
	if (j.disguised > maxDisguised || j.signs > maxSignsOfBody) && j.isBeyond(text) {
		j.exhausted = true
		return true
	}
	_, personal := j.scanner.scan(text, false)
	j.signs += j.scanner.signs
	if j.scanner.tookOff {
		j.disguised += len(text)
	}
	*known = judgedText{raw, personal}
	return personal
}

// What the different texts of a body may have that takes up to ten times as long to
// judge as words: bytes of texts with encoded or look-alike characters, and numbers
// and separators in all of them. Real batches have some hundred of each. Beyond that
// plain texts with few signs still pass.
const (
	maxDisguised   = 8 << 10
	maxSignsOfBody = 12_000
	fewSigns       = 8
)

const exhaustedMessage = "the batch has too many different texts of numbers and separators, or of encoded or look-alike " +
	"characters, to be judged at once: send this event in another batch"

// isBeyond reports whether a text is of a kind of which the body has had enough.
func (j *judge) isBeyond(text []byte) bool {
	seen := countCharacters(text)
	return j.disguised > maxDisguised && seen.mayBeDisguised(text) || j.signs > maxSignsOfBody && seen.signs > fewSigns
}

// memo is the last good value and the JSON it came from.
type memo[T any] struct {
	raw   []byte
	value T
}

func (m *memo[T]) holds(raw []byte) bool { return m.raw != nil && bytes.Equal(m.raw, raw) }

func (v *Validator) at(now time.Time) *judge {
	return &judge{
		config:   &v.config,
		oldest:   now.Add(-v.config.MaxAge).Unix(),
		furthest: now.Add(v.config.MaxAhead).Unix(),
	}
}

// accept fills e from d if d keeps every rule.
func (j *judge) accept(d *draft, e *Event) bool {
	j.exhausted = false
	if d.notObject || d.personal != "" || d.overflow || !j.acceptMinimal(d, e) {
		return false
	}
	if e.Level.includes(LevelStandard) && !j.acceptStandard(d, e) {
		return false
	}
	return !e.Level.includes(LevelDetailed) || j.acceptDetailed(d, e)
}

func (j *judge) acceptMinimal(d *draft, e *Event) bool {
	return j.acceptVersion(d.value(fieldVersion), e) &&
		j.acceptTool(d.value(fieldTool), e) &&
		j.acceptHour(d.value(fieldTimestamp), e) &&
		j.acceptStatus(d.value(fieldStatus), e) &&
		j.acceptLevel(d.value(fieldLevel), e) &&
		j.acceptErrorType(d.value(fieldErrorType), e)
}

func (j *judge) acceptStatus(raw []byte, e *Event) (ok bool) {
	e.Status, ok = j.status(raw)
	return ok
}

func (j *judge) acceptLevel(raw []byte, e *Event) (ok bool) {
	e.Level, ok = j.level(raw)
	return ok
}

// status and level look at the usual spelling first.
func (j *judge) status(raw []byte) (Status, bool) {
	switch string(raw) {
	case `"success"`:
		return StatusSuccess, true
	case `"error"`:
		return StatusError, true
	}
	text, ok := j.text(raw)
	if !ok {
		return "", false
	}
	return ParseStatus(string(text))
}

func (j *judge) level(raw []byte) (Level, bool) {
	switch string(raw) {
	case `"minimal"`:
		return LevelMinimal, true
	case `"standard"`:
		return LevelStandard, true
	case `"detailed"`:
		return LevelDetailed, true
	}
	text, ok := j.text(raw)
	if !ok {
		return "", false
	}
	return ParseLevel(string(text))
}

func (j *judge) acceptVersion(raw []byte, e *Event) bool {
	if j.version.holds(raw) {
		e.Version = j.version.value
		return true
	}
	text, ok := j.text(raw)
	if !ok || len(text) == 0 || len(text) > MaxVersionLength || !all(text, isVersionCharacter) {
		return false
	}
	if _, personal := j.scanner.scan(text, true); personal {
		return false
	}
	j.version = memo[string]{raw, string(text)}
	e.Version = j.version.value
	return true
}

func (j *judge) acceptTool(raw []byte, e *Event) bool {
	if !j.name(raw, &j.config.Catalogue.tools, &e.Tool) {
		return false
	}
	if e.Tool == OtherName {
		return j.config.CountUnknownTools
	}
	return e.Tool != ""
}

// name looks a name up: its usual spelling first. An empty text gives the
// empty name, an unknown one [OtherName]; other values are false.
func (j *judge) name(raw []byte, in *names, to *string) bool {
	name, known := in.quoted[string(raw)]
	if *to = name; known {
		return true
	}
	text, ok := j.text(raw)
	if !ok || len(text) == 0 {
		return ok
	}
	if *to, known = in.set[string(text)]; !known {
		*to = OtherName
	}
	return true
}

func (j *judge) acceptHour(raw []byte, e *Event) bool {
	if j.hour.holds(raw) {
		e.Hour = j.hour.value
		return true
	}
	text, ok := j.text(raw)
	if !ok {
		return false
	}
	at, ok := parseTimestamp(text)
	if !ok || !isQuarterHour(at) || at.Unix() < j.oldest || at.Unix() > j.furthest {
		return false
	}
	j.hour = memo[time.Time]{raw, Hourly.Floor(at)}
	e.Hour = j.hour.value
	return true
}

func (j *judge) acceptErrorType(raw []byte, e *Event) bool {
	required := e.Status == StatusError && e.Level.includes(LevelStandard)
	switch {
	case raw == nil:
		return !required
	case j.errorType.holds(raw):
		e.ErrorType = j.errorType.value
		return true
	}
	text, ok := j.text(raw)
	if !ok || len(text) > MaxErrorTypeLength || !all(text, isErrorTypeCharacter) {
		return false
	}
	if len(text) == 0 {
		return !required
	}
	if j.looksPersonal(raw, text) {
		return false
	}
	j.errorType = memo[string]{raw, string(text)}
	e.ErrorType = j.errorType.value
	return true
}

func (j *judge) acceptStandard(d *draft, e *Event) bool {
	return acceptResponseTime(d.value(fieldResponseTime), e) &&
		j.acceptService(d.value(fieldService), e) &&
		acceptCacheHit(d.value(fieldCacheHit), e) &&
		acceptInteger(d.value(fieldRetryCount), MaxRetryCount, &e.RetryCount) &&
		j.acceptCountry(d.value(fieldCountry), e)
}

// acceptResponseTime accepts any number from 0 on: timers of high resolution
// give fractions, which are rounded half up.
func acceptResponseTime(raw []byte, e *Event) bool {
	if raw == nil {
		return true
	}
	ms, ok := readDecimal(raw)
	if !ok || ms.isNegative() {
		return false
	}
	e.ResponseTimeMS = Some(int32(ms.rounded(MaxResponseTimeMS))) //nolint:gosec // at most that
	return true
}

func acceptCacheHit(raw []byte, e *Event) bool {
	switch string(raw) {
	case "":
	case "true":
		e.CacheHit = Some(true)
	case "false":
		e.CacheHit = Some(false)
	default:
		return false
	}
	return true
}

// acceptInteger accepts a whole number from 0 to highest. What does not fit 32
// bits is cut to the largest that does; the callers' limits lie far below.
func acceptInteger(raw []byte, highest int64, to *Optional[int32]) bool {
	if raw == nil {
		return true
	}
	n, ok := parseInteger(raw)
	if !ok || n < 0 || n > highest {
		return false
	}
	*to = Some(int32(min(n, math.MaxInt32)))
	return true
}

func (j *judge) acceptService(raw []byte, e *Event) bool {
	return raw == nil || j.name(raw, &j.config.Catalogue.services, &e.Service) && e.Service != OtherName
}

func (j *judge) acceptCountry(raw []byte, e *Event) bool {
	if raw == nil {
		return true
	}
	text, ok := j.text(raw)
	if !ok {
		return false
	}
	if len(text) > 0 && !isNoCountry(text) {
		e.Country, ok = parseCountry(text)
	}
	return ok
}

func (j *judge) acceptDetailed(d *draft, e *Event) bool {
	return j.acceptSession(d.value(fieldSession), e) &&
		acceptInteger(d.value(fieldSequence), MaxSequenceNumber, &e.SequenceNumber) &&
		j.acceptParameters(d, e)
}

func (j *judge) acceptSession(raw []byte, e *Event) bool {
	switch {
	case raw == nil:
		return true
	case j.session.holds(raw):
		e.SessionID = j.session.value
		return true
	}
	text, ok := j.text(raw)
	if !ok || len(text) == 0 {
		return ok
	}
	if len(text) != SessionIDLength || !all(text, isHexadecimal) {
		return false
	}
	j.session = memo[string]{raw, string(bytes.ToLower(text))}
	e.SessionID = j.session.value
	return true
}

func (j *judge) acceptParameters(d *draft, e *Event) bool {
	raw := d.value(fieldParameters)
	if raw == nil {
		return true
	}
	if raw[0] != '{' || len(d.parameters) > MaxParameters || d.parametersBytes > MaxParametersBytes {
		return false
	}
	object := append(j.object[:0], '{')
	for i, p := range d.parameters {
		if i > 0 {
			object = append(object, ',')
		}
		var nameOK, valueOK bool
		object, nameOK = j.appendText(object, d.text(p.name))
		object, valueOK = j.appendParameter(append(object, ':'), d.text(p.value))
		if !nameOK || !valueOK {
			return false
		}
	}
	j.object = append(object, '}')
	e.Parameters = string(j.object)
	return true
}

func (j *judge) appendParameter(to, raw []byte) ([]byte, bool) {
	switch raw[0] {
	case '"':
		return j.appendText(to, raw)
	case '{', '[':
		return to, false
	default:
		return append(to, raw...), true
	}
}

// appendText appends free text in its shortest JSON.
func (j *judge) appendText(to, raw []byte) ([]byte, bool) {
	text, ok := j.text(raw)
	if !ok || len(text) > MaxParameterLength && utf8.RuneCount(text) > MaxParameterLength {
		return to, false
	}
	if j.looksPersonal(raw, text) {
		return to, false
	}
	quoted, err := jsontext.AppendQuote(to, text)
	return quoted, err == nil
}

// text gives the trimmed text of a JSON string, or false for other values and
// for text that cannot be stored. It is valid until the next call.
func (j *judge) text(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	text := raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		unquoted, err := jsontext.AppendUnquote(j.scratch[:0], raw)
		j.scratch = unquoted
		if err != nil || bytes.IndexByte(unquoted, 0) >= 0 {
			return nil, false
		}
		text = unquoted
	}
	return bytes.TrimSpace(text), true
}

func all(text []byte, is func(byte) bool) bool {
	for _, c := range text {
		if !is(c) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isVersionCharacter(c byte) bool {
	return isAlphanumeric(c) || c == '.' || c == '+' || c == '_' || c == '-'
}

func isErrorTypeCharacter(c byte) bool {
	return isAlphanumeric(c) || c == '_' || c == '.' || c == ':' || c == '-'
}

func isHexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// parseInteger reads a JSON number that is whole, however it is written (12,
// 12.0 and 1.2e1 are the same number); one beyond 18 digits gives one that is
// beyond every limit, with its sign.
func parseInteger(raw []byte) (int64, bool) {
	d, ok := readDecimal(raw)
	if !ok || !d.isWhole() {
		return 0, false
	}
	n := d.truncated(math.MaxInt64)
	if d.negative {
		n = -n
	}
	return n, true
}
