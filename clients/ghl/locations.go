package ghl

import (
	"context"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// Location reads the location afresh, never from a cache: one call. That it answers proves that the token is good
// for the location.
func (c *Client) Location(ctx context.Context, location string) (crm.Location, time.Time, error) {
	if err := validIDs(named{"location", location}); err != nil {
		return crm.Location{}, time.Time{}, err
	}
	call := c.call(getLocation, location, location)
	var answer struct {
		Location struct {
			ID       text `json:"id"`
			Name     text `json:"name"`
			Country  text `json:"country"`
			Timezone text `json:"timezone"`
		} `json:"location"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Location{}, meta.Date, err
	}
	found := answer.Location
	if string(found.ID) != location {
		return crm.Location{}, meta.Date, c.rest.Foreign(call, meta)
	}
	country := strings.ToUpper(strings.TrimSpace(string(found.Country)))
	if len(country) != 2 {
		country = ""
	}
	return crm.Location{ID: location, Name: string(found.Name), Country: country, Timezone: string(found.Timezone)}, meta.Date, nil
}
