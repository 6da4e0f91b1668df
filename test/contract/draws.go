package contract

import (
	"flag"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// fewDraws is how often a store is compared under the race detector, which makes
// the embedded one ten times slower, and while coverage is measured. What these look
// for needs no more; another run draws as often as -rapid.checks says.
const fewDraws = 25

// check is rapid.Check with [fewDraws] under the race detector and for coverage. It must not run
// beside other properties of the package.
func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	if checks := flag.Lookup("rapid.checks"); (underRace || testing.CoverMode() != "") && checks != nil {
		before := checks.Value.String()
		if n, err := strconv.Atoi(before); err == nil && n > fewDraws {
			if err := checks.Value.Set(strconv.Itoa(fewDraws)); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = checks.Value.Set(before) }()
		}
	}
	rapid.Check(t, property)
}
