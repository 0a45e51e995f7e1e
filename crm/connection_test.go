package crm

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSecretsShowThemselvesToNobody(t *testing.T) {
	grant := Grant{Kind: LocationToken, Location: "L", AccessToken: "canary-access", RefreshToken: "canary-refresh"}
	var log bytes.Buffer
	for _, logger := range []*slog.Logger{slog.New(slog.NewJSONHandler(&log, nil)), slog.New(slog.NewTextHandler(&log, nil))} {
		logger.Info("x", "grant", grant, "token", grant.AccessToken)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		fmt.Fprintf(&log, verb+verb, grant, grant.AccessToken)
		fmt.Fprintf(&log, verb, &grant)
	}
	fmt.Fprint(&log, grant.AccessToken.String(), fmt.Errorf("with %v", grant))
	assert.NotContains(t, log.String(), "canary")
	assert.NotContains(t, log.String(), fmt.Sprintf("%x", "canary"))
	assert.Contains(t, log.String(), "location/L")
	assert.Equal(t, "canary-access", string(grant.AccessToken))
}

func TestOwnersAreNamedAndTakenApart(t *testing.T) {
	assert.Equal(t, "location/L", Grant{Location: "L", Company: "K"}.Owner())
	assert.Equal(t, "company/K", Grant{Company: "K"}.Owner())
	for owner, want := range map[string][3]any{
		"location/L": {"L", "", true}, "company/K": {"", "K", true},
		"": {"", "", false}, "location": {"", "", false}, "location/": {"", "", false}, "Location/L": {"", "", false},
		"company/a/b": {"", "", false}, "company/..": {"", "", false}, "L": {"", "", false},
	} {
		location, company, ok := SplitOwner(owner)
		assert.Equal(t, want, [3]any{location, company, ok}, owner)
	}
}

func TestEveryStateHasASentenceAndARemedy(t *testing.T) {
	for _, state := range []ConnectionState{Connected, Refreshing, Suspended, ScopesMissing, WrongTenant, ReconnectNeeded, Disconnected} {
		assert.NotEmpty(t, ConnectionStates[state].Sentence, state)
		assert.NotEmpty(t, ConnectionStates[state].Remedy, state)
	}
	assert.Len(t, ConnectionStates, 7)
}
