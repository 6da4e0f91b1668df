package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/golang/mock/gomock"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
)

// letters are the ids of n dead letters in the order of their burial.
func letters(n int) []domain.BatchID {
	ids := make([]domain.BatchID, n)
	for i := range ids {
		ids[i] = domain.BatchID(fmt.Sprintf("letter-%03d", n-i)) // not the order of the ids
	}
	return ids
}

// listing makes the mock list dead letters as the port promises.
func listing(t *testing.T, ids []domain.BatchID) *mocks.MockDeadLetters {
	t.Helper()
	m := mocks.NewMockDeadLetters(gomock.NewController(t))
	m.EXPECT().List(gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(
		func(_ context.Context, after domain.BatchID, limit int) ([]ports.DeadLetter, error) {
			from := slices.Index(ids, after) + 1
			var page []ports.DeadLetter
			for _, id := range ids[from:min(from+limit, len(ids))] {
				page = append(page, ports.DeadLetter{ID: id})
			}
			return page, nil
		})
	return m
}

func TestDeadLettersAreListedToTheLast(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 200, 250} {
		want := letters(n)
		got, err := app.NewDeadLetters(listing(t, want)).IDs(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d of %d listed, or out of order: %v", len(got), n, err)
		}
	}
}

func TestListingDeadLettersEndsWithTheFirstError(t *testing.T) {
	enough, calls := errors.New("enough"), 0
	err := app.NewDeadLetters(listing(t, letters(5))).Each(t.Context(), func(ports.DeadLetter) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	m := mocks.NewMockDeadLetters(gomock.NewController(t))
	away := domain.NewError(domain.CodeUnavailable, nil, "away")
	m.EXPECT().List(gomock.Any(), gomock.Any(), gomock.Any()).Return(nil, away)
	if _, err := app.NewDeadLetters(m).IDs(t.Context()); !errors.Is(err, away) {
		t.Errorf("error is %v", err)
	}
}

func TestDeadLetterIsFoundByID(t *testing.T) {
	m := mocks.NewMockDeadLetters(gomock.NewController(t))
	want := ports.DeadLetter{ID: "a", Reason: "too odd"}
	m.EXPECT().Get(gomock.Any(), domain.BatchID("a")).Return(want, nil)
	got, err := app.NewDeadLetters(m).Get(t.Context(), "a")
	if err != nil || got.Reason != want.Reason {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReplayGoesOnAfterARefusal(t *testing.T) {
	m := mocks.NewMockDeadLetters(gomock.NewController(t))
	refusals := map[domain.BatchID]error{
		"missing": domain.NewError(domain.CodeNotFound, nil, "there is none"),
		"broken":  domain.NewError(domain.CodeInvalid, nil, "it cannot be read"),
		"large":   domain.NewError(domain.CodeQueueFull, nil, "it does not fit"),
		"fine":    nil,
	}
	ids := []domain.BatchID{"missing", "broken", "large", "fine"}
	for _, id := range ids {
		m.EXPECT().Replay(gomock.Any(), id).Return(refusals[id])
	}
	var got []app.Replayed
	err := app.NewDeadLetters(m).Replay(t.Context(), ids, func(r app.Replayed) { got = append(got, r) })
	if err != nil || len(got) != len(ids) {
		t.Fatalf("%d outcomes, %v", len(got), err)
	}
	for i, r := range got {
		if r.ID != ids[i] || !errors.Is(r.Err, refusals[r.ID]) {
			t.Errorf("outcome %d is %+v", i, r)
		}
	}
}

func TestReplayEndsWhenTheQueueIsAway(t *testing.T) {
	m := mocks.NewMockDeadLetters(gomock.NewController(t))
	away := domain.NewError(domain.CodeUnavailable, nil, "away")
	m.EXPECT().Replay(gomock.Any(), domain.BatchID("a")).Return(nil)
	m.EXPECT().Replay(gomock.Any(), domain.BatchID("b")).Return(away)
	outcomes := 0
	err := app.NewDeadLetters(m).Replay(t.Context(), []domain.BatchID{"a", "b", "c"}, func(app.Replayed) { outcomes++ })
	if !errors.Is(err, away) || outcomes != 1 {
		t.Errorf("%d outcomes, %v", outcomes, err)
	}
}

func TestPurgeGoesInParts(t *testing.T) {
	m := mocks.NewMockDeadLetters(gomock.NewController(t))
	ids := letters(150)
	m.EXPECT().Purge(gomock.Any(), gomock.Any()).Times(2).DoAndReturn(func(_ context.Context, some ...domain.BatchID) (int, error) {
		return len(some), nil
	})
	if n, err := app.NewDeadLetters(m).Purge(t.Context(), ids...); n != 150 || err != nil {
		t.Errorf("%d purged, %v", n, err)
	}
	away := domain.NewError(domain.CodeUnavailable, nil, "away")
	gomock.InOrder(
		m.EXPECT().Purge(gomock.Any(), gomock.Any()).Return(100, nil),
		m.EXPECT().Purge(gomock.Any(), gomock.Any()).Return(0, away),
	)
	if n, err := app.NewDeadLetters(m).Purge(t.Context(), ids...); n != 100 || !errors.Is(err, away) {
		t.Errorf("%d purged, %v", n, err)
	}
}
