package domain_test

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Decimals agree with the standard library's floating-point and big numbers.
func TestDecimals(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, text string) {
		f, err := strconv.ParseFloat(text, 64)
		got := domain.ReadDecimal(text)
		if got.Overflows != (err != nil) {
			t.Fatalf("%s overflows: %t, want %t", text, got.Overflows, err != nil)
		}
		if err != nil || math.Abs(f) < 1e-300 && f != 0 {
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%s", text)
		}
		if got.Whole != exact.IsInt() || got.Negative != (exact.Sign() < 0) {
			t.Fatalf("%s is whole: %t, negative: %t", text, got.Whole, got.Negative)
		}
		exact.Abs(exact)
		truncated := new(big.Int).Quo(exact.Num(), exact.Denom())
		half := exact.Add(exact, big.NewRat(1, 2))
		rounded := new(big.Int).Quo(half.Num(), half.Denom())
		const most = 1_000_000_000_000
		for want, got := range map[*big.Int]int64{truncated: got.Truncated, rounded: got.Rounded} {
			if !want.IsInt64() || want.Int64() > most {
				want = big.NewInt(most)
			}
			if want.Int64() != got {
				t.Fatalf("%s is %d, want %d", text, got, want)
			}
		}
	}
	largest := new(big.Float).SetFloat64(math.MaxFloat64).Text('f', 0)
	for _, text := range []string{
		"0", "-0", "0.0", "-0.0e5", "0e999999999999", "1e308", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308",
		"17976931348623158e292", "0.00017976931348623159e312", "1e309", "1e999999999999", "-1e99999999999999999999", "1e-5", "0.5", "0.05", "5e-1",
		"50e-2", "499999e-6", "184.5", "1.845e2", "18450e-2", "1845e-1", "9.5", "99.5", "999999999999999999", "9999999999999999999", "0.9999",
		largest, largest + ".9", largest[:308] + "9", "0." + strings.Repeat("0", 400) + "1e700", strings.Repeat("9", 400) + "e-200", "1" + strings.Repeat("0", 308), "1" + strings.Repeat("0", 309),
	} {
		check(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[05]{0,3}[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		check(t, text)
		check(t, fmt.Sprintf("%se%d", strings.ToLower(text[:strings.IndexAny(text+"e", "eE")]), rapid.IntRange(280, 320).Draw(t, "exponent")))
	})
}
