package redis

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// rememberedReceipt is how the answer to a request with an idempotency key is
// kept.
type rememberedReceipt struct {
	AcceptedAt time.Time             `json:"accepted_at"`
	Accepted   int                   `json:"accepted"`
	Refused    int                   `json:"refused"`
	Violations []rememberedViolation `json:"violations,omitempty"`
	Omitted    int                   `json:"omitted,omitempty"`
}

type rememberedViolation struct {
	Index   int                  `json:"index"`
	Field   string               `json:"field"`
	Code    domain.ViolationCode `json:"code"`
	Message string               `json:"message"`
}

func encodeReceipt(r domain.Receipt) ([]byte, error) {
	kept := rememberedReceipt{AcceptedAt: r.AcceptedAt, Accepted: r.Accepted, Refused: r.Refused, Omitted: r.Omitted}
	for _, v := range r.Violations {
		kept.Violations = append(kept.Violations, rememberedViolation(v))
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return data, nil
}

func decodeReceipt(data []byte) (domain.Receipt, error) {
	var kept rememberedReceipt
	if err := json.Unmarshal(data, &kept); err != nil {
		return domain.Receipt{}, fmt.Errorf("decode receipt: %w", err)
	}
	r := domain.Receipt{AcceptedAt: kept.AcceptedAt.UTC(), Accepted: kept.Accepted, Refused: kept.Refused, Omitted: kept.Omitted}
	for _, v := range kept.Violations {
		r.Violations = append(r.Violations, domain.Violation(v))
	}
	return r, nil
}
