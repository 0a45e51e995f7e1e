package rankr

import "time"

// Due lets the token be as old as one that is to be replaced ahead.
func (t *Tokens) Due() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewAt, t.rest = time.Now(), time.Time{}
}

// End lets the token's end be now.
func (t *Tokens) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endsAt, t.rest = time.Now(), time.Time{}
}

// Times tells when the token is replaced and when it is used no more.
func (t *Tokens) Times() (renewAt, endsAt time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.renewAt, t.endsAt
}
