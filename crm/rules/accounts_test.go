package rules

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFileNamesTheAccountsOfLocations(t *testing.T) {
	rules, err := Parse("sync.yaml", []byte(`
rankr:
  accounts:
    - name: harbour
      locations: [L1, L2]
      token: file:/run/secrets/harbour-rankr
    - name: Quay_2
      locations: [L3]
      clientId: abc
      clientSecret: env:QUAY_RANKR_SECRET
      tokenUrl: https://api.rankr.example/oauth/token
    - name: pier
      locations:
        - L4
      clientId: def
      clientSecret: "env:PIER"
`))
	require.NoError(t, err)
	accounts := rules.Accounts()
	assert.Equal(t, Accounts{
		{Name: "harbour", Locations: []string{"L1", "L2"}, Token: Reference{File: "/run/secrets/harbour-rankr"}},
		{Name: "Quay_2", Locations: []string{"L3"}, ClientID: "abc", ClientSecret: Reference{Variable: "QUAY_RANKR_SECRET"}, TokenURL: "https://api.rankr.example/oauth/token"},
		{Name: "pier", Locations: []string{"L4"}, ClientID: "def", ClientSecret: Reference{Variable: "PIER"}},
	}, accounts)
	for location, account := range map[string]string{"L1": "harbour", "L2": "harbour", "L3": "Quay_2", "L4": "pier", "L5": "", "": ""} {
		assert.Equal(t, account, accounts.Of(location), location)
	}
	assert.True(t, rules.MirrorsBusinesses(), "accounts change nothing else")
}

func TestWithoutASectionThereAreNoAccounts(t *testing.T) {
	for _, file := range []string{"", "rankr:", "rankr: {}", "rankr: {accounts: }", "rankr: {accounts: []}"} {
		rules, err := Parse("sync.yaml", []byte(file))
		require.NoError(t, err, file)
		assert.Empty(t, rules.Accounts(), file)
		assert.Empty(t, rules.Accounts().Of("L1"))
	}
	assert.Empty(t, (*Rules)(nil).Accounts())
}

func TestWhatIsWrongWithAccountsIsToldWithItsPlace(t *testing.T) {
	const literal = "must not be in this file: put it in a file or a variable, and here file: and the file's full path, or env: and the variable's name"
	for name, c := range map[string]struct{ yaml, want string }{
		"a section that is no mapping": {"rankr: [a]", "sync.yaml:1:8: rankr must be a mapping"},
		"no list":                      {"rankr: {accounts: {a: b}}", "sync.yaml:1:20: accounts must be a list"},
		"no account":                   {"rankr: {accounts: [a]}", "sync.yaml:1:20: accounts[0]: the account must be a mapping"},
		"unknown keys": {
			"rankr:\n  acounts: []\n", `sync.yaml:2:3: "acounts" is not known here: did you mean accounts?`,
		},
		"an unknown key of an account": {
			"rankr: {accounts: [{name: harbour, locations: [L1], tokn: canary, token: env:A}]}",
			`sync.yaml:1:53: accounts/harbour: "tokn" is not known here: did you mean token?`,
		},
		"what is missing": {
			"rankr:\n  accounts:\n    - {}\n    - name: a\n    - {name: b, clientId: x}\n    - {name: c, locations: [L1], clientSecret: env:A}\n    - {name: d, locations: [L2], tokenUrl: 'https://host/token'}",
			"sync.yaml:3:7: accounts[0]: name is missing\n" +
				"sync.yaml:3:7: accounts[0]: locations is missing\n" +
				"sync.yaml:3:7: accounts[0]: token is missing\n" +
				"sync.yaml:4:7: accounts/a: locations is missing\n" +
				"sync.yaml:4:7: accounts/a: token is missing\n" +
				"sync.yaml:5:8: accounts/b: locations is missing\n" +
				"sync.yaml:5:8: accounts/b: clientSecret is missing\n" +
				"sync.yaml:6:8: accounts/c: clientId is missing\n" +
				"sync.yaml:7:8: accounts/d: clientId is missing\n" +
				"sync.yaml:7:8: accounts/d: clientSecret is missing",
		},
		"names": {
			"rankr:\n  accounts:\n    - {name: a b, locations: [L1], token: env:A}\n    - {name: a, locations: [L2], token: env:A}\n    - {name: a, locations: [L3], token: env:A}",
			"sync.yaml:3:14: accounts[0]: the name \"a b\" must be of letters, digits, - and _, at most 64\n" +
				"sync.yaml:5:14: accounts/a: the name \"a\" is taken by another account",
		},
		"locations": {
			"rankr:\n  accounts:\n    - {name: a, locations: [L1, a/b, L1, 7, ''], token: env:A}\n    - {name: b, locations: [L2, L1], token: env:A}\n    - {name: c, locations: L3, token: env:A}\n    - {name: d, locations: [], token: env:A}",
			"sync.yaml:3:33: accounts/a: \"a/b\" is no location id (letters, digits, - and _, at most 64)\n" +
				"sync.yaml:3:38: accounts/a: the location L1 is there twice\n" +
				"sync.yaml:3:42: accounts/a: a location's id must be a text; put it into quotes\n" +
				"sync.yaml:3:45: accounts/a: a location's id is empty\n" +
				"sync.yaml:4:33: accounts/b: the location L1 is in accounts/a already\n" +
				"sync.yaml:5:28: accounts/c: locations must be a list of location ids\n" +
				"sync.yaml:6:28: accounts/d: locations must be a list of location ids",
		},
		"a token and a client": {
			"rankr:\n  accounts:\n    - name: a\n      locations: [L1]\n      token: env:A\n      clientId: x",
			"sync.yaml:5:14: accounts/a: token is there, and so is a client: keep the token, or clientId and clientSecret",
		},
		"secrets in the file": {
			"rankr:\n  accounts:\n    - {name: a, locations: [L1], token: canary-1}\n    - {name: b, locations: [L2], clientId: x, clientSecret: 'canary 2'}\n    - {name: c, locations: [L3], token: 4711}\n    - {name: d, locations: [L4], token: }\n    - {name: e, locations: [L5], token: [canary]}\n" +
				"    - name: f\n      locations: [L6]\n      token: |\n        canary",
			"sync.yaml:3:41: accounts/a: token " + literal + "\n" +
				"sync.yaml:4:61: accounts/b: clientSecret " + literal + "\n" +
				"sync.yaml:5:41: accounts/c: token " + literal + "\n" +
				"sync.yaml:6:40: accounts/d: token " + literal + "\n" +
				"sync.yaml:7:41: accounts/e: token " + literal + "\n" +
				"sync.yaml:10:14: accounts/f: token " + literal,
		},
		"references": {
			"rankr:\n  accounts:\n    - {name: a, locations: [L1], token: 'file:canary'}\n    - {name: b, locations: [L2], token: 'env:canary 1'}\n    - {name: c, locations: [L3], token: 'env:'}\n    - {name: d, locations: [L4], token: 'file:'}",
			"sync.yaml:3:41: accounts/a: token must have a full path behind file:, such as file:/run/secrets/rankr\n" +
				"sync.yaml:4:41: accounts/b: token must have a variable's name behind env:, such as env:RANKR_TOKEN_2\n" +
				"sync.yaml:5:41: accounts/c: token must have a variable's name behind env:, such as env:RANKR_TOKEN_2\n" +
				"sync.yaml:6:41: accounts/d: token must have a full path behind file:, such as file:/run/secrets/rankr",
		},
		"token URLs": {
			"rankr:\n  accounts:\n    - {name: a, locations: [L1], clientId: x, clientSecret: env:A, tokenUrl: 'http://host/token'}\n    - {name: b, locations: [L2], clientId: x, clientSecret: env:A, tokenUrl: 'http://127.0.0.1:8080/token'}\n    - {name: c, locations: [L3], clientId: x, clientSecret: env:A, tokenUrl: 'https://me:canary@host/token'}",
			"sync.yaml:3:78: accounts/a: tokenUrl must be https: plain http is accepted for this machine only\n" +
				"sync.yaml:5:78: accounts/c: tokenUrl must be scheme, host, path and query only",
		},
		"a secret that begins like a tag": {
			"rankr:\n  accounts:\n    - name: a\n      token: !canary", "sync.yaml:4:14: tags of YAML are not possible here; a text that begins with ! must be in quotes",
		},
		"a secret that begins like a block": {
			"rankr:\n  accounts:\n    - name: a\n      token: |canary", "sync.yaml:4:14: not YAML: invalid header option",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("sync.yaml", []byte(c.yaml))
			require.EqualError(t, err, c.want)
			assert.NotContains(t, err.Error(), "canary")
		})
	}
}
