package privacy_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// plants are what the search must find and where, which proves that it looks
// there: canaries that were put there, and what was accepted.
type plants struct {
	*canaries

	places map[string][]string
}

func newPlants(t *testing.T) *plants {
	t.Helper()
	return &plants{canaries: newCanaries(t), places: make(map[string][]string)}
}

// plant returns a canary that has to be found in places.
func (p *plants) plant(what string, places ...string) string {
	text := p.source(what + " planted")
	p.places[text] = places
	return text
}

// expect has what was sent found in places.
func (p *plants) expect(sentAs, text string, places ...string) {
	p.made = append(p.made, canary{sentAs: sentAs, text: text, core: text})
	p.places[text] = places
}

func (p *plants) inLog(log io.Writer, place string) {
	_, _ = fmt.Fprintf(log, `{"client":%q}`+"\n", p.plant("line", place)) // a buffer takes all
}

func (p *plants) inFile(t *testing.T, path, place string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("\x7fELF"+p.plant("core", place)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *plants) inFileName(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, p.plant("name of a file", "names of files")), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *plants) inAnswer(c *clients) {
	c.note(http.StatusOK, http.Header{"X-Planted": {p.plant("header", "answers")}}, []byte(p.plant("answer", "answers")))
}

func (p *plants) inStation(t *testing.T, s *station) {
	t.Helper()
	p.inLog(s.process().Log, "log of "+s.role)
	p.inLog(s.process().Output, "output of "+s.role)
	p.inFile(t, filepath.Join(s.dir, "core"), "files of "+s.role)
}

// check searches everywhere, and wants to find no canary that was sent, but all that
// was planted and expected, wherever it is.
// There must be something of that in every place.
func (p *plants) check(t *testing.T, sent []canary, everywhere func(*search)) {
	t.Helper()
	s := newSearch(append(sent, p.all()...))
	everywhere(s)
	s.logSearched(t)
	var leaks []finding
	planted, found := make(map[string]bool), make(map[string]bool)
	for _, f := range s.findings() {
		found[f.canary.text+f.place] = true
		if _, ours := p.places[f.canary.text]; ours {
			planted[f.place] = true
		} else {
			leaks = append(leaks, f)
		}
	}
	report(t, leaks)
	for place := range s.searched {
		if !planted[place] {
			t.Errorf("nothing was planted in %s", place)
		}
	}
	for _, c := range p.all() {
		for _, place := range p.places[c.text] {
			if !found[c.text+place] {
				t.Errorf("the %s is not found in %s", c.sentAs, place)
			}
		}
	}
}

// plant puts canaries in every place of the fleet, and tells where what was
// accepted has to be.
func (f *fleet) plant(t *testing.T, p *plants, c *clients) {
	t.Helper()
	f.postgres.Exec(t, f.database, `CREATE TABLE planted (value text)`, `INSERT INTO planted VALUES ('`+
		p.plant("row", "PostgreSQL's base", "PostgreSQL's pg_wal", "PostgreSQL's log", "dump of PostgreSQL", "backup of PostgreSQL")+`')`,
		`CHECKPOINT`)
	f.ask(t, `SELECT $1::text`, p.plant("value of a statement", valuesInLog))
	f.plantInRedis(t, p)
	for _, s := range f.stations() {
		p.inStation(t, s)
	}
	p.inFile(t, filepath.Join(f.data, "core"), "PostgreSQL's other files")
	p.inFile(t, filepath.Join(f.redis.Dir(), "core"), "Redis' other files")
	p.inFileName(t, f.backups)
	p.inAnswer(c)
	f.backUp(t, "planted")
	f.dump = f.postgres.Dump(t, f.database)
	f.slowlog += f.askRedis(t, "SLOWLOG", "GET", "-1")
	f.letters += p.plant("letter", "dead letters")
	p.expect("version of accepted events", c.version, "PostgreSQL's pg_wal", "PostgreSQL's base", valuesInLog, "Redis' AOF",
		"backup of PostgreSQL", "dump of PostgreSQL", "slow log of Redis", "values in Redis", "answers")
	p.expect("X-Request-Id", c.requestID, "log of api", "answers")
}

// plantInRedis writes to a value of each kind.
func (f *fleet) plantInRedis(t *testing.T, p *plants) {
	t.Helper()
	plant := func(what string) string {
		return p.plant(what, "values in Redis", "Redis' AOF", "Redis' RDB", "slow log of Redis", "backup of Redis")
	}
	f.askRedis(t, "SET", "planted", plant("value"))
	f.askRedis(t, "HSET", "planted-hash", plant("field"), plant("value of a field"))
	f.askRedis(t, "RPUSH", "planted-list", plant("element"))
	f.askRedis(t, "SADD", "planted-set", plant("member"))
	f.askRedis(t, "ZADD", "planted-order", "1", plant("member with a score"))
	f.askRedis(t, "XADD", "planted-stream", "*", "field", plant("entry"))
	f.askRedis(t, "SET", "planted:"+p.plant("key", "keys in Redis"), "1")
}
