package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
)

// createMany makes contacts that differ from all others in their email alone, and returns their ids.
func (w *world) createMany(n int) []string {
	ids, others := make([]string, n), len(w.ghl.Contacts(location))
	for i := range ids {
		contact := mira()
		contact.Email, contact.Phone = "mira"+strconv.Itoa(others+i)+"@example.com", ""
		ids[i] = w.ghl.Create(location, contact).ID
	}
	return ids
}

// outOfStep says where Rankr differs from GHL; empty: nowhere. Tags that only Rankr has are a difference too: nobody
// works in the Rankr of a test.
func (w *world) outOfStep() string {
	records := map[string][]rankrtest.Record{}
	for _, record := range w.rankr.All() {
		records[record.ExternalID] = append(records[record.ExternalID], record)
	}
	var wrong []string
	for _, contact := range w.ghl.Contacts(location) {
		mirrors := records[contact.ID]
		delete(records, contact.ID)
		if len(mirrors) != 1 {
			wrong = append(wrong, fmt.Sprintf("%s has %d records", contact.ID, len(mirrors)))
			continue
		}
		for name, value := range map[string]string{
			"firstName": contact.FirstName, "lastName": contact.LastName, "email": contact.Email, "phone": contact.Phone,
			"country": contact.Country,
		} {
			if have, _ := mirrors[0].Fields[name].(string); have != value {
				wrong = append(wrong, fmt.Sprintf("%s of %s is %q, not %q", name, contact.ID, have, value))
			}
		}
		if have, want := crm.FoldTags(mirrors[0].Tags), crm.FoldTags(contact.Tags); !slices.Equal(have, want) {
			wrong = append(wrong, fmt.Sprintf("the tags of %s are %v, not %v", contact.ID, have, want))
		}
	}
	for contact, left := range records {
		wrong = append(wrong, fmt.Sprintf("%q, which GHL does not have, has %d records", contact, len(left)))
	}
	return strings.Join(wrong, "; ")
}

// idle waits until no workflow runs; the schedules' own are none of ours, and what waits for a due date may wait.
func (w *world) idle() {
	w.t.Helper()
	w.eventually(func() string {
		open, err := w.client.CountWorkflow(w.t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: "ExecutionStatus = 'Running' AND WorkflowType IN " +
				"('SyncContact', 'SyncContacts', 'AlignTasksAndNotes', 'SegmentContact', 'SyncBusiness', 'PollChanges', 'Backfill', 'Reconcile')",
		})
		switch {
		case err != nil:
			return err.Error()
		case open.GetCount() > 0:
			return strconv.FormatInt(open.GetCount(), 10) + " workflows are running"
		}
		return ""
	})
}
