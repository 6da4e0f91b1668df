package postgres_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// TestEveryFormOfAnAddressIsTaken compares how the driver understands the forms of
// PostgreSQL's manual: hosts and ports, user, password, database.
func TestEveryFormOfAnAddressIsTaken(t *testing.T) {
	t.Setenv("PGUSER", "os") // the default is the user of the system
	for url, want := range map[string]string{
		"postgresql://":                      "localhost:5432 os  ",
		"postgres://localhost":               "localhost:5432 os  ",
		"postgresql://localhost:5433":        "localhost:5433 os  ",
		"postgresql://localhost/mydb":        "localhost:5432 os  mydb",
		"postgresql://user@localhost":        "localhost:5432 user  ",
		"postgresql://user:secret@localhost": "localhost:5432 user secret ",
		"postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp":          "localhost:5432 other  otherdb",
		"postgresql://host1:123,host2:456/somedb?target_session_attrs=any&application_name=myapp": "host1:123,host2:456 os  somedb",
		"postgres://u:p@h1:5432,h2:5432/db?target_session_attrs=read-write":                       "h1:5432,h2:5432 u p db",
		"postgres://u:p@h1,h2:5433/db":                                                "h1:5432,h2:5433 u p db",
		"postgres://u@/db?host=a,b&port=1,2":                                          "a:1,b:2 u  db",
		"postgres://u@/db?host=a,b&port=1":                                            "a:1,b:1 u  db",
		"postgresql:///mydb?host=localhost&port=5433":                                 "localhost:5433 os  mydb",
		"postgresql://user@localhost:5433/mydb?options=-c%20synchronous_commit%3Doff": "localhost:5433 user  mydb",
		"postgresql://%2Fvar%2Flib%2Fpostgresql/dbname":                               "/var/lib/postgresql:5432 os  dbname",
		"postgresql:///dbname?host=/var/lib/postgresql":                               "/var/lib/postgresql:5432 os  dbname",
		"postgresql://[2001:db8::1234]/database":                                      "2001:db8::1234:5432 os  database",
		"postgres://[::1]:5433,[::2]/db":                                              "::1:5433,::2:5432 os  db",
		"postgres://:5433/db":                                                         "localhost:5433 os  db",
		"postgres://u%40x:p%40ss%2F%3A%27%20%5C@h/my%20db":                            `h:5432 u@x p@ss/:' \ my db`,
		"postgres://h/?dbname=db&user=u&password=p":                                   "h:5432 u p db",
		"postgres://h/db?database=other":                                              "",
		"host=localhost port=5432 dbname=mydb connect_timeout=10":                     "localhost:5432 os  mydb",
		`host = h user='my user' password = 'it\'s a \\' dbname=d`:                    `h:5432 my user it's a \ d`,
		"host=a,b port=1,":                                                            "a:1,b:5432 os  ",
		"user=u password='' dbname=d":                                                 "localhost:5432 u  d",
		"hostaddr=192.0.2.1,192.0.2.2 dbname=d":                                       "192.0.2.1:5432,192.0.2.2:5432 os  d",
	} {
		got, err := postgres.ServerOf(url)
		if want == "" {
			if err == nil {
				t.Errorf("%s is taken", url)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s\nis %q, %v\nwant %q", url, got, err, want)
		}
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	const secret = "s3cr3t"
	for url, want := range map[string]string{
		"mysql://u:" + secret + "@h/db":                    "is not such an address: give postgres://",
		"stats":                                            "is not such an address: give postgres://",
		"postgres://h/db?sslmod=require":                   "the parameter sslmod, which is not known: correct or remove it",
		"postgres://h/db?channel_binding=require":          "known are host, hostaddr, port, dbname, user, password,",
		"postgres://h/db?work_mem=8MB":                     "options=-c%20work_mem%3D8MB",
		"postgres://h/db?password=" + secret + "&s3cr3t=2": "a parameter that is not known",
		"host=h password=s3 s3cr3t=1":                      "a parameter that is not known",
		"postgres://h1/db?host=h2":                         "says the host twice",
		"postgres://u:" + secret + "@h/db?user=v":          "says the user twice",
		"host=h host=h2":                                   "says the host twice",
		"postgres://a:1,b:2/db?port=3":                     "says the port twice",
		"postgres://h/db?host":                             "cannot be read: give postgres://",
		"host=a,b,c port=1,2":                              "has 3 hosts and 2 ports",
		"host=a,b hostaddr=192.0.2.1":                      "one address for each host",
		"postgres://h:0/db":                                "numbers from 1 to 65535",
		"postgres://h:65536/db":                            "numbers from 1 to 65535",
		"postgres://::1/db":                                "write an IPv6 address in brackets",
		"postgres://[::1/db":                               "cannot be read: give postgres://",
		"postgres://u:%zz" + secret + "@h/db":              "write special characters",
		"postgres://u:pass?" + secret + "@h/db":            "write special characters",
		"postgres://u:a@" + secret + "@h/db":               "write special characters",
		"password='" + secret:                              "a quoted value does not end",
		"host=h " + secret:                                 "cannot be read: give postgres://",
	} {
		err := postgres.CheckURL(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestPasswordsAreHiddenInEveryForm(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u:s3cr3t@h1:1,h2:2/db?sslmode=require": "postgres://u:***@h1:1,h2:2/db?sslmode=require",
		"postgres://u@h/db": "postgres://u@h/db",
		"postgresql://":     "postgresql://",
		"postgres://h/db?password=s3cr3t&sslmode=disable": "postgres://h/db?password=***&sslmode=disable",
		"postgres://h/db?passw%6Frd=s3cr3t":               "postgres://h/db?passw%6Frd=***",
		"postgres://%2Frun/db?user=u":                     "postgres://%2Frun/db?user=u",
		"host=h password='s3 cr3t' dbname=d":              "host=h password=*** dbname=d",
		"host=h password=s3 cr3t":                         "***",
		"postgres://u:s3/cr3t@h/db":                       "***",
		"s3cr3t":                                          "***",
	} {
		if got := postgres.HidePassword(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}

// TestFormsOfAddressesReachTheServer opens the database by those forms that are
// more than another spelling.
func TestFormsOfAddressesReachTheServer(t *testing.T) {
	sockets := t.TempDir()
	server := servers.SharedPostgres(t)
	address := server.NewDatabase(t)
	closeDB(t, open(t, postgres.Config{URL: address}))
	name, port := databaseName(t, address), strconv.Itoa(server.Port())
	dead := strconv.Itoa(servers.FreePort(t))
	for form, url := range map[string]string{
		"several hosts":      "postgres://postgres:private@127.0.0.1:" + dead + ",127.0.0.1:" + port + "/" + name + "?target_session_attrs=read-write",
		"hosts in the query": "postgres://postgres:private@/" + name + "?host=127.0.0.1,127.0.0.1&port=" + dead + "," + port,
		"pairs":              "host=127.0.0.1 port=" + port + " user=postgres password=private dbname=" + name,
		"a setting":          address + "&options=-c%20work_mem%3D8MB",
	} {
		t.Run(form, func(t *testing.T) { open(t, postgres.Config{URL: url}) })
	}
	t.Run("a missing socket", func(t *testing.T) {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://" + strings.ReplaceAll(sockets, "/", "%2F") + "/" + name})
		if err == nil || !strings.Contains(err.Error(), filepath.Join(sockets, ".s.PGSQL.5432")) {
			t.Errorf("%v", err)
		}
	})
}
