package ghltest

import (
	"net/http"
	"slices"
)

// Appointment is one appointment of a contact. Its times are texts, for GHL writes them in two ways: as
// "2021-07-16 11:00:00", without a zone, and in ISO 8601 with an offset.
type Appointment struct {
	ID         string
	CalendarID string
	Title      string
	Status     string // "new", "confirmed", "cancelled", "showed", "noshow" or "invalid"
	AssignedTo string
	Notes      string
	Address    string
	Start, End string
}

// SetAppointments replaces a contact's appointments. No webhook tells of it.
func (s *Server) SetAppointments(contact string, appointments ...Appointment) error {
	rec, _, err := s.contact(contact)
	if err != nil {
		return err
	}
	rec.location.mu.Lock()
	defer rec.location.mu.Unlock()
	rec.appointments = slices.Clone(appointments)
	return nil
}

func listAppointments(x *exchange) answer {
	rec, current, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	rec.location.mu.Lock()
	appointments := rec.appointments
	rec.location.mu.Unlock()
	documents := []any{}
	for _, a := range appointments {
		document := map[string]any{"locationId": x.location.id, "contactId": current.ID, "users": []any{}, "assignedResources": []any{}}
		for name, value := range map[string]string{
			"id": a.ID, "calendarId": a.CalendarID, "title": a.Title, "status": "booked", "appointmentStatus": a.Status,
			"assignedUserId": a.AssignedTo, "notes": a.Notes, "address": a.Address, "startTime": a.Start, "endTime": a.End,
		} {
			put(document, name, value)
		}
		documents = append(documents, x.of(document))
	}
	return answer{http.StatusOK, map[string]any{"events": documents}}
}
