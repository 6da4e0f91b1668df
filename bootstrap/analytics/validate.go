package main

import (
	"fmt"
	"io"
	"os"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// validate judges every file with the rules that the configuration chooses
// and prints each event's verdict.
func (p program) validate(args []string) int {
	return p.command(newFlags("validate"), args, operands{1, anyNumber, "name at least one file"}, p.validateFiles)
}

func (p program) validateFiles(files []string) int {
	config, _, ok := p.load(bootstrap.RoleServe)
	if !ok {
		return exitUsage
	}
	validator := domain.NewValidator(config.Validator())
	code := exitOK
	for _, name := range files {
		if !p.validateFile(validator, config, name) {
			code = exitFailure
		}
	}
	return code
}

// validateFile reports whether every event of the file would be accepted.
func (p program) validateFile(v *domain.Validator, config bootstrap.Config, name string) bool {
	body, err := p.read(name, config.BodyLimit())
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr, "analytics validate: %v\n", err)
		return false
	}
	if int64(len(body)) > config.BodyLimit() {
		p.verdict(name, "refused: longer than API_BODY_LIMIT_KB (%d) allows", config.APIBodyLimitKB)
		return false
	}
	judgement, err := v.Batch(body, system.Clock{}.Now())
	if err != nil {
		p.verdict(name, "refused: %s", domain.MessageOf(err))
		return false
	}
	p.printEvents(name, &judgement)
	p.verdict(name, "%d of %d events accepted", len(judgement.Events), judgement.Submitted)
	return judgement.Refused() == 0
}

// printEvents prints one line for an accepted event and one per violation of
// a refused one, in the batch's order.
func (p program) printEvents(name string, j *domain.Judgement) {
	violations, accepted := j.Violations, j.Indexes
	for len(violations)+len(accepted) > 0 {
		if len(violations) == 0 || len(accepted) > 0 && accepted[0] < violations[0].Index {
			p.verdict(name, "event %d: accepted", accepted[0])
			accepted = accepted[1:]
			continue
		}
		v := violations[0]
		violations = violations[1:]
		p.verdict(name, "event %d: refused: %s (%s)", v.Index, sentence(v), v.Code)
	}
}

func sentence(v domain.Violation) string {
	if v.Field == "" {
		return v.Message
	}
	return v.Field + ": " + v.Message
}

func (p program) verdict(name, format string, args ...any) {
	_, _ = fmt.Fprintf(p.stdout, "%s: %s\n", name, fmt.Sprintf(format, args...))
}

// read returns the file's bytes, but not many more than a body may have.
func (p program) read(name string, limit int64) ([]byte, error) {
	from := p.stdin
	if name != "-" {
		file, err := os.Open(name) //nolint:gosec // the caller names the files to read
		if err != nil {
			return nil, fmt.Errorf("cannot read: %w", err)
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return body, nil
}
