package redis_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

var usual = ports.Limits{Requests: 60, Burst: 10, Events: 1000}

// openLimiter returns a limiter that has a key.
func openLimiter(tb testing.TB, pool *redis.Pool, config redis.LimiterConfig) *redis.Limiter {
	tb.Helper()
	if config.Limits == (ports.Limits{}) {
		config.Limits = usual
	}
	l := redis.NewLimiter(pool, config)
	awaitKey(tb, l)
	return l
}

func awaitKey(tb testing.TB, l *redis.Limiter) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	l.Await(ctx)
	must(tb, ctx.Err())
}

func TestLimiter(t *testing.T) {
	shared := newSite(t, 0)
	l := openLimiter(t, shared.pool, redis.LimiterConfig{})
	contract.Limiter(t, func(t *testing.T, limits ports.Limits) contract.LimiterHarness {
		s, own := shared, l
		if strings.Contains(t.Name(), "broken") {
			s = newSite(t, 0)
			own = openLimiter(t, s.pool, redis.LimiterConfig{})
		}
		clock := s.begin()
		return contract.LimiterHarness{
			Limiter: own.With(limits, clock), Another: own.With(limits, clock), Advance: s.advance, Break: s.severed,
		}
	})
}

// begin forgets the clients and sets the clock that scripts read, whose key it returns.
func (s *site) begin() (clock string) {
	s.forgetClients()
	s.clock.Set(contract.Now)
	s.advance(0)
	return s.clockKey()
}

func (s *site) forgetClients() {
	accounts, err := redigo.Values(s.console.do("ZRANGE", s.prefix+":limits", 0, -1), nil)
	must(s.console.tb, err)
	s.console.do("DEL", append(accounts, s.prefix+":limits")...)
}

// take judges a request in real time.
func take(tb testing.TB, l ports.Limiter, client string, events int) ports.Allowance {
	tb.Helper()
	a, err := l.Take(tb.Context(), client, events)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// eventuallyTakes is take for one that may have to agree on a key first.
func eventuallyTakes(t *testing.T, l *redis.Limiter, client string) (a ports.Allowance) {
	t.Helper()
	eventually(t, "there is a key", func() bool {
		var err error
		a, err = l.Take(t.Context(), client, 0)
		if err != nil {
			checkCode(t, err, domain.CodeUnavailable)
		}
		return err == nil
	})
	return a
}

// fleet opens so many limiters with a pool each, all at once.
func fleet(t *testing.T, url string, n int, config redis.LimiterConfig) []*redis.Limiter {
	t.Helper()
	limiters := make([]*redis.Limiter, n)
	prefix := newPrefix()
	for i := range limiters {
		limiters[i] = redis.NewLimiter(open(t, redis.Config{URL: url, Prefix: prefix}), config)
	}
	for _, l := range limiters {
		awaitKey(t, l)
	}
	return limiters
}

func checkSameKey(t *testing.T, limiters ...*redis.Limiter) {
	t.Helper()
	eventually(t, "all have the same key", func() bool {
		keys := make(map[string]bool)
		for _, l := range limiters {
			eventuallyTakes(t, l, "somebody")
			keys[string(l.Secret())] = true
		}
		return len(keys) == 1 && !keys[""]
	})
}

func TestInstancesShareTheLimits(t *testing.T) {
	url := servers.SharedRedis(t).URL()
	limits := ports.Limits{Requests: 60, Burst: 60, Events: 1000}
	limiters := fleet(t, url, 2, redis.LimiterConfig{Limits: limits})
	checkSameKey(t, limiters...)
	granted := 0
	for i := range 120 {
		if take(t, limiters[i%2], "client", 0).Granted {
			granted++
		}
	}
	if granted != 60 {
		t.Errorf("%d requests granted by two instances, want 60", granted)
	}
	events := 0
	for i := range 20 {
		if take(t, limiters[i%2], "poster", 100).Granted {
			events += 100
		}
	}
	if events != 1000 {
		t.Errorf("%d events granted by two instances, want 1000", events)
	}
}

// However many start at once, one key is agreed on.
func TestInstancesThatStartTogetherAgree(t *testing.T) {
	url := servers.SharedRedis(t).URL()
	for range 10 {
		checkSameKey(t, fleet(t, url, 4, redis.LimiterConfig{Limits: usual})...)
	}
}

func TestAKeyOutlivesWhoMadeIt(t *testing.T) {
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	join := func() (*redis.Pool, *redis.Limiter) {
		pool := open(t, redis.Config{URL: url, Prefix: prefix})
		return pool, openLimiter(t, pool, redis.LimiterConfig{})
	}
	pool, first := join()
	_, second := join()
	key := first.Secret()
	must(t, pool.Close())
	if first.Secret() != nil {
		t.Error("the key is not wiped at the end")
	}
	_, third := join()
	for _, l := range []*redis.Limiter{second, third} {
		if !bytes.Equal(l.Secret(), key) {
			t.Error("the key was not handed on")
		}
	}
}

// When nobody has the key any more, there is a new one at once.
func TestAKeyThatNobodyHasIsReplaced(t *testing.T) {
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	pool := open(t, redis.Config{URL: url, Prefix: prefix})
	key := openLimiter(t, pool, redis.LimiterConfig{}).Secret()
	must(t, pool.Close())
	start := time.Now()
	next := openLimiter(t, open(t, redis.Config{URL: url, Prefix: prefix}), redis.LimiterConfig{})
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if bytes.Equal(next.Secret(), key) || !eventuallyTakes(t, next, "client").Granted {
		t.Error("there is no new key")
	}
}

func TestKeysRotate(t *testing.T) {
	const lifetime = 700 * time.Millisecond
	limiters := fleet(t, servers.SharedRedis(t).URL(), 3, redis.LimiterConfig{Limits: usual, KeyLifetime: lifetime})
	seen := make(map[string]time.Time)
	for end := time.Now().Add(4 * lifetime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, l := range limiters {
			key := string(l.Secret())
			if key == "" {
				continue
			}
			if _, known := seen[key]; !known {
				seen[key] = time.Now()
			}
			if age := time.Since(seen[key]); age > lifetime+lifetime/2 {
				t.Fatalf("a key is used for %v", age)
			}
		}
	}
	if len(seen) < 3 {
		t.Errorf("%d keys", len(seen))
	}
}

func TestKeyLifetimeIsADayAtMost(t *testing.T) {
	for _, given := range []time.Duration{0, time.Hour, 48 * time.Hour} {
		s := newSite(t, 0)
		openLimiter(t, s.pool, redis.LimiterConfig{KeyLifetime: given})
		want := 24 * time.Hour
		if given == time.Hour {
			want = given
		}
		left := time.Duration(s.console.number("PTTL", s.prefix+":limit:key")) * time.Millisecond
		if left > want || left < want-time.Minute {
			t.Errorf("the key of %v lives for %v", given, left)
		}
	}
}

// What is agreed on elsewhere is noticed with the next request.
func TestAnInstanceFollowsTheOthers(t *testing.T) {
	s := newSite(t, 0)
	first := openLimiter(t, s.pool, redis.LimiterConfig{})
	key := first.Secret()
	s.console.do("SET", s.prefix+":limit:key", "dead", "PX", 60_000)
	if _, err := first.Take(t.Context(), "client", 0); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Fatalf("error %v", err)
	}
	eventuallyTakes(t, first, "client")
	if bytes.Equal(first.Secret(), key) {
		t.Error("the key is the old one")
	}
	s.console.do("DEL", s.prefix+":limit:key")
	eventually(t, "another key", func() bool {
		_, _ = first.Take(t.Context(), "client", 0)
		return first.Secret() != nil && !bytes.Equal(first.Secret(), key)
	})
	second := openLimiter(t, open(t, redis.Config{URL: s.server.URL(), Prefix: s.prefix}), redis.LimiterConfig{})
	checkSameKey(t, first, second)
}

func TestALimiterComesBackWithRedis(t *testing.T) {
	server := servers.Redis(t, "appendonly yes")
	pool := open(t, redis.Config{URL: server.URL(), CallTimeout: callTimeout})
	l := openLimiter(t, pool, redis.LimiterConfig{})
	granted := take(t, l, "client", 0)
	key := l.Secret()
	server.Kill()
	eventually(t, "the outage is noticed", func() bool {
		_, err := l.Take(t.Context(), "client", 0)
		return err != nil
	})
	start := time.Now()
	_, err := l.Take(t.Context(), "client", 0)
	checkCode(t, err, domain.CodeUnavailable)
	if took := time.Since(start); took > atOnce {
		t.Errorf("an outage costs %v", took)
	}
	server.Start(t)
	recovers(t, pool)
	if again := eventuallyTakes(t, l, "client"); again.Remaining > granted.Remaining || !bytes.Equal(l.Secret(), key) {
		t.Errorf("what was granted is forgotten: %+v after %+v", again, granted)
	}
}

// An instance whose connection for listening is dead notices when it asks.
func TestADeafInstance(t *testing.T) {
	s := newSite(t, 0)
	l := openLimiter(t, s.pool, redis.LimiterConfig{})
	s.console.do("CLIENT", "KILL", "TYPE", "pubsub")
	eventuallyTakes(t, l, "client")
	other := openLimiter(t, open(t, redis.Config{URL: s.server.URL(), Prefix: s.prefix}), redis.LimiterConfig{})
	checkSameKey(t, l, other)

	s.relay.MuteOld() // it is not told that nothing is heard
	s.console.do("SET", s.prefix+":limit:key", "dead", "PX", 60_000)
	eventuallyTakes(t, other, "client")
	checkSameKey(t, l, other)
}

// Whatever is said on the channel, it does no harm.
func TestNonsenseOnTheChannel(t *testing.T) {
	s := newSite(t, 0)
	l := openLimiter(t, s.pool, redis.LimiterConfig{})
	key := l.Secret()
	id := string(s.console.do("GET", s.prefix+":limit:key").([]byte))
	for _, said := range []string{
		"", "ask", "tell", "ask " + id, "ask " + id + " !", "ask " + id + " AAAA", "tell AAAA AAAA", "tell ! !", "shout a b", "ask a b c d",
	} {
		if n := s.console.number("PUBLISH", s.prefix+":limit:asking", said); n != 1 {
			t.Fatalf("%d listen", n)
		}
	}
	other := openLimiter(t, open(t, redis.Config{URL: s.server.URL(), Prefix: s.prefix}), redis.LimiterConfig{})
	if !bytes.Equal(other.Secret(), key) || !bytes.Equal(l.Secret(), key) {
		t.Error("the key was not handed on")
	}
}

// Who answers with another key than the one asked for is not believed.
func TestAWrongAnswer(t *testing.T) {
	s := newSite(t, 0)
	channel, wrong := s.prefix+":limit:asking", bytes.Repeat([]byte("wrong"), 7)[:32]
	s.console.do("SET", s.prefix+":limit:key", "dead", "PX", 60_000)
	liar, answered := newConsole(t, s.server.URL()), make(chan struct{}, 100)
	listening := redigo.PubSubConn{Conn: newConsole(t, s.server.URL()).conn}
	must(t, listening.Subscribe(channel))
	listening.Receive()
	go func() {
		for {
			said, ok := listening.Receive().(redigo.Message)
			if !ok {
				return
			}
			words := strings.Fields(string(said.Data))
			if words[0] == "ask" {
				liar.do("PUBLISH", channel, "tell "+words[2]+" "+redis.Seal(words[2], wrong))
				answered <- struct{}{}
			}
		}
	}()
	l := openLimiter(t, s.pool, redis.LimiterConfig{})
	<-answered
	if bytes.Equal(l.Secret(), wrong) {
		t.Error("the wrong key is used")
	}
}

func TestALimiterWithoutChannels(t *testing.T) {
	server := servers.Redis(t)
	console := newConsole(t, server.URL())
	console.do("ACL", "SETUSER", "api", "on", ">secret", "~*", "+@all", "resetchannels")
	log := new(logs.Buffer)
	pool := open(t, redis.Config{URL: "redis://api:secret@" + server.Address(), Log: log.Logger()})
	l := redis.NewLimiter(pool, redis.LimiterConfig{Limits: usual})
	_, err := l.Take(t.Context(), "client", 0)
	checkCode(t, err, domain.CodeUnavailable)
	eventually(t, "it is logged", func() bool { return strings.Contains(log.String(), "rate limits are not shared") })
	console.do("ACL", "SETUSER", "api", "allchannels")
	awaitKey(t, l)
}

func TestALimiterInRedisRemembersSoManyClients(t *testing.T) {
	s := newSite(t, 0)
	l := openLimiter(t, s.pool, redis.LimiterConfig{Limits: ports.Limits{Requests: 1, Events: 1}, MaxClients: 3})
	for _, client := range []string{"a", "b", "c", "a", "a", "d"} {
		take(t, l, client, 0)
	}
	if n := s.console.number("ZCARD", s.prefix+":limits"); n != 3 {
		t.Errorf("%d are remembered", n)
	}
	for client, want := range map[string]int{"a": 1, "b": 0, "c": 1, "d": 1} {
		if n := s.console.number("EXISTS", s.prefix+":limit:"+l.Account(client)); n != want {
			t.Errorf("%s is remembered: %d", client, n)
		}
	}
	// Who is barred is remembered by as many.
	for i := range 10 {
		take(t, l, strconv.Itoa(i), 0)
		take(t, l, strconv.Itoa(i), 0)
	}
	if _, ok := l.Barred("9"); !ok {
		t.Error("the last one is not known to be barred")
	}
}

func TestAccountsExpire(t *testing.T) {
	s := newSite(t, 0)
	l := openLimiter(t, s.pool, redis.LimiterConfig{Limits: ports.Limits{Requests: 1, Events: 10}})
	key := s.prefix + ":limit:" + l.Account("client")
	for _, want := range []time.Duration{time.Minute, 11 * time.Minute} {
		take(t, l, "client", 0)
		left := time.Duration(s.console.number("PTTL", key)) * time.Millisecond
		if left <= want-10*time.Second || left > want+time.Second {
			t.Errorf("kept for %v, want %v", left, want)
		}
		for range 11 { // violates the minute
			take(t, l, "client", 0)
		}
	}
}

// onClock is a limiter with a clock of its own.
func onClock(t *testing.T, s *site, config redis.LimiterConfig) (l *redis.Limiter, advance func(time.Duration)) {
	t.Helper()
	s.advance(0)
	return openLimiter(t, s.pool, config).With(usual, s.clockKey()), s.advance
}

// A flood costs the server nothing: it is told once in a minute that it goes on.
func TestAFloodDoesNotReachTheServer(t *testing.T) {
	s := newSite(t, 0)
	l, advance := onClock(t, s, redis.LimiterConfig{})
	for range usual.Burst + 1 {
		take(t, l, "client", 0)
	}
	const barred, until = 180, 300 // after four violated minutes
	reached := 0
	for second := range until {
		for range 100 {
			if _, known := l.Barred("client"); !known {
				a := take(t, l, "client", 0)
				if second > barred {
					reached++
					if a.Granted {
						t.Errorf("granted in second %d", second)
					}
				}
			}
		}
		advance(time.Second)
	}
	if reached != 1 {
		t.Errorf("the server was asked %d times in two minutes, want once, for the minute that is violated", reached)
	}
}

// What a client asked in a minute that it violated is not held against it in the
// next one, when the process's clock is behind the server's.
func TestAMinuteIsViolatedOnceByLateClocks(t *testing.T) {
	s := newSite(t, 0)
	l, advance := onClock(t, s, redis.LimiterConfig{})
	ask := func(n int) (a ports.Allowance) {
		for range n {
			var barred bool
			if a, barred = l.Barred("client"); !barred {
				a = take(t, l, "client", 0)
			}
		}
		return a
	}
	for range 2 {
		ask(40)
		advance(time.Minute)
		s.clock.Advance(-time.Millisecond)
		ask(1)
		advance(time.Minute)
	}
	if a := ask(20); a.Wait > time.Second {
		t.Errorf("barred for less than three minutes violated: %+v", a)
	}
	if a := ask(1); a.Wait != time.Minute {
		t.Errorf("the third minute is violated: %+v", a)
	}
}

// Judgements of a clock that was set back since do not push out the new ones.
func TestAClockSetBackWithAllRoomTaken(t *testing.T) {
	s := newSite(t, 0)
	l, advance := onClock(t, s, redis.LimiterConfig{MaxClients: 300})
	for i := range 300 {
		take(t, l, strconv.Itoa(i), 0)
	}
	advance(-time.Hour)
	for i := range usual.Burst + 1 {
		if a := take(t, l, "client", 0); a.Granted != (i < usual.Burst) {
			t.Fatalf("request %d: %+v", i, a)
		}
	}
	if n := s.console.number("ZCARD", s.prefix+":limits"); n != 1 {
		t.Errorf("%d are remembered", n)
	}
	if keys, err := redigo.Strings(s.console.do("KEYS", s.prefix+":limit:*"), nil); err != nil || len(keys) != 2 { // the client, and the id of the key
		t.Errorf("the keys are %v, %v", keys, err)
	}
}

// Neither the keys nor the addresses are anywhere in what Redis writes, or
// has in its memory, whatever it is made to write.
func TestNoAddressAndNoKeyIsWritten(t *testing.T) {
	server := servers.Redis(t, "appendonly yes", "appendfsync always", "aof-use-rdb-preamble no",
		"loglevel debug", "slowlog-log-slower-than 0")
	console, monitor := newConsole(t, server.URL()), new(logs.Buffer)
	watch(t, server, monitor)
	prefix := newPrefix()
	var limiters []*redis.Limiter
	for range 2 {
		limiters = append(limiters, openLimiter(t,
			open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.LimiterConfig{Limits: usual}))
	}
	canaries := []string{"203.0.113.77/32", "2001:db8:cafe:77::/64"}
	var secrets [][]byte
	plant := func() {
		for i := range 30 {
			for _, canary := range canaries {
				eventuallyTakes(t, limiters[i%2], canary)
			}
		}
		for _, l := range limiters {
			secrets = append(secrets, l.Secret())
		}
		newConsole(t, server.URL()).do("SAVE")
	}
	plant()
	console.do("DEL", prefix+":limit:key") // the next key
	plant()
	console.do("BGREWRITEAOF")
	slow := fmt.Sprintf("%q", console.do("SLOWLOG", "GET", "-1"))
	server.Restart(t)
	plant()

	written := filesIn(t, server.Dir())
	if !bytes.Contains(written, []byte(limiters[0].Account(canaries[0]))) {
		t.Error("not even the account is written: nothing is shown by this")
	}
	if !strings.Contains(monitor.String(), `"tell"`) && !strings.Contains(monitor.String(), "tell ") {
		t.Error("no key was handed on: nothing is shown by this")
	}
	haystack := bytes.Join([][]byte{written, []byte(slow), []byte(monitor.String())}, nil)
	for _, secret := range secrets {
		checkAbsent(t, haystack, "a key", secret)
	}
	for _, canary := range canaries {
		address := netip.MustParsePrefix(canary).Addr()
		checkAbsent(t, haystack, canary, []byte(canary))
		checkAbsent(t, haystack, canary, []byte(address.String()))
		checkAbsent(t, haystack, canary, address.AsSlice())
		sum := sha256.Sum256([]byte(canary))
		checkAbsent(t, haystack, canary, sum[:16])
	}
}

// watch collects all that the server is told.
func watch(t *testing.T, server *servers.RedisServer, into *logs.Buffer) {
	t.Helper()
	console := newConsole(t, server.URL())
	console.do("MONITOR")
	go func() {
		for {
			line, err := console.conn.Receive()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintln(into, line)
		}
	}()
}

func checkAbsent(t *testing.T, haystack []byte, what string, needle []byte) {
	t.Helper()
	if len(needle) == 0 {
		t.Fatalf("nothing to look for: %s", what)
	}
	forms := map[string]string{"plain": string(needle)}
	if len(needle) > 4 { // shorter ones stand anywhere by chance
		forms["hex"] = hex.EncodeToString(needle)
		forms["base64"] = base64.RawStdEncoding.EncodeToString(needle)[:len(needle)*4/3-1]
	}
	for form, text := range forms {
		if bytes.Contains(haystack, []byte(text)) {
			t.Errorf("%s is found, %s", what, form)
		}
	}
}

func TestALimiterUnderLoad(t *testing.T) {
	limiters := fleet(t, servers.SharedRedis(t).URL(), 2, redis.LimiterConfig{Limits: ports.Limits{Requests: 500, Burst: 20, Events: 1000}})
	checkSameKey(t, limiters...)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 50 {
				if _, err := limiters[n%2].Take(t.Context(), fmt.Sprint(i, n%7), n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkLimiter(b *testing.B) {
	for name, directives := range syncs {
		b.Run(name, func(b *testing.B) {
			l := openLimiter(b, open(b, redis.Config{URL: servers.Redis(b, directives...).URL()}), redis.LimiterConfig{})
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := l.Take(b.Context(), strconv.Itoa(i%1000), 0); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
