package privacy_test

import (
	"fmt"
	"strings"
	"testing"

	redigo "github.com/gomodule/redigo/redis"
)

// askRedis runs a command and returns its answer as text.
func (f *fleet) askRedis(t *testing.T, command string, args ...any) string {
	t.Helper()
	connection, err := redigo.DialURL(f.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	var answer any
	await(t, "Redis has time for "+command, func() bool {
		answer, err = connection.Do(command, args...)
		return err == nil || !strings.Contains(err.Error(), "in progress")
	})
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(flatten(nil, answer))
}

// readers are how the values of each type are read.
var readers = map[string][]any{
	"string": {"GET"}, "hash": {"HGETALL"}, "list": {"LRANGE", 0, -1}, "set": {"SMEMBERS"},
	"zset": {"ZRANGE", 0, -1, "WITHSCORES"}, "stream": {"XRANGE", "-", "+"},
}

// searchKeys searches every key and value.
func (f *fleet) searchKeys(t *testing.T, in *search) {
	t.Helper()
	connection, err := redigo.DialURL(f.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	keys, err := redigo.Strings(connection.Do("KEYS", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		in.in("keys in Redis", []byte(key))
		kind, err := redigo.String(connection.Do("TYPE", key))
		if err != nil {
			t.Fatal(err)
		}
		if kind == "none" {
			continue // it has expired meanwhile
		}
		reader, known := readers[kind]
		if !known {
			t.Fatalf("key %q is a %s, which nobody can read here", key, kind)
		}
		args := append([]any{key}, reader[1:]...)
		answer, err := connection.Do(reader[0].(string), args...)
		if err != nil {
			t.Fatalf("read %q: %v", key, err)
		}
		in.in("values in Redis", flatten(nil, answer))
	}
}

// flatten gives all texts of an answer, a line each.
func flatten(to []byte, answer any) []byte {
	switch a := answer.(type) {
	case []any:
		for _, part := range a {
			to = flatten(to, part)
		}
		return to
	case []byte:
		return append(append(to, a...), '\n')
	default:
		return fmt.Appendln(to, a)
	}
}
