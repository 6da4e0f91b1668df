package redis

import (
	"context"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	redigo "github.com/gomodule/redigo/redis"
)

// hashKey is what clients' names are hashed with. Its secret is in the memory
// of our processes and nowhere else: Redis is told the id only, and one process
// gives it to another encrypted for that one alone.
type hashKey struct {
	secret [sha256.Size]byte
	id     string // the beginning of the secret's hash
}

// hashSize is how much of a hash is kept, in bytes.
const hashSize = 16

func newHashKey() *hashKey {
	k := new(hashKey)
	_, _ = rand.Read(k.secret[:]) // documented never to fail
	k.id = idOf(k.secret[:])
	return k
}

func idOf(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:hashSize])
}

// keyring agrees with other processes on a key. Which one it is stands in
// Redis, by its id, and expires there; whoever does not have it asks on a
// channel, and whoever has it answers. When nobody does, it is replaced.
type keyring struct {
	pool     *Pool
	lifetime time.Duration
	agreed   chan struct{} // closed when there is a first key

	mu       sync.Mutex
	current  *hashKey // agreed on; nil for none
	over     string   // id of the last key whose time is over
	expiry   *time.Timer
	renewing bool
	asked    *question
	hears    chan struct{} // closed when what others say is heard
	redial   func()        // listens on a new connection
}

func newKeyring(pool *Pool, lifetime time.Duration) *keyring {
	r := &keyring{pool: pool, lifetime: lifetime, agreed: make(chan struct{}), hears: make(chan struct{}), redial: func() {}}
	pool.tasks.start(r.listen)
	r.renew("")
	return r
}

// hash returns under which name a client is known with the key of that id; ok
// is false when there is no key.
func (r *keyring) hash(client string) (id, hash string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil {
		return "", "", false
	}
	mac := hmac.New(sha256.New, r.current.secret[:])
	mac.Write([]byte(client))
	return r.current.id, hex.EncodeToString(mac.Sum(nil)[:hashSize]), true
}

// renew agrees on a key in the background, unless we have another than the one
// with that id, or that is going on.
func (r *keyring) renew(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.renewing || r.current != nil && r.current.id != id {
		return
	}
	r.renewing = true
	r.pool.tasks.start(r.agree)
}

// agree tries until there is a key.
func (r *keyring) agree(ctx context.Context) {
	for attempt := 0; ; attempt++ {
		err := r.tryToAgree(ctx)
		if err == nil {
			return
		}
		if attempt == warnAfter && ctx.Err() == nil {
			r.pool.config.Log.Warn("rate limits are not shared with other processes for now", "error", err)
		}
		if !pause(ctx, attempt) {
			return
		}
	}
}

// warnAfter is how many attempts may fail without a word.
const warnAfter = 4

// askTimeout is how long a process may take to answer; until then it is asked
// askTimes times.
const (
	askTimeout = time.Second
	askTimes   = 10
)

var (
	errDeaf     = errors.New("what is said on the channel of rate limits is not heard")
	errNobody   = errors.New("nobody has the key")
	errReplaced = errors.New("the key was replaced meanwhile")
)

func (r *keyring) tryToAgree(ctx context.Context) error {
	if err := r.awaitHearing(ctx); err != nil {
		return err
	}
	start, own := time.Now(), newHashKey()
	id, left, err := r.propose(ctx, r.last(), own.id)
	if err != nil {
		return err
	}
	key := own
	if id != own.id {
		key, err = r.ask(ctx, id)
	}
	if errors.Is(err, errNobody) {
		key = own
		left, err = r.replace(ctx, id, own.id)
	}
	if err != nil {
		return err
	}
	r.adopt(key, start.Add(left))
	return nil
}

// last returns the id of the key whose time is over, for which the next one is
// made; empty when there was none.
func (r *keyring) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

func (r *keyring) awaitHearing(ctx context.Context) error {
	r.mu.Lock()
	hears := r.hears
	r.mu.Unlock()
	select {
	case <-hears:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(askTimeout):
		return errDeaf
	}
}

// propose makes the offered key the one agreed on, if there is none or it is
// the one to replace. It returns which one it is now and how long that holds.
func (r *keyring) propose(ctx context.Context, replaced, offered string) (string, time.Duration, error) {
	answer, err := redigo.Values(r.pool.run(ctx, "limit.agree", agreeScript,
		r.pool.keys.agreed, replaced, offered, r.lifetime.Milliseconds()))
	var id string
	var left int64
	if err == nil {
		_, err = redigo.Scan(answer, &id, &left)
	}
	return id, time.Duration(left) * time.Millisecond, err
}

// replace is propose in place of a key that nobody has any more. It returns how
// long the offered one holds.
func (r *keyring) replace(ctx context.Context, replaced, offered string) (time.Duration, error) {
	id, left, err := r.propose(ctx, replaced, offered)
	if err == nil && id != offered {
		err = errReplaced
	}
	return left, err
}

// adopt uses a key until its time is over.
func (r *keyring) adopt(key *hashKey, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
	r.current, r.renewing = key, false
	r.expiry = time.AfterFunc(time.Until(until), func() { r.expire(key) })
	select {
	case <-r.agreed:
	default:
		close(r.agreed)
	}
}

// expire forgets a key whose time is over, and agrees on the next one.
func (r *keyring) expire(key *hashKey) {
	r.mu.Lock()
	over := r.current == key
	if over {
		r.over = key.id
		r.drop()
	}
	r.mu.Unlock()
	if over {
		r.renew("")
	}
}

// drop wipes the key, if there is one.
func (r *keyring) drop() {
	if r.current == nil {
		return
	}
	r.expiry.Stop()
	clear(r.current.secret[:])
	r.current = nil
}

// suite is how a key is encrypted on its way; info says what for.
var (
	suiteKDF  = hpke.HKDFSHA256()
	suiteAEAD = hpke.AES256GCM()
	info      = []byte("key of hashed client addresses")
)

// question is one for a key. Only who asked it can read the answer.
type question struct {
	private hpke.PrivateKey
	public  string
	id      string
	heard   chan struct{} // closed when we heard ourselves ask
	answer  chan *hashKey
}

func newQuestion(id string) (*question, error) {
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("limit.ask: %w", err)
	}
	public := base64.RawStdEncoding.EncodeToString(private.PublicKey().Bytes())
	return &question{
		private: private, public: public, id: id,
		heard: make(chan struct{}), answer: make(chan *hashKey, 1),
	}, nil
}

// hear notes that what is said is heard.
func (q *question) hear() {
	select {
	case <-q.heard:
	default:
		close(q.heard)
	}
}

// ask asks the other processes for a key. errNobody says that none of them has
// it, errDeaf that no answer would have been heard.
func (r *keyring) ask(ctx context.Context, id string) (*hashKey, error) {
	q, err := newQuestion(id)
	if err != nil {
		return nil, err
	}
	r.setAsked(q)
	defer r.setAsked(nil)
	for range askTimes {
		key, err := r.askOnce(ctx, q)
		if key != nil || err != nil {
			return key, err
		}
	}
	select {
	case <-q.heard:
		return nil, errNobody
	default:
		r.reconnect()
		return nil, errDeaf
	}
}

func (r *keyring) setAsked(q *question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = q
}

func (r *keyring) reconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.redial()
}

// askOnce returns no key when there was no answer for a while.
func (r *keyring) askOnce(ctx context.Context, q *question) (*hashKey, error) {
	listeners, err := r.say(ctx, "ask", q.id, q.public)
	if err != nil {
		return nil, err
	}
	alone := q.heard
	if listeners > 1 {
		alone = nil
	}
	select {
	case key := <-q.answer:
		return key, nil
	case <-alone:
		return nil, errNobody
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(askTimeout / askTimes):
		return nil, nil //nolint:nilnil // no answer is none
	}
}

// say tells everybody who listens, and returns how many these are.
func (r *keyring) say(ctx context.Context, words ...string) (listeners int, err error) {
	err = r.pool.call(ctx, "limit.say", func(ctx context.Context, c redigo.Conn) error {
		listeners, err = redigo.Int(redigo.DoContext(c, ctx, "PUBLISH", r.pool.keys.asking, strings.Join(words, " ")))
		return err
	})
	return listeners, err
}

// listen hears what is said until ctx ends; then the key is wiped.
func (r *keyring) listen(ctx context.Context) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drop()
	}()
	for attempt := 0; ; attempt++ {
		if r.listenOnce(ctx) {
			attempt = 0
		}
		if !pause(ctx, attempt) {
			return
		}
	}
}

// listenOnce listens while the connection lasts. It reports whether it could.
func (r *keyring) listenOnce(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialled, err := r.pool.dial(ctx)
	if err != nil {
		return false
	}
	conn := redigo.PubSubConn{Conn: dialled}
	defer conn.Close()
	if err := conn.Subscribe(r.pool.keys.asking); err != nil {
		return false
	}
	if _, ok := conn.ReceiveContext(ctx).(redigo.Subscription); !ok {
		return false
	}
	r.setHearing(cancel)
	defer r.setDeaf()
	for {
		switch said := conn.ReceiveContext(ctx).(type) {
		case redigo.Message:
			r.hear(ctx, strings.Fields(string(said.Data)))
		case error:
			return true
		}
	}
}

func (r *keyring) setHearing(redial func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.redial = redial
	close(r.hears)
}

func (r *keyring) setDeaf() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.redial = func() {}
	r.hears = make(chan struct{})
}

// hear understands "ask id public" and "tell public sealed"; anything else is
// not for us.
func (r *keyring) hear(ctx context.Context, words []string) {
	switch {
	case len(words) == 3 && words[0] == "ask":
		if sealed := r.sealed(words[1], words[2]); sealed != "" {
			_, _ = r.say(ctx, "tell", words[2], sealed) // who gets no answer asks again
		}
	case len(words) == 3 && words[0] == "tell":
		r.learn(words[1], words[2])
	}
}

// sealed returns the key with that id so that only the asker can read it, or
// nothing.
func (r *keyring) sealed(id, public string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked != nil && r.asked.public == public {
		r.asked.hear()
		return ""
	}
	if r.current == nil || r.current.id != id {
		return ""
	}
	return seal(public, r.current.secret[:])
}

func seal(public string, secret []byte) string {
	text, err := base64.RawStdEncoding.DecodeString(public)
	if err != nil {
		return ""
	}
	to, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(text)
	if err != nil {
		return ""
	}
	sealed, err := hpke.Seal(to, suiteKDF, suiteAEAD, info, secret)
	if err != nil {
		return ""
	}
	return base64.RawStdEncoding.EncodeToString(sealed)
}

// learn takes an answer to our question if it is the key asked for.
func (r *keyring) learn(public, sealed string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == nil || r.asked.public != public {
		return
	}
	text, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil {
		return
	}
	secret, err := hpke.Open(r.asked.private, suiteKDF, suiteAEAD, info, text)
	if err != nil || len(secret) != sha256.Size || idOf(secret) != r.asked.id {
		return
	}
	key := &hashKey{secret: [sha256.Size]byte(secret), id: r.asked.id}
	clear(secret)
	select {
	case r.asked.answer <- key:
	default:
	}
}
