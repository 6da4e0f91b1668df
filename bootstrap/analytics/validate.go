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
	p.warn()
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
	var verdicts []domain.Verdict
	err = v.Each(body, system.Clock{}.Now(), func(v domain.Verdict) { verdicts = append(verdicts, v) })
	if err != nil {
		p.verdict(name, "refused: %s", domain.MessageOf(err))
		return false
	}
	accepted := 0
	for _, v := range verdicts {
		if v.Event != nil {
			accepted++
		}
		p.printVerdict(name, v)
	}
	p.verdict(name, "%d of %d events accepted", accepted, len(verdicts))
	return accepted == len(verdicts)
}

// printVerdict prints one line for an accepted event and one per violation of
// a refused one.
func (p program) printVerdict(name string, v domain.Verdict) {
	if v.Event != nil {
		p.verdict(name, "event %d: accepted", v.Index)
	}
	for _, violation := range v.Violations {
		p.verdict(name, "event %d: refused: %s (%s)", v.Index, sentence(violation), violation.Code)
	}
	if v.Omitted > 0 {
		p.verdict(name, "event %d: refused: %d faults more", v.Index, v.Omitted)
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
