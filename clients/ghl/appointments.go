package ghl

import (
	"context"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// Appointment is an appointment of a contact. Nothing of it is mapped yet.
type Appointment struct {
	ID         string
	Contact    string
	Calendar   string
	Title      string
	Status     string // "new", "confirmed", "cancelled", "showed", "noshow" or "invalid"
	AssignedTo string
	Notes      string
	Address    string
	Start, End time.Time // zero: not told
}

// Appointments lists all appointments of a contact: one call. GHL writes times with an offset or without: zone is for
// those without, and is best the location's own; nil is UTC. [crm.GHLInvalid] names a time that can't be read.
func (c *Client) Appointments(ctx context.Context, ref crm.Ref, zone *time.Location) ([]Appointment, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	if zone == nil {
		zone = time.UTC
	}
	call := c.call(listAppointments, ref.Location, ref.Contact)
	var answer struct {
		Events []appointment `json:"events"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, err
	}
	if answer.Events == nil {
		return nil, c.rest.Foreign(call, meta)
	}
	appointments := make([]Appointment, len(answer.Events))
	for i, found := range answer.Events {
		if !crm.ValidID(string(found.ID)) || !tells(found.ContactID, ref.Contact) || !tells(found.LocationID, ref.Location) {
			return nil, c.rest.Foreign(call, meta)
		}
		start, startOK := localTime(found.StartTime, zone)
		end, endOK := localTime(found.EndTime, zone)
		if !startOK || !endOK {
			return nil, &crm.Error{
				Code: crm.GHLInvalid, Operation: "ghl " + listAppointments.Name, Status: meta.Status, Fields: []string{"startTime", "endTime"},
			}
		}
		appointments[i] = found.at(ref.Contact, start, end)
	}
	return appointments, nil
}

type appointment struct {
	ID                text  `json:"id"`
	ContactID         text  `json:"contactId"`
	LocationID        text  `json:"locationId"`
	CalendarID        text  `json:"calendarId"`
	Title             text  `json:"title"`
	AppointmentStatus text  `json:"appointmentStatus"`
	AssignedUserID    text  `json:"assignedUserId"`
	Notes             text  `json:"notes"`
	Address           text  `json:"address"`
	StartTime         plain `json:"startTime"`
	EndTime           plain `json:"endTime"`
}

func (w appointment) at(contact string, start, end time.Time) Appointment {
	return Appointment{
		ID: string(w.ID), Contact: contact, Calendar: string(w.CalendarID), Title: string(w.Title),
		Status: string(w.AppointmentStatus), AssignedTo: string(w.AssignedUserID), Notes: string(w.Notes),
		Address: string(w.Address), Start: start, End: end,
	}
}

// localTime reads a time with or without an offset. It is not ok when something is told that is neither.
func localTime(p plain, zone *time.Location) (t time.Time, ok bool) {
	if p.value == nil {
		return time.Time{}, true
	}
	if said, isText := p.value.(string); isText {
		for _, layout := range []string{time.DateTime, "2006-01-02T15:04:05"} {
			if t, err := time.ParseInLocation(layout, said, zone); err == nil {
				return t.UTC(), true
			}
		}
	}
	t = moment(p)
	return t, !t.IsZero()
}
