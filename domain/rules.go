package domain

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	validation "github.com/go-ozzo/ozzo-validation/v4"
)

// report says what is wrong with an event that accept refused: at most room
// violations and at most [MaxEventViolations], and how many more there are.
// Personal data by name goes before all other rules.
func (j *judge) report(index int, d *draft, room int) (listed []Violation, omitted int) {
	r := &report{judge: j, index: index, draft: d}
	var f *faults
	switch {
	case d.personal != "", d.notObject, d.overflow, j.exhausted:
		f = &faults{count: 1}
	default:
		f = j.faults(d)
		if j.exhausted { // the rest of it cannot be judged
			f = &faults{count: 1}
		}
	}
	for _, p := range f.listed[:min(f.count, len(f.listed), room)] {
		r.describe(p)
	}
	return r.violations, f.count - len(r.violations)
}

const overflowMessage = "a number is too large for any JSON reader to hold"

func personalNameMessage(listed string) string {
	return fmt.Sprintf("a member is named like %q, which means personal data: remove it", listed)
}

// report collects the violations of one event.
type report struct {
	*judge
	index      int
	draft      *draft
	violations []Violation
}

// personalField names the place without repeating a name that the client made
// up: the field and the listed name.
func (r *report) personalField() string {
	if r.draft.personalIn == fieldCount {
		return r.draft.personal
	}
	return fieldNames[r.draft.personalIn] + "." + r.draft.personal
}

func (r *report) add(field string, code ViolationCode, message string) {
	r.violations = append(r.violations, Violation{Index: r.index, Field: field, Code: code, Message: message})
}

// describe adds what is wrong at the place: nothing when it keeps the rules.
func (r *report) describe(p place) {
	switch d := r.draft; {
	case d.personal != "":
		r.add(r.personalField(), ViolationPII, personalNameMessage(d.personal))
	case d.notObject:
		r.add("", ViolationType, "an event must be a JSON object")
	case d.overflow:
		r.add("", ViolationRange, overflowMessage)
	case r.exhausted:
		r.add("", ViolationLength, exhaustedMessage)
	case p.field == fieldParameters:
		r.describeParameters(p)
	default:
		r.validate(p.field, r.value(d.value(p.field)), r.rules(p.field)...)
	}
}

// validate holds a value to the rules, up to the first it breaks.
func (r *report) validate(f field, value any, rules ...validation.Rule) {
	if broken, ok := errors.AsType[validation.Error](validation.Validate(value, rules...)); ok {
		r.add(fieldNames[f], ViolationCode(broken.Code()), fieldNames[f]+" "+broken.Error())
	}
}

// rules lists the rules of every field but the parameters.
func (r *report) rules(f field) []validation.Rule {
	switch f {
	case fieldVersion:
		return []validation.Rule{
			required(), isText(), r.impersonal(true),
			length(MaxVersionLength), match(versionPattern, "0-9 A-Z a-z . + _ -"),
		}
	case fieldTool:
		tools := oneOf(r.config.Catalogue.HasTool, "be a tool of the catalogue; GET /v1/catalogue lists them")
		return []validation.Rule{required(), isText(), validation.When(!r.config.CountUnknownTools, tools)}
	case fieldStatus:
		return []validation.Rule{required(), isText(), oneOf(holds(ParseStatus), "be success or error")}
	case fieldTimestamp:
		return []validation.Rule{required(), isText(), r.isHour()}
	case fieldLevel:
		return []validation.Rule{required(), isText(), oneOf(holds(ParseLevel), "be minimal, standard or detailed")}
	case fieldErrorType:
		return []validation.Rule{
			validation.When(r.failed(), required()), isText(), r.impersonal(false),
			length(MaxErrorTypeLength), match(errorTypePattern, "0-9 A-Z a-z _ . : -"),
		}
	case fieldResponseTime:
		return []validation.Rule{isNumeric(), notNegative()}
	case fieldService:
		return []validation.Rule{
			isText(),
			oneOf(r.config.Catalogue.HasService, "be a service of the catalogue; GET /v1/catalogue lists them"),
		}
	case fieldCacheHit:
		return []validation.Rule{isBoolean()}
	case fieldRetryCount:
		return []validation.Rule{isInteger(), atLeast(0), atMost(MaxRetryCount, ViolationRange, "must not be above %d")}
	case fieldCountry:
		return []validation.Rule{isText(), oneOf(isCountry, "be a country code of ISO 3166-1 alpha-2, or XK")}
	case fieldSession:
		return []validation.Rule{isText(), match(sessionPattern, "exactly 16 hexadecimal digits")}
	case fieldSequence:
		return []validation.Rule{isInteger(), atLeast(0), atMost(MaxSequenceNumber, ViolationRange, "must not be above %d")}
	case fieldParameters, fieldCount:
	}
	return nil
}

// failed reports whether the event must name its error.
func (r *report) failed() bool {
	status, _ := r.value(r.draft.value(fieldStatus)).(string)
	name, _ := r.value(r.draft.value(fieldLevel)).(string)
	level, _ := ParseLevel(name)
	return status == string(StatusError) && level.includes(LevelStandard)
}

func (r *report) describeParameters(p place) {
	d := r.draft
	switch p.part {
	case partWhole:
		if raw := d.value(fieldParameters); raw != nil && raw[0] != '{' {
			r.add(fieldNames[fieldParameters], ViolationType, fieldNames[fieldParameters]+" must be an object")
		}
	case partCount:
		r.validate(fieldParameters, int64(len(d.parameters)),
			atMost(MaxParameters, ViolationLength, "must have at most %d members"))
	case partBytes:
		r.validate(fieldParameters, int64(d.parametersBytes),
			atMost(MaxParametersBytes, ViolationLength, "must have at most %d bytes of JSON"))
	case partName:
		name := r.value(d.text(d.parameters[p.parameter].name))
		r.validate(fieldParameters, name, isText(), r.impersonal(false), length(MaxParameterLength))
	case partValue:
		value := r.value(d.text(d.parameters[p.parameter].value))
		r.validate(fieldParameters, value, isParameter(), r.impersonal(false), length(MaxParameterLength))
	}
}

// kind stands for a value that no rule but the type rules knows.
type kind string

const (
	composite kind = "object or array"
	unstored  kind = "text that no store can hold"
)

// value translates a field's JSON: to nil when absent, a trimmed string, an
// int64, a float64 of the same sign when the number is not whole, a bool, or one
// of the kinds above.
func (r *report) value(raw []byte) any {
	if len(raw) == 0 {
		return nil
	}
	switch raw[0] {
	case '"':
		return storable(raw)
	case 't', 'f':
		return raw[0] == 't'
	case '{', '[':
		return composite
	default:
		if n, whole := parseInteger(raw); whole {
			return n
		}
		if d, _ := readDecimal(raw); d.isNegative() {
			return -0.5
		}
		return 0.5
	}
}

func storable(quoted []byte) any {
	text, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil || strings.ContainsRune(string(text), 0) {
		return unstored
	}
	return strings.TrimSpace(string(text))
}

// broken is the error of a rule; its message reads on after the field's name.
func broken(code ViolationCode, message string) validation.Error {
	return validation.NewError(string(code), message)
}

func required() validation.Rule {
	return validation.Required.ErrorObject(broken(ViolationRequired, "is required"))
}

func isText() validation.Rule {
	return validation.By(func(value any) error {
		if value == unstored {
			return broken(ViolationText, "must not contain NUL or half of a surrogate pair")
		}
		switch value.(type) {
		case nil, string:
			return nil
		default:
			return broken(ViolationType, "must be a string")
		}
	})
}

func isInteger() validation.Rule {
	return validation.By(func(value any) error {
		switch value.(type) {
		case nil, int64:
			return nil
		default:
			return broken(ViolationType, "must be a whole number")
		}
	})
}

func isNumeric() validation.Rule {
	return validation.By(func(value any) error {
		switch value.(type) {
		case nil, int64, float64:
			return nil
		default:
			return broken(ViolationType, "must be a number")
		}
	})
}

// notNegative looks at whole and other numbers, which validation.Min does not
// compare with each other.
func notNegative() validation.Rule {
	return validation.By(func(value any) error {
		whole, _ := value.(int64)
		other, _ := value.(float64)
		if whole < 0 || other < 0 {
			return broken(ViolationRange, "must not be below 0")
		}
		return nil
	})
}

func isBoolean() validation.Rule {
	return validation.By(func(value any) error {
		switch value.(type) {
		case nil, bool:
			return nil
		default:
			return broken(ViolationType, "must be true or false")
		}
	})
}

func isParameter() validation.Rule {
	return validation.By(func(value any) error {
		switch value {
		case unstored:
			return broken(ViolationText, "must hold no string with NUL or half of a surrogate pair")
		case composite:
			return broken(ViolationType, "must hold only strings, numbers and booleans")
		default:
			return nil
		}
	})
}

// Of a text that is longer than any that may be stored, only the reason to give
// is at stake: so many of its bytes are scanned for personal data, and so many
// of all such texts of a batch.
const (
	longestStored  = 4 * MaxParameterLength // in bytes
	longestScanned = 1 << 10
	mostScanned    = 8 << 10
)

// impersonal, length and match look at strings and let everything else pass.
func (j *judge) impersonal(version bool) validation.Rule {
	return onText(func(text string) error {
		if len(text) > longestStored {
			text = text[:min(len(text), longestScanned)]
			if j.scanned += len(text); j.scanned > mostScanned {
				return nil
			}
		}
		switch looksLike, personal := j.scanner.scan([]byte(text), version); {
		case looksLike == PersonalDisguise:
			return broken(ViolationPII, "cannot be judged under so many encodings: send the plain text")
		case personal:
			return broken(ViolationPII, fmt.Sprintf("looks like %s: remove it", looksLike))
		}
		return nil
	})
}

func length(highest int) validation.Rule {
	return onText(func(text string) error {
		return validation.Validate(text, validation.RuneLength(0, highest).ErrorObject(
			broken(ViolationLength, fmt.Sprintf("must have at most %d characters", highest))))
	})
}

var (
	versionPattern   = regexp.MustCompile(`^[0-9A-Za-z.+_-]+$`)
	errorTypePattern = regexp.MustCompile(`^[0-9A-Za-z_.:-]+$`)
	sessionPattern   = regexp.MustCompile(`^[0-9A-Fa-f]{16}$`)
)

func match(pattern *regexp.Regexp, allowed string) validation.Rule {
	return validation.Match(pattern).ErrorObject(broken(ViolationFormat, "must consist of "+allowed))
}

func oneOf(known func(string) bool, message string) validation.Rule {
	return onText(func(text string) error {
		if text == "" || known(text) {
			return nil
		}
		return broken(ViolationUnknown, "must "+message)
	})
}

// holds turns a parser into a test.
func holds[T any](parse func(string) (T, bool)) func(string) bool {
	return func(s string) bool { _, ok := parse(s); return ok }
}

// isCountry takes what stands for no country as well.
func isCountry(s string) bool {
	_, ok := parseCountry([]byte(s))
	return ok || isNoCountry([]byte(s))
}

func onText(rule func(text string) error) validation.Rule {
	return validation.By(func(value any) error {
		if text, ok := value.(string); ok {
			return rule(text)
		}
		return nil
	})
}

func atLeast(lowest int64) validation.Rule {
	return validation.Min(lowest).ErrorObject(broken(ViolationRange, fmt.Sprintf("must not be below %d", lowest)))
}

func atMost(highest int64, code ViolationCode, message string) validation.Rule {
	return validation.Max(highest).ErrorObject(broken(code, fmt.Sprintf(message, highest)))
}

// isHour tells the four ways apart in which a time can be wrong.
func (j *judge) isHour() validation.Rule {
	return onText(func(text string) error {
		at, ok := parseTimestamp([]byte(text))
		switch {
		case !ok:
			return broken(ViolationFormat, "must be a date-time of RFC 3339, such as 2026-11-23T14:00:00Z")
		case !isQuarterHour(at):
			return broken(ViolationPrecise, "must lie exactly on a quarter of an hour: round it down to the hour")
		case at.Unix() > j.furthest:
			return broken(ViolationFuture, fmt.Sprintf("must not lie more than %s ahead", hours(j.config.MaxAhead)))
		case at.Unix() < j.oldest:
			return broken(ViolationOld, "must not be older than "+hours(j.config.MaxAge))
		default:
			return nil
		}
	})
}

func hours(d time.Duration) string {
	if day := 24 * time.Hour; d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	if d == time.Hour {
		return "1 hour"
	}
	return fmt.Sprintf("%g hours", d.Hours())
}
