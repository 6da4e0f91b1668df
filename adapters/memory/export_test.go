package memory

// Hash is under what a client is known.
func (l *Limiter) Hash(client string) [16]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hash(client)
}
