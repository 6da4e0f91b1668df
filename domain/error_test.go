package domain_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestErrorsKeepTheirCodeWhenWrapped(t *testing.T) {
	cause := errors.New("driver text")
	err := fmt.Errorf("store: %w", domain.NewError(domain.CodeUnavailable, cause, "the store is away"))
	if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "the store is away" || !errors.Is(err, cause) {
		t.Errorf("%s: %q, %v", domain.CodeOf(err), domain.MessageOf(err), err)
	}
	if got := err.Error(); got != "store: the store is away: driver text" {
		t.Errorf("%q", got)
	}
	if got := domain.NewError(domain.CodeInvalid, nil, "no").Error(); got != "no" {
		t.Errorf("%q", got)
	}
	if domain.CodeOf(nil) != "" || domain.CodeOf(cause) != domain.CodeInternal || domain.MessageOf(cause) == cause.Error() {
		t.Error("an unclassified error shows itself, or nil has a code")
	}
}

func TestNamesOfLevelsAndStatuses(t *testing.T) {
	for _, level := range domain.Levels() {
		if got, ok := domain.ParseLevel(string(level)); !ok || got != level {
			t.Errorf("%s does not parse", level)
		}
	}
	for _, status := range domain.Statuses() {
		if got, ok := domain.ParseStatus(string(status)); !ok || got != status {
			t.Errorf("%s does not parse", status)
		}
	}
	for _, name := range []string{"", "Minimal", "success ", "x"} {
		if _, ok := domain.ParseLevel(name); ok {
			t.Errorf("level %q parses", name)
		}
		if _, ok := domain.ParseStatus(name); ok {
			t.Errorf("status %q parses", name)
		}
	}
}
