// Package domain holds the rules of anonymous usage analytics: what an event
// is, which events are accepted, what counts as personal data, how events add
// up to statistics and what the statistics look like.
//
// It does no input or output, reads no clock and keeps no state that changes,
// so that any program can import it. [Validator.Batch] is the whole of
// ingestion's judgement: a client that calls it on the body it is about to
// post learns exactly what the server will say.
package domain
