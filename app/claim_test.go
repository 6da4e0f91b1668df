package app_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// claimable reports whether another process could claim the last key that was
// used, and then releases it.
func (s answersSite) claimable(t *testing.T) bool {
	t.Helper()
	const other = "another process"
	key := s.cache.keys[len(s.cache.keys)-1]
	ok, err := s.cache.Cache.Claim(t.Context(), key, other, time.Minute)
	if err == nil && ok {
		err = s.cache.Cache.Release(t.Context(), key, other)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// What becomes of the claim decides when the answer is computed again: at once
// after a success, and after a failed renewal not before the lease is over.
func TestClaimsEndWithTheirComputation(t *testing.T) {
	const lease = 10 * time.Second
	tests := map[string]struct {
		renewed, fails bool
		want           bool
	}{
		"first, done":     {false, false, true},
		"first, failed":   {false, true, true},
		"renewal, done":   {true, false, true},
		"renewal, failed": {true, true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := newAnswersSite(), new(counter)
				u := s.open(t, app.AnswersConfig{Fresh: time.Minute, Stale: time.Hour, Lease: lease})
				if test.renewed {
					checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
					s.clock.Advance(time.Minute)
				}
				if test.fails {
					c.fail(errors.New("broken"))
				}
				_, err := u.Get(t.Context(), "question", c.compute)
				if gave := err == nil; gave == (test.fails && !test.renewed) {
					t.Errorf("error is %v", err)
				}
				synctest.Wait()
				if got := s.claimable(t); got != test.want {
					t.Errorf("another process can claim: %t, want %t", got, test.want)
				}
				time.Sleep(lease)
				if !s.claimable(t) {
					t.Error("the claim outlives its lease")
				}
			})
		})
	}
}
