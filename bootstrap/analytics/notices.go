package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// notices is the log of a command whose output somebody reads: warnings wait
// until the command is done, and those of one message become one line.
type notices struct {
	mu   sync.Mutex
	seen []*notice
}

// notice is the first record of a message, and how many there were.
type notice struct {
	text  string
	first string
	count int
}

func (n *notices) add(text, attributes string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.seen, func(s *notice) bool { return s.text == text })
	if i < 0 {
		n.seen = append(n.seen, &notice{text: text, first: attributes, count: 1})
		return
	}
	n.seen[i].count++
}

// print writes what has gathered.
func (n *notices) print(w io.Writer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.seen {
		more := ""
		if s.count > 1 {
			more = fmt.Sprintf("; %d more of these", s.count-1)
		}
		_, _ = fmt.Fprintf(w, "analytics: warning: %s%s%s\n", s.text, s.first, more)
	}
	n.seen = nil
}

// noticeHandler is a slog.Handler that gathers notices.
type noticeHandler struct {
	to         *notices
	attributes []slog.Attr
}

// Enabled leaves out what is no warning, whatever LOG_LEVEL says to servers.
func (h noticeHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle never fails.
func (h noticeHandler) Handle(_ context.Context, record slog.Record) error { //nolint:gocritic // the interface says so
	attributes := slices.Clone(h.attributes)
	record.Attrs(func(a slog.Attr) bool {
		attributes = append(attributes, a)
		return true
	})
	words := make([]string, len(attributes))
	for i, a := range attributes {
		words[i] = a.String()
	}
	text := ""
	if len(words) > 0 {
		text = " (" + strings.Join(words, ", ") + ")"
	}
	h.to.add(record.Message, text)
	return nil
}

// WithAttrs returns a handler whose records have these attributes too.
func (h noticeHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	h.attributes = append(slices.Clone(h.attributes), attributes...)
	return h
}

// WithGroup returns the same handler: a line for people has no groups.
func (h noticeHandler) WithGroup(string) slog.Handler { return h }
