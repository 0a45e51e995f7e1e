package crm

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// TokenKind says where a token comes from, and with that what it may do and how it is renewed.
type TokenKind string

// The kinds of tokens.
const (
	LocationToken     TokenKind = "location"           // of one location; a refresh token renews it
	CompanyToken      TokenKind = "company"            // of an agency; a refresh token renews it, and location tokens are minted from it
	MintedToken       TokenKind = "minted"             // of one location, from its company's token, which renews it
	PrivateToken      TokenKind = "private"            // a private integration token: people replace it
	ClientCredentials TokenKind = "client-credentials" // of the app itself; asking again renews it
)

// Secret is a token or a code. It shows itself to nobody: printed or logged it is only a word, also as part of something
// else. Whoever sends or seals it says string(secret).
type Secret string

const hidden = "[secret]"

// String hides the secret from templates and the like.
func (Secret) String() string { return hidden }

// Format hides the secret from every verb, the wrong ones too.
func (Secret) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, hidden) }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// Grant is what GHL gives when it lets us speak for a location or a company.
type Grant struct {
	Kind              TokenKind
	Location, Company string // Location is empty for a company's; Company may be empty for a location's
	AccessToken       Secret
	RefreshToken      Secret // empty: the kind has none
	Expires           time.Time
	Scopes            []string
	Approved          []string // a company's: the locations that were chosen when it was installed
	Bulk              bool     // installed for several locations at once
	Future            bool     // locations made later get the app by themselves
}

// Owner names whose token it is.
func (g Grant) Owner() string {
	if g.Location != "" {
		return LocationOwner(g.Location)
	}
	return CompanyOwner(g.Company)
}

// Kept is the grant once its tokens are stored: without them, so that nothing stores them over what they were renewed to.
func (g Grant) Kept() Grant {
	g.AccessToken, g.RefreshToken = "", ""
	return g
}

// LogValue tells whose token it is: a log that would write the grant as JSON would write its secrets.
func (g Grant) LogValue() slog.Value { return slog.StringValue(g.Owner()) }

// InstalledLocation is a location of a company that has the app.
type InstalledLocation struct {
	ID, Name  string
	Installed time.Time // zero: not told
}

// LocationOwner names a location as the owner of a token.
func LocationOwner(location string) string { return "location/" + location }

// CompanyOwner names a company as the owner of a token.
func CompanyOwner(company string) string { return "company/" + company }

// SplitOwner takes an owner's name apart; one of the two is empty. It is false for what names no owner.
func SplitOwner(owner string) (location, company string, ok bool) {
	kind, id, _ := strings.Cut(owner, "/")
	switch {
	case !ValidID(id):
		return "", "", false
	case kind == "location":
		return id, "", true
	case kind == "company":
		return "", id, true
	}
	return "", "", false
}
