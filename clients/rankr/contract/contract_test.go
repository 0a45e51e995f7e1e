package contract_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr/contract/contracttest"
	"github.com/rankrsync/rankrsync/crm"
)

func TestContractIsAValidOpenAPIDocument(t *testing.T) {
	doc, err := contracttest.Document()
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			assert.NotEmpty(t, operation.OperationID, "%s %s", method, path)
			assert.NotEmpty(t, operation.Description, "%s %s", method, path)
		}
	}
}

func TestContractHasEveryStandardFieldInEveryShape(t *testing.T) {
	doc, err := contracttest.Document()
	require.NoError(t, err)
	for _, shape := range []string{"Contact", "NewContact", "ContactChange"} {
		properties := doc.Components.Schemas[shape].Value.Properties
		for _, name := range crm.StandardFields {
			require.Contains(t, properties, name, shape)
			assert.Equal(t, shape != "NewContact" && (shape == "Contact" || name != "dnd"), properties[name].Value.Nullable, "%s %s", shape, name)
		}
	}
}

func TestContractHasEveryBusinessFieldInEveryShape(t *testing.T) {
	doc, err := contracttest.Document()
	require.NoError(t, err)
	for _, shape := range []string{"Business", "NewBusiness", "BusinessChange"} {
		properties := doc.Components.Schemas[shape].Value.Properties
		for _, name := range crm.BusinessFields {
			require.Contains(t, properties, name, shape)
			clears := shape == "Business" || shape == "BusinessChange" && name != "name"
			assert.Equal(t, clears, properties[name].Value.Nullable, "%s %s", shape, name)
		}
	}
}

func TestEveryCreateTakesAnIdempotencyKey(t *testing.T) {
	doc, err := contracttest.Document()
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		if item.Post != nil {
			assert.NotNil(t, item.Post.Parameters.GetByInAndName("header", "Idempotency-Key"), path)
		}
	}
}

func TestUsersPageListsEveryCall(t *testing.T) {
	doc, err := contracttest.Document()
	require.NoError(t, err)
	page, err := os.ReadFile("../../../docs/rankr-contract.md")
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			assert.Contains(t, string(page), "| `"+method+" "+path+"` |")
		}
	}
}
