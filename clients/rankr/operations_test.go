package rankr_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/contract/contracttest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
)

// target is a record with a task and a note, which is attached to a business and in a segment.
type target struct{ record, task, note, business, segment string }

func newTarget(t *testing.T, server *rankrtest.Server, record rankrtest.Record) target {
	t.Helper()
	business, err := server.AddBusiness(rankrtest.Business{Name: "Harbour", City: "Bonn"})
	require.NoError(t, err)
	segment, err := server.AddSegment(rankrtest.Segment{Name: "Segment of " + business.ID})
	require.NoError(t, err)
	record.BusinessID, record.Segments = business.ID, []string{segment.ID}
	contact, err := server.Add(record)
	require.NoError(t, err)
	task, err := server.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: contact.ID}, Title: "Call", Body: "back"})
	require.NoError(t, err)
	note, err := server.AddNote(rankrtest.Note{Item: rankrtest.Item{ContactID: contact.ID}, Content: "Called"})
	require.NoError(t, err)
	return target{contact.ID, task.ID, note.ID, business.ID, segment.ID}
}

// everything makes each call that the client can make, under the operation's name.
func everything(c *rankr.Client, on target) map[string]func(t *testing.T) error {
	id := on.record
	return map[string]func(t *testing.T) error{
		"contacts.find": func(t *testing.T) error {
			_, err := c.Find(t.Context(), "L", crm.Keys{ExternalID: "E1", Email: "ann+1@example.com", Phone: "+12025550143"})
			return err
		},
		"contacts.get": func(t *testing.T) error {
			_, err := c.Contact(t.Context(), "L", id)
			return err
		},
		"contacts.create": func(t *testing.T) error {
			_, err := c.Create(t.Context(), "L", "key "+t.Name(), full("E9"))
			return err
		},
		"contacts.update": func(t *testing.T) error {
			return c.Update(t.Context(), "L", id, "", crm.Patch{
				Set: crm.Fields{"city": "Rome", "customFields.pin": "8"}, Clear: []string{"dnd", "state", "customFields.size"},
				Business: new(string),
			})
		},
		"contacts.delete":     func(t *testing.T) error { return c.Delete(t.Context(), "L", id) },
		"contacts.addTags":    func(t *testing.T) error { return c.AddTags(t.Context(), "L", id, []string{"vip"}) },
		"contacts.removeTags": func(t *testing.T) error { return c.RemoveTags(t.Context(), "L", id, []string{"vip"}) },

		"tasks.list": func(t *testing.T) error { _, err := c.Tasks(t.Context(), "L", id); return err },
		"tasks.create": func(t *testing.T) error {
			_, err := c.CreateTask(t.Context(), "L", id, "key "+t.Name(), fullTask("T9"))
			return err
		},
		"tasks.update": func(t *testing.T) error {
			return c.UpdateTask(t.Context(), "L", id, crm.Task{ID: on.task, ExternalID: "T8", Title: "Write"})
		},
		"tasks.complete": func(t *testing.T) error { return c.CompleteTask(t.Context(), "L", id, on.task, true) },
		"tasks.delete":   func(t *testing.T) error { return c.DeleteTask(t.Context(), "L", id, on.task) },
		"notes.list":     func(t *testing.T) error { _, err := c.Notes(t.Context(), "L", id); return err },
		"notes.create": func(t *testing.T) error {
			_, err := c.CreateNote(t.Context(), "L", id, "key "+t.Name(), fullNote("N9"))
			return err
		},
		"notes.update": func(t *testing.T) error {
			return c.UpdateNote(t.Context(), "L", id, crm.Note{ID: on.note, ExternalID: "N8", Content: "Wrote"})
		},
		"notes.delete": func(t *testing.T) error { return c.DeleteNote(t.Context(), "L", id, on.note) },

		"businesses.find": func(t *testing.T) error { _, err := c.FindBusiness(t.Context(), "L", "B1"); return err },
		"businesses.get":  func(t *testing.T) error { _, err := c.ReadBusiness(t.Context(), "L", on.business); return err },
		"businesses.create": func(t *testing.T) error {
			_, err := c.CreateBusiness(t.Context(), "L", "key "+t.Name(), fullBusiness("B9"))
			return err
		},
		"businesses.update": func(t *testing.T) error {
			external := "B8"
			return c.UpdateBusiness(t.Context(), "L", on.business, crm.Patch{
				Set: crm.Fields{"name": "Street"}, Clear: []string{"city"}, ExternalID: &external,
			})
		},
		"businesses.delete": func(t *testing.T) error { return c.DeleteBusiness(t.Context(), "L", on.business) },
		"segments.find":     func(t *testing.T) error { _, err := c.Segments(t.Context(), "L"); return err },
		"segments.create": func(t *testing.T) error {
			_, err := c.CreateSegment(t.Context(), "L", "key "+t.Name(), crm.Segment{Name: "Hot leads", Description: "x"})
			return err
		},
		"contacts.setSegments": func(t *testing.T) error { return c.SetSegments(t.Context(), "L", id, nil) },
	}
}

func TestEachOperationHasAMethodAFakeRouteAndAPlaceInTheContract(t *testing.T) {
	server, client := fake(t, nil)
	doc, err := contracttest.Document()
	require.NoError(t, err)
	calls := everything(client, newTarget(t, server, rankrtest.Record{}))
	assert.Len(t, calls, len(rankr.Operations), "a method without a row")
	for _, o := range rankr.Operations {
		assert.NotEmpty(t, o.Doc, o.Name)
		assert.Equal(t, o.Method+" /"+o.Path, rankrtest.Routes()[o.Name], "the fake's route of %s", o.Name)
		operation := doc.Paths.Value("/" + o.Path).GetOperation(o.Method)
		require.NotNil(t, operation, o.Name)
		assert.Equal(t, o.Name, operation.OperationID)

		require.Contains(t, calls, o.Name, "no method makes this call")
		server.Forget()
		_ = calls[o.Name](t) // a contact deleted by a row before is no matter here
		require.Len(t, server.Calls(), 1, o.Name)
		assert.Equal(t, o.Name, server.Calls()[0].Operation)
	}
}

// TestRepeatableOperationsLeaveTheSameRecordsTheSecondTime is what it means to be sent again after a lost answer.
func TestRepeatableOperationsLeaveTheSameRecordsTheSecondTime(t *testing.T) {
	for _, o := range rankr.Operations {
		t.Run(o.Name, func(t *testing.T) {
			server, client := fake(t, nil)
			on := newTarget(t, server, rankrtest.Record{ExternalID: "E1", Tags: []string{"lead", "vip"}, Fields: map[string]any{"state": "CA"}})
			do := everything(client, on)[o.Name]
			require.NoError(t, do(t))
			once := content(server)
			require.NoError(t, do(t))
			assert.Equal(t, o.Repeatable, assert.ObjectsAreEqual(once, content(server)))
		})
	}
}

// content is all that the server holds without what every write moves.
func content(server *rankrtest.Server) []any {
	all, tasks, notes := server.All(), server.Tasks(""), server.Notes("")
	businesses, segments := server.Businesses(), server.Segments()
	for i := range businesses {
		businesses[i].Version, businesses[i].Updated = 0, businesses[i].Added
	}
	for i := range all {
		all[i].Version, all[i].Updated = 0, all[i].Added
	}
	for i := range tasks {
		tasks[i].Version, tasks[i].Updated = 0, tasks[i].Added
	}
	for i := range notes {
		notes[i].Version, notes[i].Updated = 0, notes[i].Added
	}
	return []any{all, tasks, notes, businesses, segments}
}
