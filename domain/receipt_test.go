package domain_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestReceiptsSurviveEncoding(t *testing.T) {
	fingerprint := domain.Fingerprint{1, 2, 3}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " ", "must be a string", "version must  be\ta string"}))
	rapid.Check(t, func(t *rapid.T) {
		want := domain.Receipt{
			AcceptedAt: time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")).UTC(),
			Accepted:   rapid.IntRange(0, 1e6).Draw(t, "accepted"),
			Refused:    rapid.IntRange(0, 1e6).Draw(t, "refused"),
			Omitted:    rapid.IntRange(0, 1e6).Draw(t, "omitted"),
		}
		for range rapid.IntRange(0, 20).Draw(t, "violations") {
			want.Violations = append(want.Violations, domain.Violation{
				Index: rapid.IntRange(domain.WholeBody, 10_000).Draw(t, "index"),
				Field: text.Draw(t, "field"), Code: domain.ViolationCode(text.Draw(t, "code")), Message: text.Draw(t, "message"),
			})
		}
		data := domain.EncodeReceipt(fingerprint, want)
		got, err := domain.RecallReceipt(data, fingerprint)
		if omitted := got.Omitted - want.Omitted; omitted > 0 { // all of it did not fit
			want.Omitted, want.Violations = got.Omitted, want.Violations[:len(want.Violations)-omitted]
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
		if len(data) > domain.MaxReceiptBytes {
			t.Fatalf("%d bytes", len(data))
		}
		if _, err := domain.RecallReceipt(data, domain.Fingerprint{}); domain.CodeOf(err) != domain.CodeIdempotencyKeyReused {
			t.Fatalf("another fingerprint gives %v", err)
		}
	})
}

// The receipt of the smallest body that makes the most of faults is small.
func TestAReceiptOfManyFaultsIsSmall(t *testing.T) {
	const broken = `{"version":1,"tool":1,"status":1,"timestamp_hour":1,"analytics_level":"detailed","error_type":1,` +
		`"response_time_ms":"","service":1,"cache_hit":1,"retry_count":"","country":1,"parameters":1,"session_id":1,"sequence_number":""}`
	good := `{"version":"1.0","tool":"get_alerts","status":"success","timestamp_hour":"2026-11-23T10:00:00Z","analytics_level":"minimal"}`
	body := `{"events":[` + good + strings.Repeat(","+broken, 99) + `]}`
	now := time.Date(2026, 11, 23, 10, 42, 0, 0, time.UTC)
	judged, err := domain.NewValidator(domain.ValidatorConfig{}).Batch([]byte(body), now)
	if err != nil {
		t.Fatal(err)
	}
	receipt := domain.Receipt{AcceptedAt: now, Accepted: len(judged.Events), Refused: judged.Refused(), Violations: judged.Violations[:100]}
	size := len(domain.EncodeReceipt(domain.Fingerprint{}, receipt))
	t.Logf("%d violations take %d bytes", len(receipt.Violations), size)
	if size > 600 {
		t.Errorf("a receipt takes %d bytes", size)
	}
}

func TestAReceiptIsBounded(t *testing.T) {
	receipt := domain.Receipt{Accepted: 1, Refused: 100}
	for i := range 1000 {
		receipt.Violations = append(receipt.Violations, domain.Violation{Index: i, Message: fmt.Sprint("reason ", i)})
	}
	data := domain.EncodeReceipt(domain.Fingerprint{}, receipt)
	got, err := domain.RecallReceipt(data, domain.Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	listed := len(got.Violations)
	if len(data) > domain.MaxReceiptBytes || len(data) < domain.MaxReceiptBytes-100 || listed+got.Omitted != 1000 ||
		!reflect.DeepEqual(got.Violations, receipt.Violations[:listed]) {
		t.Errorf("%d bytes with %d violations and %d omitted", len(data), listed, got.Omitted)
	}
}

func TestHashesAreKeyed(t *testing.T) {
	secret := []byte("secret")
	request := domain.KeyedRequest{Key: "key", Body: []byte("body")}
	key, body := request.Hashes(secret)
	for name, other := range map[string]struct {
		request       domain.KeyedRequest
		secret        string
		sameKey, same bool
	}{
		"the same":        {request, "secret", true, true},
		"another body":    {domain.KeyedRequest{Key: "key", Body: []byte("Body")}, "secret", true, false},
		"another key":     {domain.KeyedRequest{Key: "Key", Body: []byte("body")}, "secret", false, false},
		"another secret":  {request, "Secret", false, false},
		"another border":  {domain.KeyedRequest{Key: "keyb", Body: []byte("ody")}, "secret", false, false},
		"no body":         {domain.KeyedRequest{Key: "key"}, "secret", true, false},
		"body in the key": {domain.KeyedRequest{Key: "keybody"}, "secret", false, false},
	} {
		otherKey, otherBody := other.request.Hashes([]byte(other.secret))
		if (otherKey == key) != other.sameKey || (otherBody == body) != other.same {
			t.Errorf("%s: key %x, body %x; the first: key %x, body %x", name, otherKey, otherBody, key, body)
		}
	}
	if bytes.Equal(key[:], body[:]) {
		t.Error("key and body have one hash")
	}
}

func FuzzRecallReceipt(f *testing.F) {
	f.Add([]byte{})
	f.Add(domain.EncodeReceipt(domain.Fingerprint{}, domain.Receipt{}))
	f.Add(domain.EncodeReceipt(domain.Fingerprint{}, domain.Receipt{Violations: []domain.Violation{
		{Index: 3, Field: "tool", Code: domain.ViolationType, Message: "tool must be a string"},
		{Index: 4, Field: "tool", Code: domain.ViolationType, Message: "tool must be a string"},
	}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := domain.RecallReceipt(data, domain.Fingerprint{})
		switch domain.CodeOf(err) { //nolint:exhaustive // there are no others
		case "", domain.CodeUnavailable, domain.CodeIdempotencyKeyReused:
		default:
			t.Errorf("code %q", domain.CodeOf(err))
		}
	})
}
