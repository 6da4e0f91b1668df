package domain

// ViolationCode says which rule a field breaks. Its text is stable.
type ViolationCode string

// The codes of a [Violation].
const (
	// ViolationPII refuses personal data, by a member's name or by the look of
	// a value. It goes before every other rule.
	ViolationPII ViolationCode = "pii_detected"
	// ViolationRequired misses a field that the declared level demands.
	ViolationRequired ViolationCode = "required"
	// ViolationType finds another JSON type than the field's.
	ViolationType ViolationCode = "invalid_type"
	// ViolationUnknown finds a name outside the list: of tools, services,
	// countries, levels or statuses.
	ViolationUnknown ViolationCode = "unknown_value"
	// ViolationFormat finds characters or a form that the field does not allow.
	ViolationFormat ViolationCode = "invalid_format"
	// ViolationLength finds too much: characters, members or bytes.
	ViolationLength ViolationCode = "too_long"
	// ViolationRange finds a number outside the field's range.
	ViolationRange ViolationCode = "out_of_range"
	// ViolationPrecise finds a time that is finer than a quarter hour, which
	// would tell more about a person than the service wants to know.
	ViolationPrecise ViolationCode = "too_precise"
	// ViolationFuture finds a time too far ahead.
	ViolationFuture ViolationCode = "in_future"
	// ViolationOld finds a time longer ago than the service takes events from.
	ViolationOld ViolationCode = "too_old"
	// ViolationText finds a string that cannot be stored: NUL or half of a
	// surrogate pair.
	ViolationText ViolationCode = "invalid_text"
	// ViolationJSON refuses a whole body that is no strict JSON.
	ViolationJSON ViolationCode = "invalid_json"
	// ViolationBatch refuses a whole body that is JSON and no batch.
	ViolationBatch ViolationCode = "invalid_batch"
)

// WholeBody is the index of a violation that is about the body and not about
// one event.
const WholeBody = -1

// Violation is one broken rule. It never holds a submitted value.
type Violation struct {
	// Index counts the events of the batch from 0; [WholeBody] means all.
	Index int
	// Field is the field's name, or empty for the event or body itself.
	Field string
	Code  ViolationCode
	// Message is a sentence that says what to change.
	Message string
}

// How many violations are listed: of one event, and of a whole batch. Those
// beyond are counted.
const (
	MaxEventViolations = 10
	MaxBatchViolations = 100
)

// Verdict is what the rules say of one event.
type Verdict struct {
	// Index counts the events of the batch from 0.
	Index int
	// JSON is the event as it was sent. It is valid during the call only.
	JSON []byte
	// Event is what would be stored, nil when the event is refused.
	Event *Event
	// Violations lists what is wrong, at most [MaxEventViolations]; a refused
	// event has at least one. Omitted counts the others.
	Violations []Violation
	Omitted    int
}

// Judgement is what the rules say of a batch, event by event.
type Judgement struct {
	// Submitted is the number of events in the batch.
	Submitted int
	// Events holds the accepted events in their order and Indexes the place
	// of each in the batch.
	Events  []Event
	Indexes []int
	// Violations lists what is wrong with the refused events, by index: at most
	// [MaxEventViolations] of one event and [MaxBatchViolations] of all. Omitted
	// counts the others.
	Violations []Violation
	Omitted    int
}

// Refused is the number of events that were not accepted.
func (j *Judgement) Refused() int { return j.Submitted - len(j.Events) }
