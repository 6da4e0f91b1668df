package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// long is an answer that is worth compressing.
var long = strings.Repeat("0123456789", 1000)

func computeOf(body, next string) app.Compute {
	return func(context.Context) (app.Content, error) { return app.NewContent([]byte(body), next), nil }
}

// never is a computation that must not be needed.
func never(context.Context) (app.Content, error) {
	return app.Content{}, errors.New("it is computed again")
}

func getContent(t *testing.T, u *app.Answers, question string, compute app.Compute) *app.Content {
	t.Helper()
	answer, err := u.Get(t.Context(), question, compute)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Content
}

// A process that has a fresh answer asks no other for it, and gives everybody the
// same bytes.
func TestFreshAnswersAreServedWithoutTheSharedCache(t *testing.T) {
	s := newAnswersSite()
	u := s.open(t, usual)
	first := getContent(t, u, "question", computeOf(long, "next"))
	if string(first.Plain) != long || first.Next != "next" || first.Gzip == nil || first.Tag != app.TagOf([]byte(long)) {
		t.Fatalf("content is %.20s with tag %s, next %q and %d bytes of gzip", first.Plain, first.Tag, first.Next, len(first.Gzip))
	}
	calls := len(s.cache.keys)
	for range 3 {
		if again := getContent(t, u, "question", never); again != first {
			t.Error("the content was made again")
		}
	}
	if n := len(s.cache.keys) - calls; n != 0 {
		t.Errorf("the shared cache was called %d times", n)
	}
	if n := u.Counts().Hits; n != 3 {
		t.Errorf("%d hits, want 3", n)
	}
}

// What another process has computed is read from the shared cache once, with all
// that belongs to it, and never written back.
func TestAnswersOfOtherProcessesAreReadOnce(t *testing.T) {
	for name, body := range map[string]string{"long": long, "short": "short", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			s := newAnswersSite()
			want := getContent(t, s.open(t, usual), "question", computeOf(body, "next"))
			calls := len(s.cache.keys)
			other := s.open(t, usual)
			got := getContent(t, other, "question", never)
			if !bytes.Equal(got.Plain, want.Plain) || !bytes.Equal(got.Gzip, want.Gzip) || got.Tag != want.Tag || got.Next != "next" {
				t.Errorf("content is %+v, want %+v", got, want)
			}
			if again := getContent(t, other, "question", never); again != got {
				t.Error("the content was decoded again")
			}
			if n := len(s.cache.keys) - calls; n != 1 {
				t.Errorf("the shared cache was called %d times, want once", n)
			}
		})
	}
}

// A stale answer may have been renewed by another process.
func TestStaleAnswersAreLookedUpInTheSharedCache(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	one, two := s.open(t, usual), s.open(t, usual)
	checkAnswer(t, one, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	checkAnswer(t, two, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(2 * time.Minute)
	checkAnswer(t, two, c.compute, app.Answer{Content: text("2"), Fresh: time.Minute})
	checkAnswer(t, one, never, app.Answer{Content: text("2"), Fresh: time.Minute})
}

// While an answer is stale for long, because the store is away, it is not
// decompressed for each reader.
func TestStaleAnswersAreDecodedOnce(t *testing.T) {
	s := newAnswersSite()
	u := s.open(t, usual)
	first := getContent(t, u, "question", computeOf(long, ""))
	s.clock.Advance(90 * time.Second)
	for range 3 {
		if again := getContent(t, u, "question", never); again != first {
			t.Error("the content was decoded again")
		}
	}
}

// A process keeps so many answers, and so many bytes, and asks the shared cache
// for the others.
func TestAnswersOfAProcessAreBounded(t *testing.T) {
	one := app.NewContent([]byte(long), "")
	size := len(one.Plain) + len(one.Gzip) + 1024 // with all that belongs to it
	for name, config := range map[string]app.AnswersConfig{
		"in number": {Fresh: time.Minute, LocalEntries: 2},
		"in bytes":  {Fresh: time.Minute, LocalBytes: 2 * size},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAnswersSite()
			u := s.open(t, config)
			for _, question := range []string{"first", "second", "first", "third"} {
				getContent(t, u, question, computeOf(long, ""))
			}
			called := func(question string) bool {
				calls := len(s.cache.keys)
				getContent(t, u, question, never)
				return len(s.cache.keys) > calls
			}
			if called("third") || called("first") || !called("second") {
				t.Error("not the answer that was used least recently was forgotten")
			}
		})
	}
	t.Run("larger than the bound", func(t *testing.T) {
		s := newAnswersSite()
		u := s.open(t, app.AnswersConfig{Fresh: time.Minute, LocalBytes: size / 2})
		getContent(t, u, "question", computeOf(long, ""))
		calls := len(s.cache.keys)
		getContent(t, u, "question", never)
		if len(s.cache.keys) == calls {
			t.Error("an answer larger than the bound is kept")
		}
	})
}

// An answer lasts no longer in a process than in the shared cache, however often
// the clock is set back meanwhile.
func TestSettingTheClockBackKeepsNoAnswer(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u, other := s.open(t, app.AnswersConfig{Fresh: time.Minute}), s.open(t, app.AnswersConfig{Fresh: time.Minute})
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(30 * time.Second)
	checkAnswer(t, other, never, app.Answer{Content: text("1"), Age: 30 * time.Second, Fresh: 30 * time.Second})
	s.clock.Step(-30 * time.Second)
	s.clock.Advance(29 * time.Second)
	for _, process := range []*app.Answers{u, other} {
		checkAnswer(t, process, never, app.Answer{Content: text("1"), Age: 29 * time.Second, Fresh: 31 * time.Second})
	}
	s.clock.Advance(time.Second)
	checkAnswer(t, other, c.compute, app.Answer{Content: text("2"), Fresh: time.Minute})
	checkAnswer(t, u, never, app.Answer{Content: text("2"), Fresh: time.Minute})
}

// Whatever the shared cache has, the answer is one that was computed.
func FuzzAnswersFromADamagedCache(f *testing.F) {
	site := newAnswersSite()
	u := app.NewAnswers(site.cache, site.clock, slog.New(slog.DiscardHandler), usual)
	if _, err := u.Get(f.Context(), "question", computeOf(long, "next")); err != nil {
		f.Fatal(err)
	}
	stored, _, _, err := site.cache.Cache.Get(f.Context(), site.cache.keys[0])
	if err != nil || len(stored) == 0 {
		f.Fatalf("%d bytes are stored, %v", len(stored), err)
	}
	f.Add(0, stored)
	f.Add(9, []byte{7})
	f.Add(10, binary.AppendUvarint(nil, 1<<63))
	f.Add(len(stored)-5, []byte("damage"))
	f.Fuzz(func(t *testing.T, from int, damage []byte) {
		value := bytes.Clone(stored)
		if from >= 0 && from < len(value) {
			value = append(value[:from], damage...)
		}
		clock := memory.NewClock(site.clock.Now())
		cache := memory.NewCache(memory.CacheConfig{Clock: clock})
		if err := cache.Set(t.Context(), site.cache.keys[0], value, time.Hour); err != nil {
			t.Fatal(err)
		}
		v := app.NewAnswers(cache, clock, slog.New(slog.DiscardHandler), usual)
		defer closeAnswers(t, v)
		answer, err := v.Get(t.Context(), "question", computeOf("computed", ""))
		if err != nil || answer.Content == nil || answer.Gzip != nil && len(answer.Plain) == 0 {
			t.Errorf("answer is %+v, %v", answer, err)
		}
	})
}
