package rest

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

// ask is a call for a token: it has no account, for there is no token yet.
var ask = Call{Operation: "oauth.token.refresh", Method: "POST", Path: "oauth/token", Form: url.Values{"refresh_token": {canary}}}

func TestClientSendsAFormWithoutATokenOfItsOwnOrWithAnother(t *testing.T) {
	var tokens []string
	c := against(t, "ghl", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		assert.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
		assert.Equal(t, "refresh_token=jane.doe%40example.com", string(body))
		tokens = append(tokens, r.Header.Get("Authorization"))
		jsonAnswer(200, `{}`)(w, r)
	})
	another := ask
	another.Token, another.Account = "company-token", "company/K"
	for _, call := range []Call{ask, another} {
		_, err := c.Do(t.Context(), call, nil)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"", "Bearer company-token"}, tokens)
}

func TestClientReadsWhyATokenIsRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		code   crm.Code
		fields []string
		landed bool
	}{
		{"suspended", 400, `{"statusCode":400,"message":"Location is not active"}`, crm.GHLSuspended, nil, false},
		{"used up", 400, `{"statusCode":400,"message":"Invalid grant: refresh token is invalid"}`, crm.GHLReconnect, nil, false},
		{"v3", 400, `{"error":{"code":"x","message":"Invalid grant: refresh token is invalid"}}`, crm.GHLReconnect, nil, false},
		{"OAuth's own shape", 400, `{"error":"invalid_grant","error_description":"` + canary + `"}`, crm.GHLReconnect, nil, false},
		{"OAuth's own shape, 401", 401, `{"error":"invalid_client"}`, crm.GHLToken, []string{"client"}, false},
		{"client", 401, `{"statusCode":401,"message":"Invalid client: client credentials are invalid","error":"Unauthorized"}`, crm.GHLToken, []string{"client"}, false},
		{"client id", 422, `{"statusCode":422,"message":["client_id must be a string"]}`, crm.GHLInvalid, nil, false},
		{"redirect", 400, `{"statusCode":400,"message":"Invalid grant: redirect_uri is invalid"}`, crm.GHLToken, []string{"redirect_uri"}, false},
		{"a proxy's", 400, `<p>Invalid grant</p>`, crm.GHLUnavailable, nil, true},
		{"a proxy's JSON", 400, `{"error":"Invalid grant"}`, crm.GHLUnavailable, nil, true},
		{"something else", 400, `{"statusCode":400,"message":"No"}`, crm.GHLInvalid, nil, false},
		{"down", 503, `{"statusCode":503,"message":"Invalid grant: no"}`, crm.GHLUnavailable, nil, true},
	} {
		header := jsonAnswer(test.status, test.body)
		if test.body[0] == '<' {
			header = answering(test.status, "text/html", test.body)
		}
		e := failing(t, against(t, "ghl", header), ask, nil)
		assert.Equal(t, test.code, e.Code, test.name)
		assert.Equal(t, test.fields, e.Fields, test.name)
		assert.Equal(t, test.landed, e.Landed, test.name)
	}
}

func TestOnlyACallForATokenCanLoseTheConnection(t *testing.T) {
	e := failing(t, against(t, "ghl", jsonAnswer(400, `{"statusCode":400,"message":"Invalid grant: client_id"}`)), get, nil)
	assert.Equal(t, crm.GHLInvalid, e.Code)
	e = failing(t, against(t, "ghl", jsonAnswer(403, `{"statusCode":403,"message":"Location is not active"}`)), get, nil)
	assert.Equal(t, crm.GHLSuspended, e.Code, "billing stops all calls")
	e = failing(t, against(t, "rankr", jsonAnswer(400, `{"statusCode":400,"message":"Location is not active"}`)), get, nil)
	assert.Equal(t, crm.RankrInvalid, e.Code, "these are GHL's words")
}
