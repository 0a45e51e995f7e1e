// How Rankr is entered: by the account of the settings, and by those that sync.yaml names for some of the locations.

package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
)

// rankrAccess is what one account is entered with: a token, or an OAuth 2.0 client.
type rankrAccess struct {
	name         string // as messages call the account
	token        Secret
	clientID     string // empty: there is a token
	clientSecret Secret
	tokenURL     string
}

// source gives the account's tokens.
func (a rankrAccess) source() oauth2.TokenSource {
	if a.clientID == "" {
		return current{a.token, a.token.Reveal}
	}
	return rankr.NewTokens(rankr.Credentials{
		TokenURL: a.tokenURL, ClientID: a.clientID,
		Secret: func() string {
			a.clientSecret.again() // it is asked seldom, and a refused secret stops everything
			return a.clientSecret.Reveal()
		},
	})
}

// rankrAccount is what the Rankr client calls the account of a location. A name of sync.yaml can't be that of the settings:
// no name has a slash.
func (c Config) rankrAccount(location string) string {
	if name := c.rules.Accounts().Of(location); name != "" {
		return "account/" + name
	}
	return rankr.SharedAccount
}

// rankrTokens finds the tokens of an account.
func (c Config) rankrTokens() func(account string) (oauth2.TokenSource, error) {
	sources := map[string]oauth2.TokenSource{}
	if c.RankrToken.set() || c.RankrClientID != "" {
		sources[rankr.SharedAccount] = rankrAccess{
			token: c.RankrToken, clientID: c.RankrClientID, clientSecret: c.RankrClientSecret, tokenURL: string(c.RankrTokenURL),
		}.source()
	}
	for i, account := range c.rules.Accounts() {
		sources["account/"+account.Name] = c.accounts[i].source()
	}
	return func(account string) (oauth2.TokenSource, error) {
		if source, ok := sources[account]; ok {
			return source, nil
		}
		return nil, &crm.Error{Code: crm.RankrAccount, Operation: "rankr token"}
	}
}

// loadRules reads the rules, and what the accounts in them refer to: the variables at once, the files with all other secrets.
func (c *Config) loadRules() (problems []string) {
	var err error
	if c.rules, err = LoadRules(*c); err != nil {
		var wrong *SettingsError
		errors.As(err, &wrong)
		return wrong.Problems
	}
	for _, account := range c.rules.Accounts() {
		access := rankrAccess{
			name:     cmp.Or(c.SyncFile, "sync.yaml") + ": accounts/" + account.Name,
			clientID: account.ClientID, tokenURL: cmp.Or(account.TokenURL, string(c.RankrTokenURL)),
		}
		refer := func(name string, to rules.Reference) Secret {
			secret, err := referred(to)
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %s %s", access.name, name, err))
			}
			return secret
		}
		if account.ClientID == "" {
			access.token = refer("token", account.Token)
		} else {
			access.clientSecret = refer("clientSecret", account.ClientSecret)
		}
		if account.ClientID != "" && access.tokenURL == "" {
			problems = append(problems, access.name+": tokenUrl is missing, and RANKR_TOKEN_URL is not set")
		}
		c.accounts = append(c.accounts, access)
	}
	return problems
}

// referred finds a secret. A variable may name a file, as those of the settings may.
func referred(to rules.Reference) (secret Secret, err error) {
	if to.File != "" {
		return Secret{file: newSecretFile(to.File)}, nil
	}
	value := os.Getenv(to.Variable)
	if value == "" {
		return Secret{}, fmt.Errorf("names the variable %s, which is not set", to.Variable)
	}
	if err := secret.Decode(value); err != nil {
		return Secret{}, fmt.Errorf("names the variable %s, which %w", to.Variable, err)
	}
	return secret, nil
}

// rankrProblems holds the two ways to be let into Rankr apart. With accounts in sync.yaml there need be none in the settings,
// and RANKR_TOKEN_URL may serve those accounts.
func (c Config) rankrProblems(program Program) (problems []string) {
	var have, miss []string
	for _, name := range []string{"RANKR_CLIENT_ID", "RANKR_CLIENT_SECRET", "RANKR_TOKEN_URL"} {
		if c.origins[name] == fromNowhere {
			miss = append(miss, name)
		} else {
			have = append(have, name)
		}
	}
	if slices.Equal(have, []string{"RANKR_TOKEN_URL"}) && c.lendsTokenURL() {
		have = nil
	}
	token := c.origins["RANKR_TOKEN"] != fromNowhere
	switch {
	case token && have != nil:
		return []string{fmt.Sprintf("RANKR_TOKEN is set, and so is %s: keep the token, or the client's id, secret and URL", strings.Join(have, ", "))}
	case !token && have == nil && program == Worker && c.rules != nil && len(c.rules.Accounts()) == 0:
		return []string{"RANKR_TOKEN is not set: put there Rankr's API token, or set RANKR_CLIENT_ID, RANKR_CLIENT_SECRET and RANKR_TOKEN_URL"}
	case have != nil:
		for _, name := range miss {
			problems = append(problems, fmt.Sprintf("%s is not set: it goes with %s", name, strings.Join(have, " and ")))
		}
	}
	return problems
}

// lendsTokenURL tells whether an account of sync.yaml may need the URL of the settings. Programs that don't read that file
// can't know.
func (c Config) lendsTokenURL() bool {
	return c.rules == nil || slices.ContainsFunc(c.rules.Accounts(), func(account rules.Account) bool {
		return account.ClientID != "" && account.TokenURL == ""
	})
}
