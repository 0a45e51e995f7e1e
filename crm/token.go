package crm

import "time"

// SealedToken is an owner's row in the store: the store knows neither the token nor the key that it is sealed with.
type SealedToken struct {
	Owner   string
	Kind    TokenKind
	Company string    // whose token a minted one comes from; may be empty for other kinds
	Version int64     // grows with every change; 0: there is no row
	Sealed  []byte    // bound to Owner
	Expires time.Time // by our own clock
	Now     time.Time // the store's clock when the row was read; all comparisons of leases use it

	Holder    string // a random token of the process that renews it now; empty: nobody
	HeldUntil time.Time
}

// Held tells whether somebody renews the token now.
func (t SealedToken) Held() bool { return t.Holder != "" && t.Now.Before(t.HeldUntil) }

// ConnectionState says how a location stands with GHL.
type ConnectionState string

// The states of a connection; [ConnectionStates] has a sentence and a remedy for each.
const (
	Connected       ConnectionState = "connected"
	Refreshing      ConnectionState = "refreshing" // is seen, and never stored: connected, while somebody holds the token's row
	Suspended       ConnectionState = "suspended"
	ScopesMissing   ConnectionState = "scopes-missing"
	WrongTenant     ConnectionState = "wrong-tenant"
	ReconnectNeeded ConnectionState = "reconnect-needed"
	Disconnected    ConnectionState = "disconnected"
)

// StateEntry is what people are told of a state.
type StateEntry struct{ Sentence, Remedy string }

// ConnectionStates has a row for every state.
var ConnectionStates = map[ConnectionState]StateEntry{
	Connected:       {"the location is connected", "nothing to do"},
	Refreshing:      {"the location is connected, and its token is being renewed", "nothing to do: that takes a moment, and calls wait for it"},
	Suspended:       {"GHL says that the location is not active: its billing is paused or cancelled", "settle the bill in GHL; the token is kept, and work goes on by itself"},
	ScopesMissing:   {"the token lacks a scope", "install the app again and grant all scopes: starter connect prints the link"},
	WrongTenant:     {"the token has no access to this location", "connect this location itself: starter connect prints the link"},
	ReconnectNeeded: {"GHL no longer accepts the connection", "connect again: starter connect prints the link, which can be sent to the client"},
	Disconnected:    {"the app was uninstalled, or somebody disconnected the location", "connect again if that was not meant; links are kept"},
}

// StateOf is the state that a failure of a token leads to; empty: none.
func StateOf(code Code) ConnectionState {
	switch code {
	case GHLSuspended:
		return Suspended
	case GHLScope:
		return ScopesMissing
	case GHLTenant:
		return WrongTenant
	case GHLReconnect, GHLToken:
		return ReconnectNeeded
	}
	return ""
}

// Connection is a location that people connected.
type Connection struct {
	Location   string
	Company    string // its agency, where GHL told
	Name       string // as GHL calls it
	Owner      string // of the token that is used for it: see [LocationOwner]
	Kind       TokenKind
	Scopes     []string
	State      ConnectionState
	StateSince time.Time
	Installed  time.Time
}
