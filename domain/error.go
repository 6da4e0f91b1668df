package domain

import "errors"

// Code says why something failed. Its text is stable: it is what clients read
// in the error member of an answer and what metrics count by.
type Code string

// The codes an [Error] can carry.
const (
	// CodeInvalid refuses input; repeating it unchanged cannot help.
	CodeInvalid Code = "validation_failed"
	// CodeNotFound means that nothing goes by the name asked for.
	CodeNotFound Code = "not_found"
	// CodeUnavailable means that something needed is away or full for now;
	// the same call may succeed later.
	CodeUnavailable Code = "service_unavailable"
	// CodeQueueFull is the queue's refusal of a batch that does not fit; it
	// may fit later.
	CodeQueueFull Code = "queue_full"
	// CodeDiskFull means that a disk has no room: nothing was kept, and the
	// same call may succeed once there is room again.
	CodeDiskFull Code = "disk_full"
	// CodeIdempotencyKeyReused refuses a request whose idempotency key stands for
	// another body; it may succeed under a new key.
	CodeIdempotencyKeyReused Code = "idempotency_key_reused"
	// CodePoison marks a batch that the store refuses for the batch's own
	// sake: no repetition can cure it.
	CodePoison Code = "poison_batch"
	// CodeInternal is everything unclassified: a defect.
	CodeInternal Code = "internal_error"
)

// Error is a failure with a reason. Message may be shown to any client, so it
// never holds a submitted value or a driver's text; Err is for the log.
type Error struct {
	Code    Code
	Message string
	// Violations lists what is wrong with which event, for CodeInvalid, and
	// Omitted counts what the list leaves out.
	Violations []Violation
	Omitted    int
	Err        error
}

// NewError returns an Error of that code whose cause is err, which may be nil.
func NewError(code Code, err error, message string) *Error {
	return &Error{Code: code, Message: message, Err: err}
}

// Error gives the message and its cause, for logs.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf reports why err happened. Anything unclassified is [CodeInternal];
// nil has the empty code.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// MessageOf is the sentence a client may see for err; unclassified errors have
// a general one.
func MessageOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return "something went wrong on our side"
}
