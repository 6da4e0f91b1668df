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

// ofHTTP are the headers that belong to HTTP itself, which no document needs to
// describe.
var ofHTTP = []string{"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date"}

// everyAnswer is where the document describes what it does not repeat for each
// operation: headers of all answers, and answers that any request may get.
const everyAnswer = "x-every-answer"

// elsewhere names the components that describe the answers to what is no
// operation.
var elsewhere = map[int]string{
	http.StatusNotFound:         "NotFound",
	http.StatusMethodNotAllowed: "MethodNotAllowed",
	http.StatusTooManyRequests:  "RateLimitExceeded",
}

// CheckAnswer holds an answer against the document. A request that is not
// described must be answered 404, 405 or 429 as the components of the document
// say, or as any request may be.
func (d *Document) CheckAnswer(e *Exchange) error {
	if e.Request.Method == http.MethodOptions && e.Status == http.StatusNoContent {
		return nil // a preflight, which is no request of the interface
	}
	var errs []error
	for _, at := range d.answersFor(e) {
		if response, _ := d.at(at); response == nil {
			continue
		}
		err := errors.Join(d.checkAnswerHeader(at, e), d.checkAnswerBody(at, e))
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if errs == nil {
		return fmt.Errorf("status %d of %s %s is not described", e.Status, e.Request.Method, e.Request.URL.Path)
	}
	return errs[0] // the operation knows best
}

// answersFor returns the places that may describe the answer.
func (d *Document) answersFor(e *Exchange) []pointer {
	status := strconv.Itoa(e.Status)
	places := []pointer{{everyAnswer, "responses", status}}
	o, known := d.find(e.Request)
	switch {
	case o != nil:
		return slices.Insert(places, 0, o.node.to("responses", status))
	case known && e.Status == http.StatusNotFound, !known && e.Status == http.StatusMethodNotAllowed:
		return places
	default:
		return append(places, pointer{"components", "responses", elsewhere[e.Status]})
	}
}

func (d *Document) checkAnswerHeader(at pointer, e *Exchange) error {
	described := make(map[string]pointer)
	for _, headers := range []pointer{{everyAnswer, "headers"}, at.to("headers")} {
		for _, name := range d.names(headers) {
			described[http.CanonicalHeaderKey(name)] = headers.to(name)
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(described)) {
		errs = append(errs, d.checkHeader(described[name], e.Header))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Header)) {
		if described[name] == nil && !slices.Contains(ofHTTP, name) {
			errs = append(errs, fmt.Errorf("header %s is not described", name))
		}
	}
	return errors.Join(errs...)
}

func (d *Document) checkHeader(at pointer, header http.Header) error {
	name := at[len(at)-1]
	values := header.Values(name)
	node, at := d.at(at)
	if len(values) == 0 && node["required"] == true {
		return fmt.Errorf("header %s is missing", name)
	}
	return d.checkTexts(at.to("schema"), "header "+name, values)
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
