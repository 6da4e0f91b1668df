package openapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is a request and its answer.
type Exchange struct {
	Request *http.Request
	// Sent is the body of the request, as far as it was read.
	Sent []byte

	Status   int
	Header   http.Header
	Received []byte
}

// everywhere are headers that the document describes once for all answers, and
// those that belong to HTTP itself.
var everywhere = []string{
	"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin",
	"Access-Control-Expose-Headers", "Access-Control-Max-Age", "Connection", "Content-Encoding", "Content-Length",
	"Content-Security-Policy", "Content-Type", "Date", "Referrer-Policy", "Vary", "X-Content-Type-Options",
}

// CheckAnswer holds an answer against the document. A request that is not
// described must be answered 404 or 405 as the components of the document say.
func (d *Document) CheckAnswer(e *Exchange) error {
	if e.Request.Method == http.MethodOptions && e.Status == http.StatusNoContent {
		return nil // a preflight, which is no request of the interface
	}
	at, err := d.answerFor(e)
	if err != nil {
		return err
	}
	return errors.Join(d.checkAnswerHeader(at, e), d.checkAnswerBody(at, e))
}

// answerFor returns the place of what describes the answer.
func (d *Document) answerFor(e *Exchange) (pointer, error) {
	o, known := d.find(e.Request)
	switch {
	case o != nil:
		at := o.node.to("responses", strconv.Itoa(e.Status))
		if response, _ := d.at(at); response == nil {
			return nil, fmt.Errorf("status %d of %s is not described", e.Status, o.name())
		}
		return at, nil
	case known && e.Status == http.StatusMethodNotAllowed:
		return pointer{"components", "responses", "MethodNotAllowed"}, nil
	case !known && e.Status == http.StatusNotFound:
		return pointer{"components", "responses", "NotFound"}, nil
	default:
		return nil, fmt.Errorf("status %d of %s %s, which is not described", e.Status, e.Request.Method, e.Request.URL.Path)
	}
}

func (d *Document) checkAnswerHeader(at pointer, e *Exchange) error {
	var errs []error
	described := slices.Clone(everywhere)
	for _, name := range d.names(at.to("headers")) {
		described = append(described, http.CanonicalHeaderKey(name))
		header, place := d.at(at.to("headers", name))
		values := e.Header.Values(name)
		switch {
		case len(values) > 0:
			errs = append(errs, d.checkTexts(place.to("schema"), "header "+name, values))
		case header["required"] == true:
			errs = append(errs, fmt.Errorf("header %s is missing", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Header)) {
		if !slices.Contains(described, name) {
			errs = append(errs, fmt.Errorf("header %s is not described", name))
		}
	}
	return errors.Join(errs...)
}

// checkTexts holds each of the texts against the schema.
func (d *Document) checkTexts(at pointer, what string, texts []string) error {
	for _, text := range texts {
		if err := d.schemas.check(asWritten, at, d.textValue(at, text)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (d *Document) checkAnswerBody(at pointer, e *Exchange) error {
	content := d.names(at.to("content"))
	if len(e.Received) == 0 && (len(content) == 0 || e.Request.Method == http.MethodHead) {
		return nil
	}
	if len(content) == 0 {
		return fmt.Errorf("a body of %d bytes is not described", len(e.Received))
	}
	mediaType, _, err := mime.ParseMediaType(e.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(content, mediaType) {
		return fmt.Errorf("media type %q is not described", e.Header.Get("Content-Type"))
	}
	body, err := decoded(e.Header, e.Received)
	if err != nil {
		return err
	}
	return d.checkBody(closed, at.to("content", mediaType), mediaType, body)
}

func (d *Document) checkBody(document string, at pointer, mediaType string, body []byte) error {
	_, at = d.at(at)
	value := any(string(body))
	if mediaType == "application/json" {
		var err error
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return fmt.Errorf("body: %w", err)
		}
	}
	if err := d.schemas.check(document, at.to("schema"), value); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

// decoded undoes the coding that the header names.
func decoded(header http.Header, body []byte) ([]byte, error) {
	switch coding := strings.ToLower(header.Get("Content-Encoding")); coding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		unzip, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(unzip)
	default:
		return nil, fmt.Errorf("coding %q is not described", coding)
	}
}
