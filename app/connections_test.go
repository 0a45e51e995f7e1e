package app

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
)

func TestALocationIsServedFromTheMomentItIsConnected(t *testing.T) {
	records, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	o := &oauth{records: records}
	connection := crm.Connection{Location: "L", Owner: "location/L", Kind: crm.LocationToken, State: crm.Connected}
	assert.False(t, o.serves("L"))
	require.NoError(t, records.PutConnection(t.Context(), connection))
	assert.True(t, o.serves("L"), "that it was not served a moment ago is forgotten")
	assert.False(t, o.serves("M"))

	connection.State = crm.Disconnected
	require.NoError(t, records.PutConnection(t.Context(), connection))
	other := &oauth{records: records}
	assert.False(t, other.serves("L"))
	require.NoError(t, records.Close())
	assert.True(t, other.serves("L"), "what the store can't tell must not be lost")
	var none *oauth
	assert.False(t, none.serves("L"))
}
