package ghl

import (
	"context"
	"net/url"

	"github.com/rankrsync/rankrsync/crm"
)

// User is somebody to whom contacts and tasks of a location may be assigned.
type User struct {
	ID      string
	Name    string
	Email   string
	Deleted bool
}

// Users lists the users of a location: one call. GHL has deprecated the operation, and v3 has it no more; but its
// successor asks for the agency's id, which a location's token need not tell.
func (c *Client) Users(ctx context.Context, location string) ([]User, error) {
	if err := validIDs(named{"location", location}); err != nil {
		return nil, err
	}
	call := c.call(listUsers, location)
	call.Query = url.Values{"locationId": {location}}
	var answer struct {
		Users []struct {
			ID      text `json:"id"`
			Name    text `json:"name"`
			Email   text `json:"email"`
			Deleted flag `json:"deleted"`
		} `json:"users"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, err
	}
	if answer.Users == nil {
		return nil, c.rest.Foreign(call, meta)
	}
	users := make([]User, len(answer.Users))
	for i, u := range answer.Users {
		if !crm.ValidID(string(u.ID)) {
			return nil, c.rest.Foreign(call, meta)
		}
		users[i] = User{ID: string(u.ID), Name: string(u.Name), Email: string(u.Email), Deleted: bool(u.Deleted)}
	}
	return users, nil
}
