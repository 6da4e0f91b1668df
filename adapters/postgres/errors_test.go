package postgres_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestStatesHaveCodes(t *testing.T) {
	tests := []struct {
		state  string
		code   domain.Code
		remedy string
	}{
		{"22021", domain.CodePoison, ""},
		{"22003", domain.CodePoison, ""},
		{"23502", domain.CodePoison, ""},
		{"28P01", domain.CodeUnavailable, "user and password"},
		{"28000", domain.CodeUnavailable, "user and password"},
		{"3D000", domain.CodeUnavailable, "create it"},
		{"42P01", domain.CodeUnavailable, "analytics migrate"},
		{"42501", domain.CodeUnavailable, "owner"},
		{"25006", domain.CodeUnavailable, "primary"},
		{"53100", domain.CodeDiskFull, "disk space"},
		{"53400", domain.CodeUnavailable, "log"},
		{"54000", domain.CodeUnavailable, "log"},
		{"55006", domain.CodeUnavailable, "log"},
		{"55000", domain.CodeUnavailable, "log"},
		{"57P02", domain.CodeUnavailable, "passes"},
		{"57P05", domain.CodeUnavailable, "passes"},
		{"26000", domain.CodeUnavailable, "pooler"},
		{"25P03", domain.CodeUnavailable, "starved"},
		{"25P01", domain.CodeUnavailable, "pooler"},
		{"3F000", domain.CodeUnavailable, "search_path"},
		{"42703", domain.CodeUnavailable, "analytics migrate"},
		{"F0001", domain.CodeUnavailable, "log"},
		{"53300", domain.CodeUnavailable, "DB_MAX_CONNECTIONS"},
		{"53200", domain.CodeUnavailable, "log"},
		{"57014", domain.CodeUnavailable, "log"},
		{"57P01", domain.CodeUnavailable, "passes"},
		{"57P03", domain.CodeUnavailable, "passes"},
		{"58030", domain.CodeUnavailable, "log"},
		{"08006", domain.CodeUnavailable, "runs"},
		{"40001", domain.CodeUnavailable, "passes"},
		{"40P01", domain.CodeUnavailable, "passes"},
		{"55P03", domain.CodeUnavailable, "passes"},
		{"XX001", domain.CodeUnavailable, "log"},
		{"0A000", domain.CodeUnavailable, "standby"},
		{"21000", domain.CodeInternal, ""}, // defects of ours
		{"0B000", domain.CodeInternal, ""},
	}
	for _, tt := range tests {
		err := postgres.Translate(t.Context(), &pq.Error{Code: pqerror.Code(tt.state), Message: "canary", Detail: "canary"})
		if got := domain.CodeOf(err); got != tt.code {
			t.Errorf("%s: code %q, want %q", tt.state, got, tt.code)
		}
		if !strings.Contains(err.Error(), tt.remedy) {
			t.Errorf("%s: %v, want %q", tt.state, err, tt.remedy)
		}
		if strings.Contains(domain.MessageOf(err), "canary") {
			t.Errorf("%s: the server's words are in %q", tt.state, domain.MessageOf(err))
		}
		// A batch is buried with the whole text of its error.
		if tt.code == domain.CodePoison && (strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), tt.state)) {
			t.Errorf("%s: %v", tt.state, err)
		}
	}
}

// TestNoPlaceIsNotPoison tells a row that the table refuses from one whose
// partition was made or dropped meanwhile.
func TestNoPlaceIsNotPoison(t *testing.T) {
	for _, tt := range []struct {
		constraint, routine string
		code                domain.Code
		message             string
	}{
		{"events_status_check", "ExecConstraints", domain.CodePoison, "an event holds what cannot be stored"},
		{"", "ExecPartitionCheckEmitError", domain.CodeUnavailable, "the database is busy"},
		{"", "ExecFindPartition", domain.CodeUnavailable, "the database lacks a partition"},
	} {
		err := postgres.Translate(t.Context(), &pq.Error{Code: pqerror.CheckViolation, Constraint: tt.constraint, Routine: tt.routine})
		if got := domain.CodeOf(err); got != tt.code || domain.MessageOf(err) != tt.message {
			t.Errorf("constraint %q, routine %s: code %q of %v", tt.constraint, tt.routine, got, err)
		}
	}
}

func TestOtherErrorsHaveCodes(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	known := domain.NewError(domain.CodeNotFound, nil, "known")
	tests := map[string]struct {
		ctx  context.Context //nolint:containedctx // of the call in question
		err  error
		code domain.Code
	}{
		"none":                  {t.Context(), nil, ""},
		"a lost connection":     {t.Context(), fmt.Errorf("x: %w", driver.ErrBadConn), domain.CodeUnavailable},
		"an end within":         {t.Context(), io.ErrUnexpectedEOF, domain.CodeUnavailable},
		"one that has a code":   {t.Context(), fmt.Errorf("x: %w", known), domain.CodeNotFound},
		"a cancelled context":   {cancelled, errors.New("pq: canceling statement due to user request"), domain.CodeUnavailable},
		"a defect":              {t.Context(), errors.New("x"), domain.CodeInternal},
		"poison while too late": {cancelled, &pq.Error{Code: "22021"}, domain.CodeUnavailable},
	}
	for name, tt := range tests {
		err := postgres.Translate(tt.ctx, tt.err)
		if got := domain.CodeOf(err); got != tt.code {
			t.Errorf("%s: code %q of %v, want %q", name, got, err, tt.code)
		}
		if !errors.Is(err, tt.err) && tt.err != nil {
			t.Errorf("%s: %v hides its cause", name, err)
		}
		if tt.ctx.Err() != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v does not tell that the context ended", name, err)
		}
	}
}

// TestPoisonTellsNoValue stores what the server refuses and looks for it in
// the reason with which a batch would be buried.
func TestPoisonTellsNoValue(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	event := contract.Events(1, 1)[0]
	event.Version, event.Status = "9.9.9-canary", "canary"
	_, err := postgres.NewStore(db).Store(t.Context(), []domain.Batch{contract.NewBatch(1, event)})
	if domain.CodeOf(err) != domain.CodePoison || !strings.Contains(err.Error(), "events_status_check") {
		t.Errorf("code %q of %v", domain.CodeOf(err), err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the reason tells a value: %v", err)
	}
}
