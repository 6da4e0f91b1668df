package domain

import "math/big"

// decimal is a JSON number, read digit by digit: exact, and in time that grows
// with its length, which floating-point parsing does not promise.
type decimal struct {
	negative    bool
	whole, part []byte
	// first and last are the places of the first and last digit that is not 0;
	// equal to digits() when all are.
	first, last int
	// point is how many digits stand before the decimal point, with the exponent
	// applied. It may be negative.
	point int
}

// maxExponent is beyond any exponent that makes a difference.
const maxExponent = 1 << 31

// readDecimal reads a number that the decoder took, false for other values.
func readDecimal(raw []byte) (d decimal, ok bool) {
	if !isNumber(raw) {
		return d, false
	}
	d.negative = raw[0] == '-'
	if d.negative {
		raw = raw[1:]
	}
	d.whole, raw = cutDigits(raw)
	if len(raw) > 0 && raw[0] == '.' {
		d.part, raw = cutDigits(raw[1:])
	}
	d.point = len(d.whole) + readExponent(raw)
	for d.first < d.digits() && d.digit(d.first) == '0' {
		d.first++
	}
	d.last = max(d.digits()-1, d.first)
	for d.last > d.first && d.digit(d.last) == '0' {
		d.last--
	}
	return d, true
}

func cutDigits(raw []byte) (digits, rest []byte) {
	n := 0
	for n < len(raw) && isDigit(raw[n]) {
		n++
	}
	return raw[:n], raw[n:]
}

// readExponent reads e+12 and its like; nothing is 0.
func readExponent(raw []byte) int {
	if len(raw) < 2 {
		return 0
	}
	digits, sign := raw[1:], 1
	if digits[0] == '-' || digits[0] == '+' {
		if digits[0] == '-' {
			sign = -1
		}
		digits = digits[1:]
	}
	n := 0
	for _, c := range digits {
		n = min(n*10+int(c-'0'), maxExponent)
	}
	return sign * n
}

func (d *decimal) digits() int { return len(d.whole) + len(d.part) }

// digit is 0 behind the last one.
func (d *decimal) digit(i int) byte {
	switch {
	case i < len(d.whole):
		return d.whole[i]
	case i < d.digits():
		return d.part[i-len(d.whole)]
	default:
		return '0'
	}
}

func (d *decimal) isZero() bool { return d.first == d.digits() }

func (d *decimal) isNegative() bool { return d.negative && !d.isZero() }

func (d *decimal) isWhole() bool { return d.isZero() || d.last < d.point }

// truncated is the whole part without its sign, at most highest, which has at
// most 18 digits.
func (d *decimal) truncated(highest int64) int64 {
	if d.isZero() || d.point <= d.first {
		return 0
	}
	if d.point-d.first > 18 {
		return highest
	}
	n := int64(0)
	for i := d.first; i < d.point; i++ {
		n = n*10 + int64(d.digit(i)-'0')
	}
	return min(n, highest)
}

// rounded is truncated, rounded half up.
func (d *decimal) rounded(highest int64) int64 {
	n := d.truncated(highest)
	if !d.isZero() && d.point >= d.first && d.digit(d.point) >= '5' {
		n++
	}
	return min(n, highest)
}

// leastInfinite holds the digits of the least number that a double rounds to
// infinity: halfway between the largest double and the next that would be.
var leastInfinite = func() string {
	one := big.NewInt(1)
	return new(big.Int).Sub(new(big.Int).Lsh(one, 1024), new(big.Int).Lsh(one, 970)).String()
}()

// overflows reports whether a double cannot hold the number.
func (d *decimal) overflows() bool {
	if d.isZero() || d.point-d.first != len(leastInfinite) {
		return !d.isZero() && d.point-d.first > len(leastInfinite)
	}
	for i := range len(leastInfinite) {
		if c := d.digit(d.first + i); c != leastInfinite[i] {
			return c > leastInfinite[i]
		}
	}
	return true
}
