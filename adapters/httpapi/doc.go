// Package httpapi serves the use cases over HTTP as JSON.
//
// A handler decodes the request, calls one use case and encodes the answer. It
// returns its error, and one place turns errors into answers.
// Nothing that a client sent is logged: no body, query, header, path or
// address.
package httpapi
