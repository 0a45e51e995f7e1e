package rankr

import (
	"context"
	"net/url"
	"strconv"

	"github.com/rankrsync/rankrsync/crm"
)

// Records reads one page of all contacts that Rankr has: those that follow what an earlier page returned as next, or the first
// ones. Next is empty after the last page. The Rankr account is the location's, so that the records of other locations that share it are
// among them.
func (c *Client) Records(ctx context.Context, location, after string) (records []crm.Contact, next string, err error) {
	call := c.call(findContacts, location)
	call.Query = url.Values{"limit": {strconv.Itoa(pageSize)}}
	if after != "" {
		call.Query.Set("startAfter", after)
	}
	records, next, meta, err := c.page(ctx, call)
	if err == nil && next == after && after != "" { // it would never end
		return nil, "", c.rest.Foreign(call, meta)
	}
	return records, next, err
}
