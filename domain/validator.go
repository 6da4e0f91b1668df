package domain

import (
	"bytes"
	"fmt"
	"time"
)

// ValidatorConfig chooses the rules that can be chosen. Zero values mean the
// defaults.
type ValidatorConfig struct {
	// Catalogue lists tools and services. Default [DefaultCatalogue].
	Catalogue *Catalogue
	// CountUnknownTools stores an event with an unknown tool under
	// [OtherName], dropping the name, where the default refuses it.
	CountUnknownTools bool
	// MaxBatchSize is how many events a batch may have. Default 100.
	MaxBatchSize int
	// MaxAge is how old an event may be. Default 7 days; at most the retention
	// of daily aggregates, beyond which a call would not be counted.
	MaxAge time.Duration
	// MaxAhead is how far in the future an event may lie. Default 2 hours.
	MaxAhead time.Duration
}

// The defaults of a [ValidatorConfig].
const (
	DefaultMaxBatchSize = 100
	DefaultMaxAge       = 7 * 24 * time.Hour
	DefaultMaxAhead     = 2 * time.Hour
)

// Validator judges batches. It is safe for concurrent use.
type Validator struct {
	config ValidatorConfig
}

// NewValidator returns a validator.
func NewValidator(config ValidatorConfig) *Validator {
	if config.Catalogue == nil {
		config.Catalogue = DefaultCatalogue()
	}
	if config.MaxBatchSize == 0 {
		config.MaxBatchSize = DefaultMaxBatchSize
	}
	if config.MaxAge == 0 {
		config.MaxAge = DefaultMaxAge
	}
	if config.MaxAhead == 0 {
		config.MaxAhead = DefaultMaxAhead
	}
	return &Validator{config: config}
}

// Batch judges the raw bytes of a request body at the time now: the same
// judgement that the server passes. It keeps nothing of body. The error is an
// [*Error] of [CodeInvalid] with one violation; it is not nil when the body as
// a whole is refused: no strict JSON, no batch, an empty or too large one, or
// personal data beside the events.
func (v *Validator) Batch(body []byte, now time.Time) (Judgement, error) {
	judge := v.at(now)
	room := min(v.config.MaxBatchSize, len(body)/smallestEvent+1)
	judgement := Judgement{Events: make([]Event, 0, room), Indexes: make([]int, 0, room)}
	submitted, err := v.read(body, func(index int, d *draft) {
		place := len(judgement.Events)
		judgement.Events = append(judgement.Events, Event{})
		if judge.accept(d, &judgement.Events[place]) {
			judgement.Indexes = append(judgement.Indexes, index)
			return
		}
		judgement.Events = judgement.Events[:place]
		listed, omitted := judge.report(index, d, MaxBatchViolations-len(judgement.Violations))
		judgement.Violations = append(judgement.Violations, listed...)
		judgement.Omitted += omitted
	})
	if err != nil {
		return Judgement{}, err
	}
	judgement.Submitted = submitted
	return judgement, nil
}

// Each judges as [Validator.Batch] does, and calls verdict for every event of
// the batch in order, with the violations of each however many the batch has.
// After an error none of the verdicts holds.
func (v *Validator) Each(body []byte, now time.Time, verdict func(Verdict)) error {
	judge := v.at(now)
	_, err := v.read(body, func(index int, d *draft) {
		sent := bytes.TrimLeft(d.text(d.json), ", \t\r\n") // without what separates events
		given := Verdict{Index: index, JSON: sent, Event: new(Event)}
		if !judge.accept(d, given.Event) {
			given.Event = nil
			given.Violations, given.Omitted = judge.report(index, d, MaxEventViolations)
		}
		verdict(given)
	})
	return err
}

// read calls event for each event of the body and returns their number, at
// least one.
func (v *Validator) read(body []byte, event func(index int, d *draft)) (int, error) {
	submitted, err := newReader(body).batch(v.config.MaxBatchSize, event)
	if err == nil && submitted == 0 {
		err = refusal(ViolationBatch, "events", "the batch is empty: send at least one event")
	}
	return submitted, err
}

// smallestEvent is about the size of the smallest event's JSON, in bytes.
const smallestEvent = 130

// Refusal is the error to answer with when nothing of the batch may be stored:
// when no event is accepted, or when strict and any is refused. Otherwise nil.
func (j *Judgement) Refusal(strict bool) error {
	var message string
	switch {
	case len(j.Events) == 0:
		message = fmt.Sprintf("none of the batch's %d events can be accepted", j.Submitted)
	case strict && j.Refused() > 0:
		message = fmt.Sprintf("%d of the batch's %d events cannot be accepted, and the request asks for all or nothing",
			j.Refused(), j.Submitted)
	default:
		return nil
	}
	return &Error{Code: CodeInvalid, Message: message, Violations: j.Violations, Omitted: j.Omitted}
}

// CheckIdempotencyKey refuses a key that is longer than
// [MaxIdempotencyKeyLength] or holds anything but visible ASCII characters.
// The empty key means none and passes.
func CheckIdempotencyKey(key string) error {
	bad := len(key) > MaxIdempotencyKeyLength
	for i := range len(key) {
		bad = bad || key[i] <= ' ' || key[i] > '~'
	}
	if !bad {
		return nil
	}
	return NewError(CodeInvalid, nil, fmt.Sprintf(
		"the Idempotency-Key must have 1 to %d visible ASCII characters", MaxIdempotencyKeyLength))
}
