package ghl

import "context"

// CustomFields reads the location's dictionary of custom fields, afresh, and keeps it for the contacts to come: one call. It
// returns how many fields contacts have.
func (c *Client) CustomFields(ctx context.Context, location string) (int, error) {
	if err := validIDs(named{"location", location}); err != nil {
		return 0, err
	}
	fresh, err := c.load(ctx, location, nil)
	if err != nil {
		return 0, err
	}
	return len(fresh.keys), nil
}
