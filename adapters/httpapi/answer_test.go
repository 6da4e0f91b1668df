package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// kept is how long answers are kept in most tests.
var kept = setup{answers: app.AnswersConfig{Fresh: 5 * time.Minute, Stale: time.Hour}}

// long is an answer that is worth compressing, short is one that is not.
const (
	long  = "/v1/stats/errors?period=30d"
	short = "/v1/stats/tools?limit=1"
)

func unzip(t *testing.T, body *bytes.Buffer) []byte {
	t.Helper()
	reader, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func checkCaching(t *testing.T, h http.Header, cacheControl, age, cacheStatus string) {
	t.Helper()
	checkHeader(t, h, "Cache-Control", cacheControl)
	checkHeader(t, h, "Age", age)
	checkHeader(t, h, "Cache-Status", cacheStatus)
	checkHeader(t, h, "Warning", "") // which RFC 9111 dropped
}

func TestCachesAreToldWhatRemains(t *testing.T) {
	s := newService(kept)
	first := s.do(t, http.MethodGet, long, "")
	checkStatus(t, first, http.StatusOK)
	checkCaching(t, first.Header(), "public, max-age=300", "", "")
	s.clock.Advance(100*time.Second + time.Millisecond)
	again := s.do(t, http.MethodGet, long, "")
	checkCaching(t, again.Header(), "public, max-age=199", "", "")
	checkHeader(t, again.Header(), "ETag", first.Header().Get("ETag"))
	s.clock.Advance(199 * time.Second)
	checkCaching(t, s.do(t, http.MethodGet, long, "").Header(), "no-cache", "", "") // less than a second is left
	if n := cacheUse(t, s); n.Hits != 2 || n.Misses != 1 || n.Computations != 1 || n.HitRate != 0.6667 {
		t.Errorf("the cache was used %+v", n)
	}
}

type useOfCache struct {
	Hits, Stale, Misses, Computations, Failures, Errors int
	HitRate                                             float64 `json:"hit_rate"`
}

func cacheUse(t *testing.T, s *service) useOfCache {
	t.Helper()
	answer := s.do(t, http.MethodGet, "/v1/status", "")
	checkStatus(t, answer, http.StatusOK)
	var status struct{ Cache *useOfCache }
	decode(t, answer.Body.Bytes(), &status)
	if status.Cache == nil {
		t.Fatalf("no cache in %s", answer.Body)
	}
	return *status.Cache
}

func TestAStaleAnswerSaysSo(t *testing.T) {
	s := newService(kept)
	first := s.do(t, http.MethodGet, long, "")
	s.do(t, http.MethodPost, "/v1/events", batch(goodEvent))
	s.work(t)
	s.away.Store(true)
	s.clock.Advance(6 * time.Minute)
	stale := s.do(t, http.MethodGet, long, "")
	checkStatus(t, stale, http.StatusOK)
	checkCaching(t, stale.Header(), "no-cache", "360", "analytics; hit; ttl=-60")
	eventually(t, func() bool { return cacheUse(t, s).Failures == 1 })
	failing := s.do(t, http.MethodGet, long, "", "If-None-Match", first.Header().Get("ETag"))
	checkStatus(t, failing, http.StatusNotModified)
	checkCaching(t, failing.Header(), "no-cache", "360", "analytics; hit; ttl=-60; detail=revalidation-failed")

	// Nothing else is there to be given.
	other := s.do(t, http.MethodGet, short, "")
	checkStatus(t, other, http.StatusServiceUnavailable)
	checkCaching(t, other.Header(), "no-store", "", "")
	checkHeader(t, other.Header(), "ETag", "")
	checkHeader(t, other.Header(), "Retry-After", "5")
}

func TestAStaleAnswerIsRenewed(t *testing.T) {
	s := newService(kept)
	old := s.do(t, http.MethodGet, long, "")
	s.do(t, http.MethodPost, "/v1/events", batch(goodEvent))
	s.work(t)
	s.clock.Advance(6 * time.Minute)
	eventually(t, func() bool {
		answer := s.do(t, http.MethodGet, long, "", "If-None-Match", old.Header().Get("ETag"))
		return answer.Code == http.StatusOK && answer.Header().Get("Cache-Control") == "public, max-age=300"
	})
}

func TestWithoutAnAgeNothingIsKept(t *testing.T) {
	s := newService(setup{})
	etag := ""
	for range 2 {
		answer := s.do(t, http.MethodGet, long, "")
		checkCaching(t, answer.Header(), "no-cache", "", "")
		etag = answer.Header().Get("ETag")
	}
	checkStatus(t, s.do(t, http.MethodGet, long, "", "If-None-Match", etag), http.StatusNotModified)
	if n := cacheUse(t, s); n.Computations != 3 || n.Hits != 0 {
		t.Errorf("the cache was used %+v", n)
	}
}

func TestHealthIsNeverKept(t *testing.T) {
	s := newService(kept)
	answer := s.do(t, http.MethodGet, "/v1/stats/health", "")
	checkStatus(t, answer, http.StatusOK)
	checkCaching(t, answer.Header(), "no-store", "", "")
}

// The same question in other words has the same answer; another has its own.
func TestQuestionsAreRecognised(t *testing.T) {
	s := newService(kept)
	for i, path := range []string{
		"/v1/stats/overview", "/v1/stats/overview?period=24h", "/v1/stats/all", "/v1/stats/performance",
		"/v1/stats/performance?period=30d", "/v1/stats/overview?country=US&version=1.0", "/v1/stats/overview?version=1.0&country=US",
		"/v1/stats/tool/get_alerts", "/v1/stats/tool/get%5Falerts", "/v1/stats/tool/get_forecast", "/v1/stats/overview?tool=get_alerts",
		"/v1/stats/overview?resolution=hour", "/v1/stats/overview?resolution=day", "/v1/stats/overview?resolution=day&period=24h",
	} {
		checkStatus(t, s.do(t, http.MethodGet, path, ""), http.StatusOK)
		want := []int{1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 9}[i]
		if n := cacheUse(t, s).Computations; n != want {
			t.Errorf("%d computations after %s, want %d", n, path, want)
		}
	}
}

func TestCodings(t *testing.T) {
	tests := map[string]struct {
		accept []string
		zipped bool
	}{
		"none":             {nil, false},
		"empty":            {[]string{""}, false},
		"gzip":             {[]string{"gzip"}, true},
		"browser":          {[]string{"gzip, deflate, br, zstd"}, true},
		"two headers":      {[]string{"br", "gzip"}, true},
		"any":              {[]string{"*"}, true},
		"old name":         {[]string{"x-gzip"}, true},
		"upper case":       {[]string{"GZIP;Q=0.5"}, true},
		"weighted":         {[]string{"br;q=1.0, gzip ; q=0.1"}, true},
		"refused":          {[]string{"gzip;q=0"}, false},
		"refused of any":   {[]string{"*, gzip;q=0.000"}, false},
		"any refused":      {[]string{"*;q=0"}, false},
		"identity better":  {[]string{"gzip;q=0.5, identity"}, false},
		"identity refused": {[]string{"gzip;q=0.5, identity;q=0"}, true},
		"others":           {[]string{"br, deflate"}, false},
		"no number":        {[]string{"gzip;q=much"}, false},
	}
	s := newService(kept)
	plain := s.do(t, http.MethodGet, long, "")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var header []string
			for _, accept := range test.accept {
				header = append(header, "Accept-Encoding", accept)
			}
			answer := s.do(t, http.MethodGet, long, "", header...)
			checkStatus(t, answer, http.StatusOK)
			checkHeader(t, answer.Header(), "Vary", "Accept-Encoding, Origin")
			checkHeader(t, answer.Header(), "Content-Type", "application/json; charset=utf-8")
			checkHeader(t, answer.Header(), "Content-Length", strconv.Itoa(answer.Body.Len()))
			etag := plain.Header().Get("ETag")
			body := answer.Body.Bytes()
			if test.zipped {
				checkHeader(t, answer.Header(), "Content-Encoding", "gzip")
				etag = strings.TrimSuffix(etag, `"`) + `-gzip"`
				if len(body)*2 > plain.Body.Len() {
					t.Errorf("%d bytes of %d", len(body), plain.Body.Len())
				}
				body = unzip(t, answer.Body)
			} else {
				checkHeader(t, answer.Header(), "Content-Encoding", "")
			}
			checkHeader(t, answer.Header(), "ETag", etag)
			if !bytes.Equal(body, plain.Body.Bytes()) {
				t.Errorf("body is %s", body)
			}
		})
	}
}

func TestShortAnswersAreNotCompressed(t *testing.T) {
	s := newService(kept)
	for path, zipped := range map[string]bool{short: false, "/v1/catalogue": false, long: true} {
		answer := s.do(t, http.MethodGet, path, "", "Accept-Encoding", "gzip")
		if got := answer.Header().Get("Content-Encoding") == "gzip"; got != zipped {
			t.Errorf("%s compressed: %t of %d bytes", path, got, answer.Body.Len())
		}
		if zipped {
			answer.Body = bytes.NewBuffer(unzip(t, answer.Body))
		}
		if long := answer.Body.Len() >= 1<<10; long != zipped {
			t.Errorf("%s has %d bytes", path, answer.Body.Len())
		}
	}
}

// What a client has of one coding says nothing of the other's bytes.
func TestAnAnswerIsNotSentTwice(t *testing.T) {
	s := newService(kept)
	plain := s.do(t, http.MethodGet, long, "").Header().Get("ETag")
	zipped := s.do(t, http.MethodGet, long, "", "Accept-Encoding", "gzip").Header().Get("ETag")
	if plain == zipped || strings.HasPrefix(plain, "W/") {
		t.Fatalf("ETags are %s and %s", plain, zipped)
	}
	tests := map[string]struct {
		accept, match string
		want          int
	}{
		"plain":              {"", plain, http.StatusNotModified},
		"zipped":             {"gzip", zipped, http.StatusNotModified},
		"weak":               {"gzip", "W/" + zipped, http.StatusNotModified},
		"in a list":          {"", `"other",  ` + zipped + `, ` + plain, http.StatusNotModified},
		"any":                {"gzip", "*", http.StatusNotModified},
		"of the other":       {"", zipped, http.StatusOK},
		"of the other, too":  {"gzip", plain, http.StatusOK},
		"another":            {"gzip", `"other"`, http.StatusOK},
		"part of it":         {"", plain[:5], http.StatusOK},
		"without quotes":     {"", strings.Trim(plain, `"`), http.StatusOK},
		"nothing":            {"gzip", "", http.StatusOK},
		"not even two halfs": {"", `"` + plain, http.StatusOK},
	}
	for name, test := range tests {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(name+" "+method, func(t *testing.T) {
				answer := s.do(t, method, long, "", "Accept-Encoding", test.accept, "If-None-Match", test.match)
				checkStatus(t, answer, test.want)
				want := plain
				if test.accept != "" {
					want = zipped
				}
				checkHeader(t, answer.Header(), "ETag", want)
				checkHeader(t, answer.Header(), "Cache-Control", "public, max-age=300")
				checkHeader(t, answer.Header(), "Vary", "Accept-Encoding, Origin")
				if test.want == http.StatusNotModified {
					checkHeader(t, answer.Header(), "Content-Encoding", "")
					checkHeader(t, answer.Header(), "Content-Length", "")
					checkHeader(t, answer.Header(), "Content-Type", "")
					if answer.Body.Len() > 0 {
						t.Errorf("body is %s", answer.Body)
					}
				}
			})
		}
	}
}

// HEAD tells what GET would, down to the length.
func TestHeadTellsTheSame(t *testing.T) {
	s := serve(t, newService(kept))
	for _, accept := range []string{"identity", "gzip"} {
		var headers [2]http.Header
		for i, method := range []string{http.MethodGet, http.MethodHead} {
			request, err := http.NewRequestWithContext(t.Context(), method, s.URL+long, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept-Encoding", accept)
			answer, err := s.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != http.StatusOK || (len(body) == 0) != (method == http.MethodHead) {
				t.Errorf("%s: %d bytes, %v", answer.Status, len(body), err)
			}
			headers[i] = answer.Header
		}
		for name := range headers[0] {
			if name != "Date" && name != "X-Request-Id" {
				checkHeader(t, headers[1], name, headers[0].Get(name))
			}
		}
		if headers[1].Get("Content-Length") == "" {
			t.Error("HEAD tells no length")
		}
	}
}

// Pages after the first are cut from what is kept; they are asked for anew.
func TestPagesHaveLinks(t *testing.T) {
	s := newService(kept)
	first := s.do(t, http.MethodGet, "/v1/stats/tools", "")
	checkHeader(t, first.Header(), "Link", `</v1/stats/tools>; rel="first"`)

	s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, strings.Replace(goodEvent, "get_forecast", "get_alerts", 1)))
	s.work(t)
	s.clock.Advance(2 * time.Hour) // beyond what is kept
	for range 2 {
		first = s.do(t, http.MethodGet, short, "")
		checkStatus(t, first, http.StatusOK)
		var page struct{ Next string }
		decode(t, first.Body.Bytes(), &page)
		next := "/v1/stats/tools?cursor=" + page.Next + "&limit=1"
		checkHeader(t, first.Header(), "Link", `<`+next+`>; rel="next", <`+short+`>; rel="first"`)
		checkHeader(t, first.Header(), "Cache-Control", "public, max-age=300")

		second := s.do(t, http.MethodGet, next, "")
		checkStatus(t, second, http.StatusOK)
		checkHeader(t, second.Header(), "Link", `<`+short+`>; rel="first"`)
		checkHeader(t, second.Header(), "Cache-Control", "no-cache")
		if second.Header().Get("ETag") == "" {
			t.Error("the second page has no ETag")
		}
	}
	if n := cacheUse(t, s); n.Computations != 2 || n.Hits != 1 {
		t.Errorf("the cache was used %+v", n)
	}
}

func TestARefusedQuestionIsNotKept(t *testing.T) {
	s := newService(kept)
	const path = "/v1/stats/tool/get_fax"
	absent := s.do(t, http.MethodGet, path, "")
	checkStatus(t, absent, http.StatusNotFound)
	checkCaching(t, absent.Header(), "no-store", "", "")
	checkHeader(t, absent.Header(), "ETag", "")
	checkStatus(t, s.do(t, http.MethodGet, "/v1/stats/all?tool=get_fax", ""), http.StatusBadRequest)
	if n := cacheUse(t, s); n.Misses != 2 || n.Computations != 2 || n.Failures != 0 {
		t.Errorf("the cache was used %+v", n)
	}
}

// damagedCache has the same bytes for everything.
type damagedCache struct {
	*memory.Cache

	kept string
}

func (c damagedCache) Get(context.Context, string) ([]byte, time.Time, bool, error) {
	return []byte(c.kept), now.Add(time.Hour), true, nil
}

// recordingCache keeps the last value that was set.
type recordingCache struct {
	*memory.Cache

	last []byte
}

func (c *recordingCache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	c.last = value
	return c.Cache.Set(ctx, key, value, lifetime)
}

func TestADamagedAnswerIsNotGiven(t *testing.T) {
	clock, log := memory.NewClock(now), slog.New(slog.DiscardHandler)
	over := func(cache ports.StatisticsCache) (service, *app.Answers) {
		useCases := reading(app.NewStatistics(memory.NewStore(), clock, app.StatisticsConfig{}), clock, log, kept.answers)
		useCases.Answers = app.NewAnswers(cache, clock, log, kept.answers)
		return service{checked: newServer(useCases, domain.DefaultCatalogue(), log, httpapi.Config{})}, useCases.Answers
	}
	recording := &recordingCache{Cache: memory.NewCache(memory.CacheConfig{Clock: clock})}
	whole, _ := over(recording)
	want := whole.do(t, http.MethodGet, long, "")
	checkStatus(t, want, http.StatusOK)
	stored := string(recording.last)
	for name, damaged := range map[string]string{
		"nothing": "", "another format": "\x00" + stored[1:], "half of the header": stored[:20],
		"half of the body": stored[:len(stored)*2/3], "no gzip": stored[:60] + strings.Repeat("x", len(stored)-60),
		"another encoding": stored[:9] + "\x07" + stored[10:],
	} {
		t.Run(name, func(t *testing.T) {
			s, answers := over(damagedCache{memory.NewCache(memory.CacheConfig{}), damaged})
			answer := s.do(t, http.MethodGet, long, "")
			checkStatus(t, answer, http.StatusOK)
			checkCaching(t, answer.Header(), "public, max-age=300", "", "")
			if !bytes.Equal(answer.Body.Bytes(), want.Body.Bytes()) {
				t.Errorf("body is %s", answer.Body)
			}
			if n := answers.Counts(); n.Computations != 1 || n.Hits != 0 {
				t.Errorf("the cache was used %+v", n)
			}
		})
	}
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkCached answers from what is kept.
func BenchmarkCached(b *testing.B) {
	store, clock, log := memory.NewStore(), memory.NewClock(contract.Now), slog.New(slog.DiscardHandler)
	if _, err := store.Store(b.Context(), []domain.Batch{contract.NewBatch(1, contract.EventsOver(1, 10_000, 30*24)...)}); err != nil {
		b.Fatal(err)
	}
	useCases := reading(app.NewStatistics(store, clock, app.StatisticsConfig{}), clock, log, kept.answers)
	s := newServer(useCases, domain.DefaultCatalogue(), log, httpapi.Config{}).Server // checking takes longer
	for name, header := range map[string][2]string{
		"gzip":         {"Accept-Encoding", "gzip"},
		"identity":     {"Accept-Encoding", "identity"},
		"not-modified": {"If-None-Match", "*"},
	} {
		b.Run(name, func(b *testing.B) {
			request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/stats/all?period=30d", http.NoBody)
			request.Header.Set(header[0], header[1])
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(discard{make(http.Header)}, request)
			}
		})
	}
}
