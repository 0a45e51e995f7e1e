// Package connections knows who may speak for which GHL location. It keeps tokens sealed in the store, renews each in time and
// only once however many processes need it, and says how every connection stands.
package connections

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/rankrsync/rankrsync/crm"
)

// Store is what connections need of the store. [crm.ErrMoved] means that nothing was written.
type Store interface {
	// Token reads an owner's row; Version 0 where there is none.
	Token(ctx context.Context, owner string) (crm.SealedToken, error)
	// HoldToken gives the caller the row until the lease ends: [crm.ErrMoved] when it is not what was says, or is held.
	HoldToken(ctx context.Context, was crm.SealedToken, holder string, lease time.Duration) (crm.SealedToken, error)
	// SaveToken replaces a held row and lets go of it; [crm.ErrMoved] when the lease was taken over.
	SaveToken(ctx context.Context, held, next crm.SealedToken) error
	// ReleaseToken lets go of a held row as it is.
	ReleaseToken(ctx context.Context, held crm.SealedToken) error
	// PutToken writes a row whatever is there: somebody installed anew.
	PutToken(ctx context.Context, token crm.SealedToken) error
	// DropToken forgets an owner's token.
	DropToken(ctx context.Context, owner string) error
	// DropTokenOf forgets a row that is still what was says; [crm.ErrMoved] when it is not.
	DropTokenOf(ctx context.Context, was crm.SealedToken) error
	// TokenOwners lists the owners of all tokens in their order, after the given one.
	TokenOwners(ctx context.Context, after string, limit int) ([]string, error)

	Connection(ctx context.Context, location string) (crm.Connection, error)
	PutConnection(ctx context.Context, connection crm.Connection) error
	// SetState notes how the locations stand that use an owner's token.
	SetState(ctx context.Context, owner string, state crm.ConnectionState) error
	// SetScopes notes what an owner's token may do.
	SetScopes(ctx context.Context, owner string, scopes []string) error
	// Connections lists all connections.
	Connections(ctx context.Context) ([]crm.Connection, error)
}

// Sealer seals what is stored, bound to the row that it stands in.
type Sealer interface {
	Seal(plain, row []byte) ([]byte, error)
	Open(sealed, row []byte) ([]byte, error)
}

// Granter is GHL as far as tokens go: clients/ghl has one.
type Granter interface {
	Refresh(ctx context.Context, owner string, refresh crm.Secret) (crm.Grant, error)
	MintLocationToken(ctx context.Context, companyToken crm.Secret, company, location string) (crm.Grant, error)
	ClientCredentials(ctx context.Context) (crm.Grant, error)
}

// Connections renews tokens and gives them out. All fields but Now are needed; it is safe for concurrent use.
type Connections struct {
	Store  Store
	Sealer Sealer
	GHL    Granter
	Now    func() time.Time // nil: time.Now

	mu     sync.Mutex
	known  map[string]plainToken // by owner: what was last read or renewed
	flying singleflight.Group    // by owner
}

const (
	// lease is how long one process may renew a token. It is well below the 30 s in which GHL gives the same new pair again,
	// so that a process that dies between GHL's answer and our store is made up for by the next one.
	lease = 12 * time.Second
	// callTime bounds the call itself, inside the lease.
	callTime = 8 * time.Second
	// margin is how long before its end a token is renewed; each process adds up to as much again, so that they don't all come
	// at the same moment.
	margin = 10 * time.Minute
	// patience bounds how long a caller waits for another process's renewal.
	patience = 30 * time.Second
	// lookAgain is how often it looks meanwhile.
	lookAgain = 50 * time.Millisecond
)

// plainToken is what is sealed.
type plainToken struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"` // zero: never
}

// Source gives the tokens of a location.
func (c *Connections) Source(location string) *Source { return &Source{c, location} }

// Source is an [oauth2.TokenSource] of one location. Where nobody connected that, asking for a token is a [crm.UnknownLocation].
type Source struct {
	connections *Connections
	location    string
}

var _ oauth2.TokenSource = (*Source)(nil)

// Token returns a token that is good for a while yet. Its errors are *[crm.Error].
func (s *Source) Token() (*oauth2.Token, error) { return s.token("") }

// Renew returns a token other than the one that GHL refused.
func (s *Source) Renew(refused string) (*oauth2.Token, error) { return s.token(refused) }

func (s *Source) token(refused string) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection, err := s.connections.Store.Connection(ctx, s.location)
	switch {
	case err != nil:
		return nil, &crm.Error{Code: crm.StoreUnavailable, Operation: "connection"}
	case connection.Location == "" || connection.State == crm.Disconnected:
		return nil, &crm.Error{Code: crm.UnknownLocation, Operation: "ghl token"}
	}
	token, err := s.connections.Access(ctx, connection.Owner, refused)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: token.Access, TokenType: "Bearer", Expiry: token.Expires}, nil
}

// Access is a token with the time it ends.
type Access struct {
	Access  string
	Expires time.Time
}

// Access returns an owner's token that is good for a while yet, and other than the refused one. Whoever asks in one process
// shares one renewal, and the store keeps the processes apart.
func (c *Connections) Access(ctx context.Context, owner, refused string) (Access, error) {
	if token, ok := c.remembered(owner); ok && c.good(owner, token, refused) {
		return Access{token.Access, token.Expires}, nil
	}
	flight := c.flying.DoChan(owner, func() (any, error) {
		// It goes on when the first caller leaves: the others wait for it, and a refresh token that is used up must be stored.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return c.fetch(ctx, owner, refused)
	})
	select {
	case landed := <-flight:
		if landed.Err != nil {
			return Access{}, landed.Err
		}
		token := landed.Val.(plainToken)
		return Access{token.Access, token.Expires}, nil
	case <-ctx.Done():
		return Access{}, unavailable()
	}
}

// fetch reads the row until it holds a good token, and renews it where nobody else does.
func (c *Connections) fetch(ctx context.Context, owner, refused string) (plainToken, error) {
	for {
		row, token, err := c.read(ctx, owner)
		switch {
		case err != nil:
			return plainToken{}, err
		case c.good(owner, token, refused):
			c.remember(owner, token)
			return token, nil
		case row.Held():
			if !pause(ctx, lookAgain) {
				return plainToken{}, unavailable()
			}
			continue
		}
		held, err := c.Store.HoldToken(ctx, row, rand.Text(), lease)
		switch {
		case errors.Is(err, crm.ErrMoved):
			continue
		case err != nil:
			return plainToken{}, storeAway()
		}
		renewed, err := c.renew(ctx, held, token, refused)
		if !errors.Is(err, crm.ErrMoved) {
			return renewed, err
		}
	}
}

func (c *Connections) read(ctx context.Context, owner string) (crm.SealedToken, plainToken, error) {
	row, err := c.Store.Token(ctx, owner)
	switch {
	case err != nil:
		return row, plainToken{}, storeAway()
	case row.Version == 0:
		return row, plainToken{}, &crm.Error{Code: crm.UnknownLocation, Operation: "ghl token"}
	}
	token, err := c.open(row)
	return row, token, err
}

// renew asks GHL while the row is held, and saves the new pair before anybody uses it.
func (c *Connections) renew(ctx context.Context, held crm.SealedToken, token plainToken, refused string) (plainToken, error) {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	grant, err := c.ask(calling, held, token, refused)
	if err != nil {
		return c.spared(ctx, held, token, refused, err)
	}
	renewed := c.plain(grant)
	next := held
	if next.Sealed, err = c.seal(held.Owner, renewed); err != nil {
		return plainToken{}, err
	}
	next.Expires = renewed.Expires
	// The old refresh token is used up: what GHL gave must be kept whatever happens to the caller.
	saving, stop := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer stop()
	switch err := c.Store.SaveToken(saving, held, next); {
	case errors.Is(err, crm.ErrMoved):
		return plainToken{}, crm.ErrMoved
	case err != nil:
		return plainToken{}, storeAway()
	}
	c.note(saving, held.Owner, crm.Connected)
	if len(grant.Scopes) > 0 {
		_ = c.Store.SetScopes(saving, held.Owner, grant.Scopes) // people read them, nothing else does
	}
	c.remember(held.Owner, renewed)
	return renewed, nil
}

// ask is the one call, by the kind of token.
func (c *Connections) ask(ctx context.Context, held crm.SealedToken, token plainToken, refused string) (crm.Grant, error) {
	switch held.Kind {
	case crm.MintedToken:
		location, _, _ := crm.SplitOwner(held.Owner)
		company, err := c.Access(ctx, crm.CompanyOwner(held.Company), "")
		if err != nil {
			return crm.Grant{}, err
		}
		grant, err := c.GHL.MintLocationToken(ctx, crm.Secret(company.Access), held.Company, location)
		if errors.Is(err, &crm.Error{Code: crm.GHLToken}) { // the company's own was refused: once more with a new one
			if company, err = c.Access(ctx, crm.CompanyOwner(held.Company), company.Access); err != nil {
				return crm.Grant{}, err
			}
			grant, err = c.GHL.MintLocationToken(ctx, crm.Secret(company.Access), held.Company, location)
		}
		if errors.Is(err, &crm.Error{Code: crm.GHLInvalid}) { // the location has not got the app, or is another company's
			err = &crm.Error{Code: crm.GHLTenant, Operation: "ghl oauth.location-token"}
		}
		return grant, err
	case crm.ClientCredentials:
		grant, err := c.GHL.ClientCredentials(ctx)
		switch {
		case errors.Is(err, &crm.Error{Code: crm.GHLInvalid}): // GHL gives the app none any more
			err = &crm.Error{Code: crm.GHLReconnect, Operation: "ghl oauth.client-credentials"}
		case err == nil && grant.Owner() != held.Owner: // one client's contacts must not be written with another's token
			err = &crm.Error{Code: crm.GHLTenant, Operation: "ghl oauth.client-credentials"}
		}
		return grant, err
	case crm.PrivateToken:
		return crm.Grant{}, &crm.Error{Code: crm.GHLToken, Operation: "ghl token"} // only people replace it
	}
	return c.GHL.Refresh(ctx, held.Owner, crm.Secret(token.Refresh))
}

// spared lets go of a row that could not be renewed. While the old token lasts it is used on; what can never succeed is the
// connection's state from now on.
func (c *Connections) spared(ctx context.Context, held crm.SealedToken, token plainToken, refused string, cause error) (plainToken, error) {
	letting, stop := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer stop()
	_ = c.Store.ReleaseToken(letting, held) // else the lease ends by itself
	failure := failed(cause)
	if state := crm.StateOf(failure.Code); state != "" {
		c.note(letting, held.Owner, state)
		return plainToken{}, failure
	}
	if token.Access != refused && c.now().Before(token.Expires) {
		return token, nil
	}
	return plainToken{}, failure
}

// note records a state; that it fails changes nothing of what the token is good for.
func (c *Connections) note(ctx context.Context, owner string, state crm.ConnectionState) {
	_ = c.Store.SetState(ctx, owner, state)
}

// good tells whether a token can be used now. Private ones end when people end them.
func (c *Connections) good(owner string, token plainToken, refused string) bool {
	if token.Access == "" || token.Access == refused {
		return false
	}
	return token.Expires.IsZero() || c.now().Before(token.Expires.Add(-c.ahead(owner, token)))
}

// ahead is how long before its end a token is renewed: a tenth of its life at most.
func (c *Connections) ahead(owner string, token plainToken) time.Duration {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(owner + process))
	return min(margin+time.Duration(hash.Sum32())*time.Millisecond%margin, token.Expires.Sub(token.Issued)/10)
}

// process makes processes differ.
var process = rand.Text()

func (c *Connections) remembered(owner string) (plainToken, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	token, ok := c.known[owner]
	return token, ok
}

func (c *Connections) remember(owner string, token plainToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]plainToken{}
	}
	c.known[owner] = token
}

func (c *Connections) forget(owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, owner)
}

func (c *Connections) seal(owner string, token plainToken) ([]byte, error) {
	text, _ := json.Marshal(token) // plain values: cannot fail
	sealed, err := c.Sealer.Seal(text, []byte(owner))
	if err != nil {
		return nil, &crm.Error{Code: crm.Internal, Operation: "seal"}
	}
	return sealed, nil
}

// open opens a row. One that can't be opened was sealed with a key that is not there any more, or is another's.
func (c *Connections) open(row crm.SealedToken) (plainToken, error) {
	if len(row.Sealed) == 0 { // one that is still to be minted
		return plainToken{}, nil
	}
	text, err := c.Sealer.Open(row.Sealed, []byte(row.Owner))
	var token plainToken
	if err != nil || json.Unmarshal(text, &token) != nil {
		return plainToken{}, &crm.Error{Code: crm.SealBroken, Operation: "ghl token"}
	}
	return token, nil
}

func (c *Connections) plain(grant crm.Grant) plainToken {
	return plainToken{Access: string(grant.AccessToken), Refresh: string(grant.RefreshToken), Issued: c.now(), Expires: grant.Expires}
}

func (c *Connections) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// failed is a failure of GHL's in our words.
func failed(cause error) *crm.Error {
	if known, ok := errors.AsType[*crm.Error](cause); ok {
		return known
	}
	return &crm.Error{Code: crm.GHLUnavailable, Operation: "ghl token"}
}

func unavailable() error { return &crm.Error{Code: crm.GHLUnavailable, Operation: "ghl token"} }
func storeAway() error   { return &crm.Error{Code: crm.StoreUnavailable, Operation: "ghl token"} }

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
