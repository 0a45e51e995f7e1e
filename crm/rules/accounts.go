package rules

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/rankrsync/rankrsync/crm"
)

// Accounts are the Rankr accounts that a file names, in its order. A location is in one of them at most; the others belong to
// the account of the settings.
type Accounts []Account

// Account is one Rankr account. It is entered with a token, or as an OAuth 2.0 client.
type Account struct {
	Name         string
	Locations    []string
	Token        Reference // none: there is a client
	ClientID     string
	ClientSecret Reference
	TokenURL     string // empty: that of the settings
}

// Reference says where a secret is, for it is never in the file itself. One of the two is empty, or both: there is none.
type Reference struct {
	File     string // its full path
	Variable string // of the environment
}

// Of returns the name of the account that a location's records are in; empty: that of the settings.
func (a Accounts) Of(location string) string {
	for _, account := range a {
		if slices.Contains(account.Locations, location) {
			return account.Name
		}
	}
	return ""
}

// Accounts are the Rankr accounts that the file names.
func (r *Rules) Accounts() Accounts {
	if r == nil {
		return nil
	}
	return r.accounts
}

func (p *reading) account(entry *ast.MappingNode) {
	fields := p.fields(entry, "name", "locations", "token", "clientId", "clientSecret", "tokenUrl")
	account := Account{}
	account.Name = p.accountName(entry, fields)
	account.Locations = p.ids(entry, fields, func(location string) string {
		if other := p.rules.accounts.Of(location); other != "" {
			return "is in accounts/" + other + " already"
		}
		return ""
	})
	client := fields["clientId"] != nil || fields["clientSecret"] != nil || fields["tokenUrl"] != nil
	switch {
	case fields["token"] != nil && client:
		p.wrong(fields["token"], "token is there, and so is a client: keep the token, or clientId and clientSecret")
	case client:
		account.ClientID, _ = p.required(entry, fields, "clientId")
		p.must(entry, fields, "clientSecret")
	default:
		p.must(entry, fields, "token")
	}
	account.Token = p.reference(fields["token"], "token")
	account.ClientSecret = p.reference(fields["clientSecret"], "clientSecret")
	var given bool
	if account.TokenURL, given = p.optional(fields["tokenUrl"], "tokenUrl"); given {
		if _, err := crm.SecretsURL(account.TokenURL, "https://host/oauth/token"); err != nil {
			p.wrong(fields["tokenUrl"], "tokenUrl %s", err)
		}
	}
	p.rules.accounts = append(p.rules.accounts, account)
}

func (p *reading) accountName(entry *ast.MappingNode, fields map[string]ast.Node) string {
	name, ok := p.required(entry, fields, "name")
	switch {
	case !ok:
	case !crm.ValidID(name):
		p.wrong(fields["name"], "the name %q must be of letters, digits, - and _, at most 64", shown(name))
	case slices.ContainsFunc(p.rules.accounts, func(other Account) bool { return other.Name == name }):
		p.wrong(fields["name"], "the name %q is taken by another account", name)
	}
	return name
}

// ids reads the locations that an entry is for; taken says why one can't be in it.
func (p *reading) ids(entry *ast.MappingNode, fields map[string]ast.Node, taken func(location string) string) []string {
	node := p.must(entry, fields, "locations")
	if node == nil {
		return nil
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok || len(sequence.Values) == 0 {
		p.wrong(node, "locations must be a list of location ids")
		return nil
	}
	var locations []string
	for _, value := range sequence.Values {
		location, ok := p.trimmed(value, "a location's id")
		switch why := taken(location); {
		case !ok:
		case !crm.ValidID(location):
			p.wrong(value, "%q is no location id (letters, digits, - and _, at most 64)", shown(location))
		case slices.Contains(locations, location):
			p.wrong(value, "the location %s is there twice", location)
		case why != "":
			p.wrong(value, "the location %s %s", location, why)
		default:
			locations = append(locations, location)
		}
	}
	return locations
}

// variableName is the form of a variable's name.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reference reads where a secret is. What stands there is not quoted: it may be the secret.
func (p *reading) reference(node ast.Node, name string) Reference {
	if node == nil {
		return Reference{}
	}
	text, _ := node.(*ast.StringNode)
	if text == nil {
		text = &ast.StringNode{}
	}
	if path, ok := strings.CutPrefix(text.Value, "file:"); ok {
		if !filepath.IsAbs(path) {
			p.wrong(node, "%s must have a full path behind file:, such as file:/run/secrets/rankr", name)
		}
		return Reference{File: path}
	}
	variable, ok := strings.CutPrefix(text.Value, "env:")
	switch {
	case !ok:
		p.wrong(node, "%s must not be in this file: put it in a file or a variable, and here file: and the file's full path, or env: and the variable's name", name)
	case !variableName.MatchString(variable):
		p.wrong(node, "%s must have a variable's name behind env:, such as env:RANKR_TOKEN_2", name)
	}
	return Reference{Variable: variable}
}
