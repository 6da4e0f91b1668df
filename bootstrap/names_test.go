package bootstrap_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
)

func TestUnknownNamesInTheFileAreRefused(t *testing.T) {
	tests := map[string]string{
		"DATABASE_ULR":         "did you mean DATABASE_URL?",
		"RATE_LIMIT_PER_MINUT": "did you mean RATE_LIMIT_PER_MINUTE?",
		"RATELIMIT_PER_MINUTE": "did you mean RATE_LIMIT_PER_MINUTE?",
		"port":                 "did you mean PORT?",
		"POTR":                 "did you mean PORT?",
		"DB_PASS":              "did you mean DB_PASSWORD?",
		"DB_USERNAME":          "did you mean DB_USER?",
		"REDIS_PASSWD":         "did you mean REDIS_PASSWORD?",
		"MAX_QUEUE":            "did you mean MAX_QUEUE_SIZE?",
		"HOURLY_RETENTION_DAY": "did you mean HOURLY_RETENTION_DAYS?",
		"KUBERNETES_NAMESPACE": "remove it; .env.example lists the variables that there are",
	}
	for name, advice := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, ".env", "LOG_LEVEL=warn\n"+name+"=hunter2\n")
			found := problems(t, nil, path)
			want := bootstrap.Problem{Variable: name, Message: "is in " + path + " and is not a variable of this program: " + advice}
			if !slices.Equal(found, []bootstrap.Problem{want}) {
				t.Errorf("problems are %q, want %q", found, want)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		path := write(t, ".env", "DATABASE_ULR=postgres://u:hunter2@h/d\nRATE_LIMIT_PER_MINUT=0\nPORT=x\n")
		var told []string
		for _, p := range problems(t, nil, path) {
			told = append(told, p.Variable)
			if strings.Contains(p.Message, "hunter2") {
				t.Errorf("the value is repeated: %s", p.Message)
			}
		}
		if slices.Sort(told); !slices.Equal(told, []string{"DATABASE_ULR", "PORT", "RATE_LIMIT_PER_MINUT"}) {
			t.Errorf("problems of %v", told)
		}
	})
}

func TestUnknownNamesInTheEnvironmentAreDoubted(t *testing.T) {
	tests := map[string]string{ // nothing for what is left alone
		"DATABASE_ULR":         "did you mean DATABASE_URL?",
		"RATE_LIMIT_PER_MINUT": "did you mean RATE_LIMIT_PER_MINUTE?",
		"DB_PASS":              "did you mean DB_PASSWORD?",
		"DB_POOL":              "did you mean DB_PORT?",
		"PROT":                 "did you mean PORT?",
		"DATA_DIRR":            "did you mean DATA_DIR?",
		"CORS_ORIGINS":         "did you mean CORS_ORIGIN?",
		"HOME":                 "", "PATH": "", "PWD": "", "USER": "", "HOSTNAME": "", "LANG": "", "LC_ALL": "", "TERM": "", "SHELL": "", "_": "",
		"GOPATH": "", "INVOCATION_ID": "", "JOURNAL_STREAM": "", "NOTIFY_SOCKET": "", "MEMORY_PRESSURE_WATCH": "", "TZ": "", "API_KEY": "",
		"PORT": "", "DATABASE_URL": "",
	}
	for name, want := range tests {
		doubts := bootstrap.Doubts([]string{name + "=hunter2"}, "no-such-file")
		switch {
		case want == "" && len(doubts) > 0:
			t.Errorf("%s is doubted: %q", name, doubts)
		case want == "":
		case len(doubts) != 1 || doubts[0].Variable != name || !strings.HasSuffix(doubts[0].Message, want) || strings.Contains(doubts[0].Message, "hunter2"):
			t.Errorf("doubts of %s are %q, want %q", name, doubts, want)
		}
		if _, _, err := bootstrap.Load([]string{name + "="}, "no-such-file", bootstrap.RoleServe); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
}

func TestAlteredValuesAreDoubted(t *testing.T) {
	tests := map[string]bool{
		`DB_PASSWORD=p@ss#$1`:             true,
		`DB_PASSWORD=p@ss#1`:              true,
		`export DB_PASSWORD = p$1`:        true,
		`DB_PASSWORD: p$1`:                true,
		`DB_PASSWORD="p@ss$1"`:            true,
		`DB_PASSWORD='p@ss#$1'`:           false,
		`DB_PASSWORD="p@ss#1"`:            false,
		`DB_PASSWORD="p\$1" # costs $ 5`:  false,
		`DB_PASSWORD='p$1' # costs $ 5`:   false,
		`DB_PASSWORD=secret # in $ and #`: false,
		`DB_PASSWORD= # none`:             false,
		`# DB_PASSWORD=p@ss#$1`:           false,
		`DB_PASSWORD=secret`:              false,
	}
	for line, want := range tests {
		path := write(t, ".env", "LOG_LEVEL=warn\n"+line+"\n")
		doubts := bootstrap.Doubts(nil, path)
		if (len(doubts) == 1) != want || len(doubts) > 1 {
			t.Errorf("%s: doubts are %q", line, doubts)
			continue
		}
		if want && (doubts[0].Variable != "DB_PASSWORD" || !strings.Contains(doubts[0].Message, "put the value in single quotes") ||
			strings.Contains(doubts[0].Message, "p@ss")) {
			t.Errorf("%s: doubts are %q", line, doubts)
		}
	}
	if doubts := bootstrap.Doubts(nil, "../.env.example"); len(doubts) > 0 {
		t.Errorf("the example is doubted: %q", doubts)
	}
}
