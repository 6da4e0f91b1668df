package domain

// common reads a body that has the form in which clients send: the member events
// alone, and in it events of known members, each once, whose names and texts have no
// escapes, whose numbers have no exponent, and which hold no object or list but the
// parameters. [reader.batch] finds the same in such a body, in more time.
//
// It calls event for each event, in order, and returns how many it read. It stops at
// the first that is not of the form; whole says that there was none and that the
// body ends as it should.
func (r *reader) common(maxEvents int, event func(index int, d *draft)) (read int, whole bool) {
	c := cursor{body: r.body}
	if !c.takes('{') || string(c.part(c.text())) != `"events"` || !c.takes(':') || !c.takes('[') {
		return 0, false
	}
	for ; !c.takes(']'); read++ {
		if read == maxEvents || read > 0 && !c.takes(',') || !r.commonEvent(&c) {
			return read, false
		}
		event(read, &r.draft)
	}
	return read, c.takes('}') && c.isAtEnd()
}

func (r *reader) commonEvent(c *cursor) bool {
	d := &r.draft
	d.reset()
	if !c.takes('{') {
		return false
	}
	start := c.at - 1
	var seen [fieldCount]bool
	for first := true; !c.takes('}'); first = false {
		if !first && !c.takes(',') {
			return false
		}
		f, known := fieldOf(c.part(c.text()))
		if !known || seen[f] || !c.takes(':') {
			return false
		}
		seen[f] = true
		switch value, kind := c.scalar(); {
		case kind == '{' && f == fieldParameters:
			d.values[f] = value
			if !r.commonParameters(c) {
				return false
			}
		case value.end == 0 || kind == '{':
			return false
		case kind != 'n':
			d.values[f] = value
		}
	}
	d.json = span{uint32(start), uint32(c.at)} //nolint:gosec // longer bodies are refused
	return true
}

// commonParameters reads the object of parameters behind its first byte.
func (r *reader) commonParameters(c *cursor) bool {
	d := &r.draft
	r.names = r.names[:0]
	for first := true; !c.takes('}'); first = false {
		if !first && !c.takes(',') {
			return false
		}
		name := c.text()
		if name.end == 0 || !c.takes(':') {
			return false
		}
		r.noteParameter(d, c.body[name.start+1:name.end-1])
		value, kind := c.scalar()
		if value.end == 0 || kind == '{' {
			return false
		}
		if kind != 'n' {
			r.keepParameter(d, parameter{name, value})
		}
	}
	d.measureParameters()
	twice := r.hasTwice(r.names)
	r.names = r.names[:0]
	return !twice
}

// cursor walks over JSON of the common form. What is not of the form gives the zero
// span.
type cursor struct {
	body []byte
	at   int
}

// next skips white space and returns the byte behind it, 0 at the end.
func (c *cursor) next() byte {
	for ; c.at < len(c.body); c.at++ {
		switch b := c.body[c.at]; b {
		case ' ', '\t', '\n', '\r':
		default:
			return b
		}
	}
	return 0
}

func (c *cursor) isAtEnd() bool { return c.next() == 0 && c.at == len(c.body) }

// takes passes over the byte if it is next.
func (c *cursor) takes(b byte) bool {
	if c.next() != b {
		return false
	}
	c.at++
	return true
}

func (c *cursor) part(s span) []byte { return c.body[s.start:s.end] }

// text reads a string without escapes.
func (c *cursor) text() span {
	if c.next() != '"' {
		return span{}
	}
	start := c.at
	for i := start + 1; i < len(c.body); i++ {
		switch b := c.body[i]; {
		case b == '"':
			c.at = i + 1
			return c.from(start)
		case b == '\\' || b < ' ':
			return span{}
		}
	}
	return span{}
}

// scalar reads a value that is neither object nor list, and returns its first byte.
// Of an object it reads no more than that.
func (c *cursor) scalar() (value span, kind byte) {
	switch kind = c.next(); kind {
	case '"':
		return c.text(), kind
	case 't':
		return c.word("true"), kind
	case 'f':
		return c.word("false"), kind
	case 'n':
		return c.word("null"), kind
	case '{':
		c.at++
		return c.from(c.at - 1), kind
	default:
		return c.number(), kind
	}
}

func (c *cursor) from(start int) span {
	return span{uint32(start), uint32(c.at)} //nolint:gosec // longer bodies are refused
}

func (c *cursor) word(word string) span {
	start := c.at
	if len(c.body)-start < len(word) || string(c.body[start:start+len(word)]) != word {
		return span{}
	}
	c.at += len(word)
	return c.from(start)
}

// maxCommonDigits is the length of numbers that a double holds whatever their digits.
const maxCommonDigits = 100

// number reads a number up to its exponent, which is no part of the form.
func (c *cursor) number() span {
	start := c.at
	if c.at < len(c.body) && c.body[c.at] == '-' {
		c.at++
	}
	whole := c.digits()
	if whole == 0 || whole > 1 && c.body[c.at-whole] == '0' {
		return span{}
	}
	if c.at < len(c.body) && c.body[c.at] == '.' {
		if c.at++; c.digits() == 0 {
			return span{}
		}
	}
	if c.at-start > maxCommonDigits {
		return span{}
	}
	return c.from(start)
}

// digits passes over digits and returns how many there were.
func (c *cursor) digits() int {
	start := c.at
	for c.at < len(c.body) && c.body[c.at] >= '0' && c.body[c.at] <= '9' {
		c.at++
	}
	return c.at - start
}
